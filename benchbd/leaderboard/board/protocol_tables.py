"""The tables into which the cells of a protocol go: one table, or the named ones of its rules.

A ranking compares defenses over the same attacked models. A protocol that sets repairs before some
attacks and filters before others says so in its `include` rules, and each rule with a name is a
table of its own. So a cell that the protocol never asked for is not missing in any table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

from benchbd.leaderboard.board.row import Row
from benchbd.running.protocol import Protocol, stored_protocol


def placed(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield each row once for every table that it belongs to, with that table's name in its
    `where`.
    """
    protocol_of = cache(stored_protocol)
    for row in rows:
        protocol = protocol_of(row.where.protocol)
        for table in _tables(row, protocol) if protocol else ("",):
            yield replace(row, where=replace(row.where, table=table))


def _tables(row: Row, protocol: Protocol) -> tuple[str, ...]:
    """Return the tables of a cell. A method that the protocol does not name stands in each table
    that has the other method of its cell.
    """
    coordinates = {
        "dataset": row.where.dataset.name,
        "model": row.where.model.name,
        "attack": row.attack.name,
        "seed": row.seed,
    }
    coordinates |= {
        "poison_ratio": row.attack.params.get("poison_ratio"),
        "defense": row.defense.name,
    }
    rules = protocol.joined("attack", row.attack.name).joined("defense", row.defense.name).include
    return tuple(dict.fromkeys(rule.table for rule in rules if rule.fits(**coordinates))) or ("",)
