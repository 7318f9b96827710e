"""The board as one flat record per attack and defense, for spreadsheets and data frames. Shares lie
in [0, 1].
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from benchbd.leaderboard.board.contents import Board, Pairing, Section
from benchbd.leaderboard.board.detection import DETECTION_FIGURES
from benchbd.leaderboard.board.row import METRICS, TARGET_RATE, UTILITY_FIGURES
from benchbd.leaderboard.render.tables import status

Record = dict[str, Any]

FIGURES = (*METRICS, TARGET_RATE)
"""The figures that have a mean, an interval and the values of seeds."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def records(board: Board) -> list[Record]:
    """Return the board as records that all have the same columns. What was not measured is None."""
    return [record for section in board.sections for record in _records(section)]


def to_csv(board: Board) -> str:
    """Return the records as comma-separated values with a header. A text that a spreadsheet would
    take for a formula gets a quote before it.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: _harmless(value) for name, value in record.items()} for record in records(board)
    )
    return text.getvalue()


def to_parquet(board: Board) -> bytes:
    """Return the same as a Parquet file with typed columns."""
    import pyarrow
    import pyarrow.parquet

    found = records(board)
    columns = {
        name: pyarrow.array([record[name] for record in found], TYPES.get(name, "float64"))
        for name in CSV_COLUMNS
    }
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _records(section: Section) -> Iterator[Record]:
    standings = {standing.defense: standing for standing in section.ranking.standings}
    ratios = {attack.label: attack.poison_ratio for attack in section.attacks}
    clean_fpr = {d.label: d.detecting.clean_fpr if d.detecting else None for d in section.defenses}
    for entry in section.entries:
        standing = standings[entry.defense]
        best_rank, worst_rank = standing.ranks or (None, None)
        about = {
            "table": section.title,
            "protocol": section.where.protocol,
            "dataset": section.dataset,
            "model": section.model,
            "attack": entry.attack,
            "poison_ratio": ratios[entry.attack],
            "defense": entry.defense,
            "place": standing.place,
            "best_rank": best_rank,
            "worst_rank": worst_rank,
        }
        yield about | _measurements(entry) | {"clean_fpr": clean_fpr[entry.defense]}


def _measurements(entry: Pairing) -> Record:
    record: Record = {
        "status": status(entry),
        "measured": entry.measured,
        "expected": entry.expected,
        "seeds": " ".join(map(str, entry.seeds)),
        "clean_images": entry.images.get("acc"),
        "triggered_images": entry.images.get("asr"),
    }
    for name in FIGURES:
        summary = entry.metrics.get(name)
        record |= {
            name: summary and summary.mean,
            f"{name}_low": summary and summary.low,
            f"{name}_high": summary and summary.high,
        }
        record[f"{name}_by_seed"] = " ".join(map(str, summary.values)) if summary else ""
    record |= {name: entry.detection.get(name) for name in (*DETECTION_FIGURES, "flagged")}
    record |= {name: entry.utility.get(name) for name in UTILITY_FIGURES}
    record |= {name: entry.cost.get(name) for name in ("seconds", "peak_bytes", "clean_samples")}
    return record | {
        "oracle": entry.oracle,
        "stale": entry.stale,
        "trust": entry.trust,
        "reason": "; ".join(entry.reasons),
    }


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


CSV_COLUMNS = (
    *(
        "table",
        "protocol",
        "dataset",
        "model",
        "attack",
        "poison_ratio",
        "defense",
        "place",
        "best_rank",
        "worst_rank",
    ),
    *("status", "measured", "expected", "seeds", "clean_images", "triggered_images"),
    *(f"{name}{part}" for name in FIGURES for part in ("", "_low", "_high", "_by_seed")),
    *(*DETECTION_FIGURES, "flagged", *UTILITY_FIGURES, "seconds", "peak_bytes", "clean_samples"),
    *("oracle", "stale", "trust", "reason", "clean_fpr"),
)
_COUNTS = (
    "best_rank",
    "worst_rank",
    "measured",
    "expected",
    "clean_images",
    "triggered_images",
    "peak_bytes",
    "clean_samples",
)
TYPES = (
    dict.fromkeys(_COUNTS, "int64")
    | dict.fromkeys(
        ("table", "protocol", "dataset", "model", "attack", "defense", "place", "status", "seeds"),
        "string",
    )
    | dict.fromkeys(("trust", "reason", *(f"{name}_by_seed" for name in FIGURES)), "string")
    | dict.fromkeys(("oracle", "stale"), "bool")
)
"""Types of the columns that are no floats."""
