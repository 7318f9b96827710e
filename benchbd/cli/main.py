"""The command line: its commands and its exit codes.

A command is imported when it is called, so that `benchbd --help` and `benchbd list` are quick.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from typing import Any, TextIO

import click

from benchbd.errors import BenchbdError, DataNote, NotApplicable

EPILOG = """Exit codes: 0 all cells measured (n/a included); 1 a cell failed, or something
unforeseen; 2 options or configuration; 3 a plugin; 4 data; 5 a stored result; 6 training diverged;
130 interrupted."""

COMMANDS = {
    "run": "Attack a model, defend it, measure both.",
    "analyze": "Why: what layers, channels and features do before and after a defense.",
    "matrix": "Run all cells of a protocol that are missing.",
    "plan": "What a matrix would do, without doing it.",
    "status": "How far a matrix is.",
    "clean": "Show what nobody needs any more, and remove it if told to.",
    "leaderboard": "Build the tables and the page from the results; compare, show and export them.",
    "verify": "Check result files: whole, consistent, and true to their predictions.",
    "reproduce": "Run one cell again and report the difference.",
    "import": "Read the result of another tool, a checkpoint or the Keras exercise.",
    "export": "Write a result or a model for other tools.",
    "inspect": "What is in a file, found without running anything in it.",
    "sensitivity": "How much a defense hangs on its hyper-parameters.",
    "sweep": "ACC, ASR and RC along one axis: poison ratio, clean images, model, ...",
    "list": "List attacks, defenses, models or data sets.",
    "info": "What a plugin is, what it needs, what it can be told.",
    "pages": "Write a page of documentation for each plugin.",
    "plugins": "Which packages provide plugins, and which plugins are broken.",
    "check": "Whether a plugin keeps the contract.",
    "new": "Write the start of a plugin, or of a whole package.",
    "doctor": "What this machine offers, and what is missing.",
}

_NOTES_SHOWN: set[str] = set()


class _Commands(click.Group):
    """A group that knows its commands by name and imports each when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        # no module can be called by a word of Python
        module = "importing" if cmd_name == "import" else cmd_name
        return getattr(importlib.import_module(f"benchbd.cli.{module}"), "command")  # type: ignore[no-any-return]  # noqa: B009

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from benchbd.errors import nearest

            ctx.fail(f"no command named {args[0]!r}{nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # the program that reads the output has closed the pipe; click would return 1
            # Python flushes its output once more at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="benchbd")
@click.option(
    "--no-plugin",
    "unwanted",
    multiple=True,
    metavar="NAME",
    help="Do as if this plugin or package were not installed.",
)
def benchbd(unwanted: tuple[str, ...]) -> None:
    """Backdoor attacks on image classifiers, defenses against them, and honest numbers for both.

    Start with: benchbd run --attack badnet --defense anp
    """
    if unwanted:  # set in the environment, so that worker processes leave it out too
        _require_installed(unwanted)
        os.environ["BENCHBD_NO_PLUGIN"] = ",".join(
            (*unwanted, os.environ.get("BENCHBD_NO_PLUGIN", ""))
        )


def _require_installed(names: tuple[str, ...]) -> None:
    """Raise `ConfigError` for a name under which nothing is installed, because leaving it out would
    change nothing.
    """
    from benchbd.errors import ConfigError, nearest
    from benchbd.plugin.points import known_names

    known = known_names()
    for name in names:
        if name not in known:
            remedy = "`benchbd plugins` shows the packages, `benchbd list` the plugins"
            raise ConfigError(
                f"--no-plugin: no plugin or package named {name!r}{nearest(name, known, remedy)}"
            )


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Write a warning to stderr; a note about images without the line of code that it comes from,
    and each once.
    """
    if not issubclass(category, DataNote):
        text = warnings.formatwarning(message, category, filename, lineno, line)
        click.echo(text, err=True, nl=False)
    elif (text := str(message)) not in _NOTES_SHOWN:
        _NOTES_SHOWN.add(text)
        click.echo(f"{click.style('note', fg='yellow', bold=True)}: {text}", err=True)


def main() -> None:
    """Run the command line; errors of benchbd end with their message and their exit code."""
    colour = False if os.environ.get("NO_COLOR") else None  # None: as the terminal has it
    warnings.showwarning = _show_warning
    try:
        code = benchbd.main(standalone_mode=False, color=colour)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo(
            "interrupted; what was finished is stored, and the same command goes on from there",
            err=True,
        )
        code = 130
    except BenchbdError as error:
        click.echo(f"{click.style('error', fg='red', bold=True)}: {error}", err=True, color=colour)
        code = error.exit_code
    # for a defense this becomes a row; without an attack or a model there is nothing to run
    except NotApplicable as answer:
        click.echo(
            f"{click.style('not applicable', fg='yellow', bold=True)}: {answer}",
            err=True,
            color=colour,
        )
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
