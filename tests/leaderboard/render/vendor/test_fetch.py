"""Where the libraries of the page come from: what is here is what was noted."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchbd.leaderboard.render.vendor.fetch import LIST, FetchRefused, check_package, main


def packages() -> list[dict[str, Any]]:
    return list(json.loads(LIST.read_text()))


def test_libraries_are_those_that_were_noted() -> None:
    assert main(["--check"]) == 0
    for package in packages():
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"]) and package[
            "integrity"
        ].startswith("sha512-")
        licence = next(f["name"] for f in package["files"] if f["name"].endswith("LICENSE"))
        assert package["licence"] in (LIST.parent / licence).read_text()
    noted = {file["name"] for package in packages() for file in package["files"]}
    assert {
        path.name for path in LIST.parent.iterdir() if path.suffix in (".js", ".css", ".LICENSE")
    } == noted


def test_a_changed_library_is_noticed(tmp_path: Path) -> None:
    (package,) = packages()
    for file in package["files"]:
        (tmp_path / file["name"]).write_bytes((LIST.parent / file["name"]).read_bytes())
    check_package(package, tmp_path)
    (tmp_path / "tabulator.min.js").write_bytes(b"alert(1)")
    with pytest.raises(FetchRefused, match="is not the file of tabulator-tables"):
        check_package(package, tmp_path)


def test_a_missing_client_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main([]) == 1
    assert "no npm on the path" in capsys.readouterr().err
