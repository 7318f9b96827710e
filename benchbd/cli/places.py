"""The option that says where the files lie that a result names. A path in a result is not read by
itself, because a result may come from a stranger.
"""

from __future__ import annotations

from pathlib import Path

import click


def _places(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, Path]:
    places = {}
    for text in given:
        what, _equals, path = text.partition("=")
        kind, _dot, name = what.partition(".")
        if not (kind and name and path):
            raise click.BadParameter(f"expected such as dataset.path=FOLDER, got {text!r}")
        places[what] = Path(path)
    return places


at_option = click.option(
    "--at",
    "places",
    multiple=True,
    metavar="KIND.PARAMETER=PATH",
    callback=_places,
    help="Where the file or folder of a parameter lies here, such as dataset.path=FOLDER; a path "
    "that only a result names is not read. May be repeated.",
)
