"""`benchbd analyze`: what a person sees of findings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.command_line import benchbd, told


@pytest.mark.slow
def test_numbers_captions_and_files_are_told(result_file: Path) -> None:
    said = told("analyze", str(result_file), "--with", "confusion")
    assert "target recall" in said and "backdoored" in said
    assert "Each row shows in per cent" in " ".join(said.split())
    folder = result_file.parent / "analysis" / "confusion"
    for form in ("png", "svg", "pdf"):
        assert f"  {folder}/confusion.{form}" in said
        assert (folder / f"confusion.{form}").is_file()
    again = told("analyze", str(result_file), "--with", "confusion", "--json")
    (findings,) = json.loads(again)["findings"]
    assert findings == json.loads((folder / "findings.json").read_text())


def test_a_name_that_is_not_there_is_refused(tmp_path: Path) -> None:
    ended = benchbd("analyze", "gone", "--with", "confusion", cwd=tmp_path)
    assert ended.returncode == 5 and "no attack result at gone" in ended.stderr
