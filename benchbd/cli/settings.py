"""Settings on the command line: `--set KIND.PARAM=VALUE`, once for each parameter."""

from __future__ import annotations

from collections.abc import Iterable

import click


def read_settings(texts: Iterable[str]) -> dict[str, str]:
    """Return the values by KIND.PARAM. A name that is given twice is refused, because otherwise the
    last would win without a word.
    """
    settings: dict[str, str] = {}
    for name, value in map(_setting, texts):
        if name in settings:
            raise click.BadParameter(
                f"{name} is given twice, as {settings[name]} and as {value}", param_hint="--set"
            )
        settings[name] = value
    return settings


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise click.BadParameter(f"expected KIND.PARAM=VALUE, got {text!r}", param_hint="--set")
    return name.strip(), value.strip()
