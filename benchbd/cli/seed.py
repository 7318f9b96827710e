"""A seed on the command line: what every generator of random numbers can be started from."""

from __future__ import annotations

import click

from benchbd.arguments import MAX_SEED

SEED = click.IntRange(0, MAX_SEED)
