"""`benchbd list`: kinds one by one or all, for people, programs and pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchbd.cli import list as list_module
from benchbd.cli.list import plugin_table
from benchbd.plugin.entry import PLURALS, PluginEntry
from benchbd.plugin.registry import entries
from support.command_line import benchbd, told

CARD = {
    "family": "repair",
    "summary": "mends",
    "paper": {"authors": "Ada", "year": 1843, "url": "https://example.org"},
}


def test_all_kinds_come_with_their_plugins() -> None:
    lines = told("list").splitlines()
    assert [line for line in lines if line in PLURALS.values()] == list(PLURALS.values())
    (badnet,) = [line.split() for line in lines if line.split()[:1] == ["badnet"]]
    assert badnet[1] == "data-poisoning"


@pytest.mark.parametrize("word", ["defenses", "defense"])
def test_one_kind_for_a_program(word: str) -> None:
    listed = json.loads(told("list", word, "--json"))
    assert {entry["kind"] for entry in listed} == {"defense"}
    assert [entry["name"] for entry in listed] == [entry.name for entry in entries("defense")]
    (anp,) = [entry for entry in listed if entry["name"] == "anp"]
    assert (anp["provider"], anp["family"], anp["paper"]["year"]) == ("benchbd", "repair", 2021)


def test_the_protocols_come_with_what_they_are_for() -> None:
    lines = told("list", "protocols").splitlines()
    (quick,) = [line for line in lines if line.split()[:1] == ["digits-quick"]]
    assert "the first thing to try" in quick
    listed = json.loads(told("list", "protocols", "--json"))
    assert "digits-all" in [protocol["name"] for protocol in listed]


def test_in_a_narrow_terminal_no_line_is_longer_than_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    list_module._print("defenses", [list_module._line(entry) for entry in entries("defense")])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert "  anp  repair" in lines


def test_a_table_in_markdown_cites_papers() -> None:
    with_card = PluginEntry("defense", "mine", "me", "1", "mine:Mine", CARD)
    without = PluginEntry("defense", "other", "me", "1", "mine:Other")
    _, _, first, second = plugin_table("defense", (with_card, without)).splitlines()
    assert "[Ada 1843](https://example.org)" in first and "`mine`" in first
    assert "`other`" in second and "](" not in second


def test_a_kind_that_is_none_is_a_slip(tmp_path: Path) -> None:
    ended = benchbd("list", "attaks", cwd=tmp_path)
    assert ended.returncode == 2 and "did you mean 'attacks'" in ended.stderr
