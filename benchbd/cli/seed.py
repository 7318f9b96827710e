"""The type of a seed on the command line: a number that every random generator accepts."""

from __future__ import annotations

import click

from benchbd.arguments import MAX_SEED

SEED = click.IntRange(0, MAX_SEED)
