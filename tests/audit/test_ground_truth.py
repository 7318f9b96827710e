"""The right answers of a cell: from the plugins that it names, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from benchbd.audit.reproduce import reproduce
from benchbd.errors import RecordError
from benchbd.record.cell import Predictions
from benchbd.record.cells import read_cell
from benchbd.record.files import sha256
from support.forged import PREDICTIONS, check, rewrite, with_defense


def test_predictions_of_other_images_are_found_out(path: Path) -> None:
    few = {name: torch.zeros(3, dtype=torch.uint16) for name in ("clean", "triggered")}
    path.with_name(PREDICTIONS).write_bytes(safetensors.torch.save(few))
    rewrite(
        path, predictions=Predictions(file=PREDICTIONS, sha256=sha256(path.with_name(PREDICTIONS)))
    )
    assert "are of (3, 3) clean and triggered images" in check(path).faults[0]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"provider": "nobody"}, "is provided by 'nobody', which is not installed here"),
        ({"name": "no_such_defense"}, "which is not installed here"),
        ({"results_version": 99}, "is another one here"),
        ({"params": {"colour": "red"}}, "cannot be built here"),
    ],
)
def test_plugins_must_be_known_as_they_are_named(
    path: Path, changed: dict[str, Any], words: str
) -> None:
    assert words in check(with_defense(path, **changed)).faults[0]


def test_a_parameter_put_aside_that_is_not_is_found_out(path: Path) -> None:
    about = read_cell(path).cell
    attack = about.attack.model_copy(update={"aside": ("poison_ratio",)})
    rewrite(path, cell=about.model_copy(update={"attack": attack}))
    assert "its attack is another one here" in check(path).faults[0]


def test_a_result_does_not_run_the_file_that_it_names(path: Path) -> None:
    planted = path.with_name("evil.py")
    planted.write_text(f"open({str(path.with_name('ran'))!r}, 'w')")
    found = check(with_defense(path, name=str(planted), provider="local file"))
    assert "came from a local file" in found.faults[0]
    with pytest.raises(
        RecordError, match=r"once the plugin is packaged; docs/package_and_publish\.md says how"
    ):
        reproduce(path, path.parent / "again")
    assert not path.with_name("ran").exists()
