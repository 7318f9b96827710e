"""Cells for tests of the leaderboard, made up from counts, with right keys and digests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchbd.engine.recipe import Recipe
from benchbd.measure.shares import Counts, Metrics
from benchbd.record.cell import Cell, CellCost, Flags, Status, StatusCode
from benchbd.record.cells import ResultStore
from benchbd.record.ingredients import Coordinates
from benchbd.record.plugin_record import PluginRecord

CLEAN, TRIGGERED = 1000, 900
BASELINE = Metrics(acc=0.95, asr=1.0, rc=0.0)


def provided(name: str, provider: str = "somebody", **params: Any) -> PluginRecord:
    return PluginRecord(
        name=name, provider=provider, version="1.0", results_version=1, params=params
    )


def attack_named(name: str, **params: Any) -> PluginRecord:
    return provided(name, poison_ratio=0.0 if name == "nothing" else 0.1, **params)


def make_cell(
    attack: str | PluginRecord = "patch",
    defense: str | PluginRecord = "mend",
    seed: int = 0,
    hits: tuple[int, int, int] | None = (900, 90, 720),
    code: StatusCode = "ok",
    reason: str = "",
    **more: Any,
) -> Cell:
    """A sealed cell. `hits`: of 1,000 clean images right, of 900 triggered ones as the attacker
    wants, and right.
    """
    about = Coordinates(
        dataset=more.pop("dataset", provided("pictures", size=8)),
        model=more.pop("model", provided("net")),
        attack=attack_named(attack) if isinstance(attack, str) else attack,
        defense=provided(defense) if isinstance(defense, str) else defense,
        recipe=more.pop("recipe", Recipe(epochs=2).params),
        clean_budget=more.pop("clean_budget", 0.05),
        seed=seed,
    )
    cell = Cell(
        schema=1,
        key="",
        protocol=more.pop("protocol", "trial@1"),
        status=Status(code=code, reason=reason, stage="" if code == "ok" else "defense"),
        cell=about,
        cost=more.pop(
            "cost",
            CellCost(
                attack_seconds=60.0, defense_seconds=2.0 + seed, peak_bytes=10**8, clean_samples=50
            ),
        ),
        flags=Flags(oracle=more.pop("oracle", False), stale=more.pop("stale", False)),
        **(measured(hits, more.pop("baseline", BASELINE)) if code == "ok" and hits else {}),
        **more,
    )
    return cell.model_copy(update={"key": cell.cell.key(cell.protocol)}).sealed()


def measured(hits: tuple[int, int, int], baseline: Metrics | None) -> dict[str, Any]:
    counts = Counts(
        clean=CLEAN, clean_hits=hits[0], triggered=TRIGGERED, attack_hits=hits[1], true_hits=hits[2]
    )
    return {
        "counts": counts,
        "metrics": Metrics.from_counts(counts, baseline),
        "baseline": baseline,
    }


def store(cells: Sequence[Cell], folder: Path) -> Path:
    """Write cells as result files, each in its place; the folder."""
    for cell in cells:
        ResultStore(folder).write(cell.place, cell)
    return folder
