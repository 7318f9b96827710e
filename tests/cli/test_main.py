"""The frame around all commands: colours, closed pipes, plugins that are left out."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchbd.cli import main
from benchbd.errors import ConfigError, DataNote


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """As click sees it."""
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda stream, color: color is False)


@pytest.mark.parametrize(("no_color", "coloured"), [("1", False), ("", True)])
def test_no_color_is_heard(
    at_a_terminal: None,
    no_color: str,
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By an error, which `main` prints, and by a command."""
    monkeypatch.setenv("NO_COLOR", no_color)
    for words in (["status", "nosuch"], ["list", "attacks"]):
        monkeypatch.setattr("sys.argv", ["benchbd", *words])
        with pytest.raises(SystemExit):
            main.main()
        told = capsys.readouterr()
        assert ("\x1b[" in told.out + told.err) == coloured, words


@pytest.mark.slow
def test_whoever_reads_may_stop_reading() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", "benchbd", "list"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_is_left_out_is_there() -> None:
    with pytest.raises(
        ConfigError,
        match=r"--no-plugin: no plugin or package named 'defense.anpp'; did you mean "
        r"'defense.anp'\?",
    ):
        main.benchbd.main(
            ["--no-plugin", "badnet", "--no-plugin", "defense.anpp", "list"], standalone_mode=False
        )
    assert "BENCHBD_NO_PLUGIN" not in os.environ


def test_what_is_left_out_twice_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment already, as for somebody who has it in the shell's profile."""
    monkeypatch.setenv("BENCHBD_NO_PLUGIN", "badnet")
    main.benchbd.main(
        ["--no-plugin", "defense.anp", "--no-plugin", "badnet", "list", "executors"],
        standalone_mode=False,
    )


def test_a_note_about_images_is_one_line_and_is_said_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "_NOTES_SHOWN", set())
    for text in ("a share is held out", "a share is held out", "files were passed over"):
        main._show_warning(DataNote(text), DataNote, "data.py", 1)
    main._show_warning("old", UserWarning, "code.py", 7)
    notes, _, other = capsys.readouterr().err.partition("code.py")
    assert notes == "note: a share is held out\nnote: files were passed over\n"
    assert "UserWarning: old" in other


def test_a_run_of_nothing_is_refused_before_libraries_are_imported() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from benchbd.cli.main import benchbd; "
        "ended = CliRunner().invoke(benchbd, ['run']); "
        "print(type(ended.exception).__name__, {'torch', 'numpy', 'rich'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "ConfigError set()"
