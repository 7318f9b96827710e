"""Rows of plain values as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any


def csv_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows with the same names as CSV, the names first. Each line ends in a line feed."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
