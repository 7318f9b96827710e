"""`benchbd check`: the test whether a plugin keeps the contract."""

from __future__ import annotations

import json
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchbd.errors import PluginError, PluginNotFound, nearest
from benchbd.plugin.entry import KINDS, PluginEntry
from benchbd.plugin.loose import classes_in, file_hint, load_only_plugin, path_of
from benchbd.plugin.registry import entries, is_file, load

if TYPE_CHECKING:
    from benchbd.plugin.plugin import Plugin
    from benchbd.testing.result import Result

STATUS_COLOURS = {
    "failed": "red",
    "expected": "yellow",
    "n/a": "yellow",
    "skipped": "bright_black",
    "passed": "green",
}
"""The colour of each status, in the order in which results are listed."""


@click.command()
@click.argument("target")
@click.option(
    "--level",
    type=click.Choice(["api", "smoke", "full"]),
    default="smoke",
    show_default=True,
    help="How much is tried.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="PARAM=VALUE", help="Check it with this parameter."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON list, an object per plugin and check."
)
@click.option("-v", "--verbose", is_flag=True, help="Show what passed, and tracebacks.")
def command(
    target: str, level: str, settings: tuple[str, ...], as_json: bool, verbose: bool
) -> None:
    """Hold TARGET to the rules of its family: KIND.NAME, a file, or a distribution, of which every
    plugin is checked.

    api: the class alone. smoke: its verbs on tiny data, with quick parameters. full: with its
    defaults, too.
    """
    from benchbd.testing.result import failures

    results = []
    for cls, name in _classes(target):
        found = _checked(cls, name, level, settings)
        results += found
        if not as_json:
            _show(cls, name, found, verbose)
    if as_json:
        click.echo(json.dumps([result.to_json() for result in results], indent=1))
    sys.exit(PluginError.exit_code if failures(results) else 0)


def _checked(
    cls: type[Plugin] | PluginError, name: str, level: str, settings: tuple[str, ...]
) -> list[Result]:
    """Return all results of one plugin. For a plugin that cannot be loaded it is the one result
    that says so.
    """
    from benchbd.testing import Result, check_plugin

    if isinstance(cls, PluginError):
        trace = "".join(traceback.format_exception(cls.__cause__)) if cls.__cause__ else ""
        return [
            Result(
                name, "contract_is_kept", "It can be loaded.", "failed", str(cls), traceback=trace
            )
        ]
    texts = dict(text.partition("=")[::2] for text in settings)
    parsed = {key: cls.parse(key, text) for key, text in texts.items()}
    return check_plugin(cls, level, settings=parsed)  # type: ignore[arg-type]


def _classes(target: str) -> Iterator[tuple[type[Plugin] | PluginError, str]]:
    """Yield the classes that a target stands for, each with the name under which it is shown; an
    error where one cannot be loaded.
    """
    if is_file(target):
        file, class_name = path_of(target)
        try:
            found = [cls for cls in classes_in(file) if class_name in ("", cls.__qualname__)]
        except PluginError as error:
            yield error, Path(file).name
            return
        if not found:
            load_only_plugin(target)  # its message says which plugins the file holds
        yield from ((cls, f"{Path(file).name}:{cls.__qualname__}") for cls in found)
        return
    for entry in _entries(target):
        try:
            yield load(entry.kind, f"{entry.provider}/{entry.name}"), f"{entry.kind}.{entry.name}"
        except PluginError as error:
            yield error, f"{entry.kind}.{entry.name}"


def _entries(target: str) -> list[PluginEntry]:
    known = [entry for kind in KINDS for entry in entries(kind)]
    kind, dot, bare = target.partition(".")
    wanted = (kind, bare) if dot and kind in KINDS else ("", target)
    found = [
        e
        for e in known
        if wanted[0] in ("", e.kind) and wanted[1] in (e.name, f"{e.provider}/{e.name}")
    ]
    found = found or [e for e in known if e.provider == target]
    if not found:
        names = [f"{e.kind}.{e.name}" for e in known] + [e.provider for e in known]
        guess = file_hint(target) or nearest(target, names, "`benchbd list` shows all")
        raise PluginNotFound(f"no plugin, file or distribution named {target!r}{guess}")
    return found


def _show(cls: type[Plugin] | PluginError, name: str, results: list[Result], verbose: bool) -> None:
    from benchbd.testing.result import NOT_TRIED

    seconds = sum(result.seconds for result in results)
    tried = sorted(
        (r for r in results if not r.message.startswith(NOT_TRIED)),
        key=lambda r: list(STATUS_COLOURS).index(r.status),
    )
    # a plugin that fails at a gate has no other results
    if len(tried) < len(results) or isinstance(cls, PluginError):
        tried = [result for result in tried if result.status == "failed"]
    counts = Counter(result.status for result in tried)
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    click.echo(f"{click.style(name, bold=True)}: {summary} in {seconds:.0f} s")
    for result in tried:
        if result.status == "passed" and not verbose:
            continue
        told = f"{result.check}: {result.message or result.rule}"
        more = " (-v shows the traceback)" if result.traceback and not verbose else ""
        click.echo(f"  {click.style(result.status, fg=STATUS_COLOURS[result.status])} {told}{more}")
        if verbose and result.traceback:
            click.echo(result.traceback)
    if left_out := sum(result.message.startswith(NOT_TRIED) for result in results):
        click.echo(f"  {left_out} other rules were not tried")
    elif isinstance(cls, PluginError):
        click.echo("  the other rules were not tried")
