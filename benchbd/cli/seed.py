"""A seed on the command line: what every generator of random numbers can be started from."""

from __future__ import annotations

import click

SEED = click.IntRange(0, 2**32 - 1)
