"""Pages of plugins: they hold what class and catalogue say, and the committed ones are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchbd.cli.pages import command
from benchbd.plugin.page import page
from benchbd.plugin.registry import find, load

DOCS = Path(__file__).parents[2] / "docs" / "plugins"


def invoke(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(command, [str(word) for word in words])
    return done.exit_code, done.output


def test_a_page_says_what_the_class_and_the_card_say() -> None:
    text, cls = page(find("defense", "anp")), load("defense", "anp")
    assert text.startswith("# anp\n\n*defense, repair*: prunes channels")
    assert "[Adversarial Neuron Pruning Purifies Backdoored Deep Models](https://arxiv.org/abs/2110.14430), 2021" in text
    assert "benchbd run --attack ATTACK --defense anp" in text
    assert "| `anp_eps` | float | `0.4` | >= 0 | size of the perturbation, relative to each weight |" in text
    assert "| `pruning_by` | threshold\\|number | `threshold` |" in text
    assert all(f"| `{name}` |" in text for name in cls.model_fields)
    assert "    1. every channel of every normalisation layer gets a mask" in text


def test_pages_are_written_checked_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbd.plugin.page.KINDS", ("executor",))
    (tmp_path / "executor").mkdir()
    (tmp_path / "executor" / "gone.md").write_text("nobody")
    assert invoke(tmp_path, "--check")[0] == 1
    assert "1 removed" in invoke(tmp_path)[1]
    assert {path.name for path in tmp_path.rglob("*.md")} >= {"index.md", "local.md", "inprocess.md"}
    assert invoke(tmp_path, "--check") == (0, "")
    (tmp_path / "executor" / "local.md").write_text("changed by hand")
    code, output = invoke(tmp_path, "--check")
    assert code == 1 and "local.md is out of date" in output


def test_the_committed_pages_are_up_to_date() -> None:
    assert invoke(DOCS, "--check") == (0, ""), "benchbd pages docs/plugins"
