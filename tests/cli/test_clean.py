"""`benchbd clean`: what it shows, and that it removes nothing unless it is told to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchbd.cli.clean import command
from benchbd.errors import ConfigError
from benchbd.matrices.plan import plan
from benchbd.record.claim import claim, claim_path
from benchbd.record.files import write_bytes
from benchbd.running.protocol import load_protocol

PROTOCOL = "name: mine\ndataset: digits\nmodel: resnet_small\nrecipe: {epochs: 3}\nseeds: [0]\n"
PROTOCOL += "attacks: [badnet]\ndefenses: [none]\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cleaned(*words: str) -> Result:
    return CliRunner().invoke(command, list(words), catch_exceptions=False)


def test_nothing_to_clean() -> None:
    assert cleaned("--records", "--yes").output == "nothing to clean\n"


def test_it_shows_first_and_removes_when_told(folder: Path) -> None:
    spec = write_bytes(folder / "record" / "a" / "attack-12.spec.json", b"{}")
    work = write_bytes(folder / "record" / ".remembered" / "surrogate-1.pt", bytes(3 * 2**20))
    shown = cleaned()
    assert shown.exit_code == 0 and spec.exists() and work.exists()
    assert "   2 bytes  record/a/attack-12.spec.json" in shown.output
    assert "   3.0 MiB  record/.remembered/surrogate-1.pt" in shown.output
    assert shown.output.endswith("nothing was removed; `--yes` removes it\n")
    assert cleaned("--dry-run").output == shown.output
    done = cleaned("--yes")
    assert done.output.endswith("removed: 2, 3.0 MiB\n")
    assert not spec.exists() and not work.exists()


@pytest.mark.slow
def test_records_only_when_asked_and_not_those_of_a_protocol(folder: Path) -> None:
    (folder / "mine.yaml").write_text(PROTOCOL)
    (cell,) = plan(load_protocol(folder / "mine.yaml"))
    for name, key in (("mine", cell.job.key), ("strange", "0" * 64)):
        write_bytes(folder / "record" / name / "manifest.json", json.dumps({"key": key}).encode())
    assert cleaned().output == "nothing to clean\n"
    assert "record/mine" in cleaned("--records").output
    shown = cleaned("mine.yaml", "--records").output
    assert "record/strange" in shown and "record/mine" not in shown
    assert cleaned("mine.yaml", "--records", "--yes").exit_code == 0
    assert [path.name for path in (folder / "record").iterdir()] == ["mine"]


def test_a_slip_in_the_name_of_a_protocol_removes_nothing(folder: Path) -> None:
    work = write_bytes(folder / "record" / ".remembered" / "surrogate-1.pt", b"")
    with pytest.raises(ConfigError, match="no protocol named 'digits-quik'"):
        cleaned("digits-quik", "--yes")
    assert work.exists()


def test_what_is_held_is_not_shown(folder: Path) -> None:
    spec = write_bytes(folder / "record" / "a" / "attack-12.spec.json", b"{}")
    with claim(claim_path(spec.parent)):
        assert cleaned("--yes").output == "nothing to clean\n"
    assert spec.exists()
