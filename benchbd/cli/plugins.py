"""`benchbd plugins`: who provides what, and what is broken."""

from __future__ import annotations

from collections import Counter

import click

from benchbd.plugin.entry import KINDS, PLURALS
from benchbd.plugin.hooks import observer_entries
from benchbd.plugin.registry import entries

OBSERVER = "observer"
"""What is not of a kind of plugins, but registered by packages like them."""

WORDS_FOR_SEVERAL = PLURALS | {OBSERVER: f"{OBSERVER}s"}


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of each broken plugin.")
def command(verbose: bool) -> None:
    """Show the packages that provide plugins. Every plugin is imported, in a process apart, to see
    whether it can be used.
    """
    from benchbd.plugin.probe import find_broken_plugins

    providers = Counter((e.provider, e.version, kind) for kind in KINDS for e in entries(kind))
    providers.update((e.provider, e.version, OBSERVER) for e in observer_entries())
    for provider, version in dict.fromkeys((p, v) for p, v, _ in providers):
        counts = ", ".join(
            f"{n} {WORDS_FOR_SEVERAL[kind] if n > 1 else kind}"
            for (p, _, kind), n in providers.items()
            if p == provider
        )
        click.echo(f"{click.style(provider, bold=True)} {version}: {counts}")
    faults = find_broken_plugins()
    for fault in faults:
        click.echo(
            f"{click.style('broken', fg='red')} {fault.entry.kind}.{fault.entry.name} "
            f"({fault.reason}): {fault.message}"
        )
        if verbose and fault.trace:
            click.echo(fault.trace)
    if not faults:
        click.echo("no plugin is broken")
