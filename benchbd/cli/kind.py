"""A kind of plugins on the command line, with the nearest one where a word is none of them."""

from __future__ import annotations

from typing import Any

import click

from benchbd.errors import nearest


class Kind(click.Choice[str]):
    """One of some words; a word that is none is refused with the one that was probably meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            there_are = f"there are: {', '.join(self.choices)}"
            self.fail(
                "no kind of plugins named "
                f"{value!r}{nearest(value, self.choices) or '; ' + there_are}",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)
