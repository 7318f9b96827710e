"""A choice of words on the command line that suggests the nearest one for an unknown word."""

from __future__ import annotations

from typing import Any

import click

from benchbd.errors import nearest


class WordChoice(click.Choice[str]):
    """A choice among words. An unknown word is refused with the one that was probably meant."""

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
