"""Which of several stored models is exported, and which cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchbd.cli.main import benchbd as program
from benchbd.errors import ConfigError
from benchbd.exporting.chosen import choose
from benchbd.record.attack_result import AttackResult
from support.replacing import always_class_0, repaired


@pytest.mark.slow
def test_a_repair_in_a_hook_is_not_written_without_it(
    monkeypatch: pytest.MonkeyPatch, result_file: Path
) -> None:
    repaired(monkeypatch, result_file, always_class_0)
    written = CliRunner().invoke(program, ["export", "safetensors", str(result_file.parent)])
    assert written.exit_code != 0 and not list(result_file.parent.glob("*.safetensors"))


def test_a_choice_that_is_none(
    defended: AttackResult, stored: AttackResult, tmp_path: Path
) -> None:
    for choice in ({"defense": "fine_prune"}, {"kept": "5%"}):
        with pytest.raises(ConfigError, match="give one of them"):
            choose(defended, undefended=True, **choice)
    with pytest.raises(ConfigError, match="did you mean 'fine_prune'"):
        choose(defended, "fine_prun")
    with pytest.raises(ConfigError, match=r"keeps no model '9%'; kept are: 5%, 50%"):
        choose(defended, kept="9%")
    with pytest.raises(ConfigError, match=r"--defense NAME \(stored are: none\), or --undefended"):
        choose(replace(stored, folder=tmp_path))
