"""`benchbd export`, as a test gives it."""

from __future__ import annotations

from click.testing import CliRunner

from benchbd.cli.main import benchbd as program


def command(*words: str) -> str:
    done = CliRunner().invoke(program, ["export", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def command(*words: str) -> str:
    done = CliRunner().invoke(program, ["export", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output
