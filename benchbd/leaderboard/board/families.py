"""The kind of a method: its family, what an attack does to labels, and whether a defense holds
clean data.

A result states the family itself. Facts that it does not state come from the catalogue that ships
with benchbd, and from no other, so that the same results give the same board whatever else is
installed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchbd.leaderboard.board.method_names import Method
from benchbd.leaderboard.board.row import Row
from benchbd.plugin.entry import BUNDLED_PROVIDER
from benchbd.plugin.registry import entries
from benchbd.record.keys import MODEL_ONLY

ATTACK_FAMILIES = ("data-poisoning", "training-controlled", MODEL_ONLY)
MODEL_DETECTOR = "model-detector"
DEFENSE_FAMILIES = ("repair", "robust-training", "data-filter", "input-detector", MODEL_DETECTOR)
UNKNOWN_FAMILY = "unknown"


@dataclass(frozen=True, slots=True)
class MethodOrigin:
    """Where a method comes from: title, authors, year and address of its paper, its authors' code,
    its page under docs/, and what came out beside the reference code. Empty where nothing is
    stated.
    """

    paper: str = ""
    authors: str = ""
    year: int | None = None
    url: str = ""
    code: str = ""
    page: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class AttackKind:
    """What kind of attack a method is: its family, what it does to labels, a summary in one line,
    and where it comes from.
    """

    family: str
    labels: str
    summary: str
    source: MethodOrigin


@dataclass(frozen=True, slots=True)
class DefenseKind:
    """What kind of defense a method is: its family, whether it holds clean data, a summary in one
    line, and where it comes from.
    """

    family: str
    clean_data: bool
    summary: str
    source: MethodOrigin


def attack_kind(method: Method, rows: Iterable[Row]) -> AttackKind:
    """Return the kind of an attack. Its `labels` are `clean-label`, or the label mode of its
    parameters, such as `all-to-one`, unless nothing is poisoned.
    """
    card = _card("attack", method)
    return AttackKind(
        _family(card, [row.attack_family for row in rows], ATTACK_FAMILIES),
        _labels(card, method),
        str(card.get("summary", "")),
        _source("attack", card, method),
    )


def defense_kind(method: Method, rows: Iterable[Row]) -> DefenseKind:
    """Return the kind of a defense. If nothing is stated about its clean data, it needs some if it
    was handed some.
    """
    mine = list(rows)
    card = _card("defense", method)
    clean_data = (
        "clean_data" in card if card else any(row.cost["clean_samples"] > 0 for row in mine)
    )
    return DefenseKind(
        _family(card, [row.defense_family for row in mine], DEFENSE_FAMILIES),
        clean_data,
        str(card.get("summary", "")),
        _source("defense", card, method),
    )


def _source(kind: str, card: dict[str, Any], method: Method) -> MethodOrigin:
    """Return what the catalogue says about the origin of a method."""
    if not card:
        return MethodOrigin()
    paper, reference = card.get("paper", {}), card.get("reference", {})
    year = paper.get("year")
    return MethodOrigin(
        str(paper.get("title", "")),
        str(paper.get("authors", "")),
        year if isinstance(year, int) else None,
        _address(paper.get("url")),
        _address(reference.get("code")),
        f"plugins/{kind}/{method.name.partition(':')[0]}.md",
        str(card.get("verdict", "")),
    )


def _address(value: Any) -> str:
    return value if isinstance(value, str) and value.startswith("https://") else ""


def _labels(card: dict[str, Any], method: Method) -> str:
    mode = method.params.get("label_mode")
    if method.params.get("poison_ratio") == 0:
        return "nothing poisoned"
    if card.get("label_mode") == "clean":
        return "clean-label"
    return _word(mode) if isinstance(mode, str) else UNKNOWN_FAMILY


def _family(card: dict[str, Any], said: list[str], known: tuple[str, ...]) -> str:
    """Return the family that the results say, or else the catalogue, if there is such a family."""
    stated = (*said, card.get("family", ""))
    return next((family for family in stated if family in known), UNKNOWN_FAMILY)


def _card(kind: str, method: Method) -> dict[str, Any]:
    """Return the card of a bundled method from the catalogue; empty for all other methods."""
    if method.provider != BUNDLED_PROVIDER:
        return {}
    name = method.name.partition(":")[0]
    return next(
        (
            entry.card
            for entry in entries(kind)
            if (entry.provider, entry.name) == (BUNDLED_PROVIDER, name)
        ),
        {},
    )


def _word(text: str) -> str:
    """Return `all-to-one` for `all_to_one`."""
    from benchbd.leaderboard.board.text import label

    return label(text).replace("_", "-")
