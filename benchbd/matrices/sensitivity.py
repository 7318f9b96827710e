"""Sensitivity studies: how much the results of a defense depend on its hyper-parameters. Each
parameter is varied alone while the others keep their values.

A study is a protocol with few attacks and many variations of the defense, so it runs like a matrix:
several cells at a time, resumed after a crash, nothing run twice. The stability score of a
parameter is the mean absolute change of ACC and of ASR over its variations, attacks and seeds; 0
means that the parameter does not matter.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from benchbd.errors import ConfigError
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import create
from benchbd.record.cell import Cell
from benchbd.running.protocol import Choice, Protocol

FACTORS = (0.25, 0.5, 2.0, 4.0)
"""Factors for a default whose declared range is open at an end."""

RANGE_POINTS = 5
"""Number of values that are tried over a declared range with two ends."""

WHERE_NOT_HOW = frozenset({"ratio", "index"})
"""Parameters of every defense that choose its clean data and not its method."""


def study(protocol: Protocol, attacks: Sequence[str], defense: str) -> Protocol:
    """Return the protocol in which `defense` meets `attacks` with each parameter varied in turn.
    Raises `ConfigError`.
    """
    given = protocol.params_of("defense", defense)
    plain = create("defense", defense, given)
    choices = [Choice(name=defense, params=given)]
    choices += [
        Choice(name=defense, params=given | {name: value}) for name, value in variations(plain)
    ]
    if len(choices) == 1:
        raise ConfigError(f"{defense} has no parameter that could be varied")
    return protocol.model_copy(
        update={
            "name": f"sensitivity-{plain.name.replace('_', '-')}",
            "attacks": tuple(
                Choice(name=name, params=protocol.params_of("attack", name)) for name in attacks
            ),
            "defenses": tuple(choices),
            "include": (),
            "exclude": (),
        }
    )


def variations(plugin: Plugin) -> Iterator[tuple[str, Any]]:
    """Yield a parameter and a value for every value that the plugin accepts, other than its own."""
    for name, field in type(plugin).model_fields.items():
        own = getattr(plugin, name)
        for value in () if name in WHERE_NOT_HOW else _values(own, field):
            if value != own and _accepted(plugin, name, value):
                yield name, value


def _values(own: Any, field: FieldInfo) -> Iterable[Any]:
    """Return other values of a parameter, by its declared type and range. A text, for example, has
    none.
    """
    if isinstance(own, bool):
        return (not own,)
    if get_origin(field.annotation) is Literal:
        return get_args(field.annotation)
    if not isinstance(own, int | float):
        return ()
    bounds = {
        sign: getattr(bound, sign)
        for bound in field.metadata
        for sign in ("ge", "gt", "le", "lt")
        if hasattr(bound, sign)
    }
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if low is not None and high is not None and isinstance(own, float):
        numbers = [low + (high - low) * step / (RANGE_POINTS - 1) for step in range(RANGE_POINTS)]
    else:
        numbers = [own * factor for factor in FACTORS]
    return dict.fromkeys(
        round(number) if isinstance(own, int) else round(number, 12) for number in numbers
    )


def _accepted(plugin: Plugin, name: str, value: Any) -> bool:
    try:
        type(plugin)(**plugin.params | {name: value})
    except ConfigError:
        return False
    return True


@dataclass(frozen=True)
class SensitivityPoint:
    """One value of a parameter: mean ACC and ASR over attacks and seeds, and the number of cells
    with numbers.
    """

    parameter: str
    value: Any
    acc: float | None
    asr: float | None
    measured: int


@dataclass(frozen=True)
class Stability:
    """The points of a parameter, its own value among them, and its score, which is None where
    nothing could be compared.
    """

    parameter: str
    own: Any
    points: tuple[SensitivityPoint, ...]
    score: float | None


def stabilities(cells: Sequence[Cell], defense: Plugin) -> list[Stability]:
    """Return what the cells of a study say about each parameter, starting with the one that matters
    most.
    """
    by_value: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    own, values = [], {}
    unrecorded = {name: defense.default_params()[name] for name in defense.later}
    for cell in cells:
        differing = [
            (name, value)
            for name, value in (unrecorded | cell.cell.defense.params).items()
            if value != defense.all_params.get(name)
        ]
        if not differing:
            own.append(cell)
        for name, value in differing:
            values[name, repr(value)] = value
            by_value[name, repr(value)].append(cell)
    found = []
    for parameter in dict.fromkeys(name for name, _ in by_value):
        here = {values[key]: group for key, group in by_value.items() if key[0] == parameter}
        points = [
            _point(parameter, value, group)
            for value, group in (*here.items(), (defense.all_params[parameter], own))
        ]
        changes = [
            change for group in here.values() for cell in group for change in _changes(cell, own)
        ]
        score = statistics.fmean(changes) if changes else None
        ordered = tuple(
            sorted(points, key=lambda point: (isinstance(point.value, str), point.value))
        )
        found.append(Stability(parameter, defense.all_params[parameter], ordered, score))
    return sorted(found, key=lambda each: -1.0 if each.score is None else each.score, reverse=True)


def _point(parameter: str, value: Any, cells: Sequence[Cell]) -> SensitivityPoint:
    measured = [cell.metrics for cell in cells if cell.metrics is not None]
    asrs = [metrics.asr for metrics in measured if metrics.asr is not None]
    return SensitivityPoint(
        parameter,
        value,
        statistics.fmean(metrics.acc for metrics in measured) if measured else None,
        statistics.fmean(asrs) if asrs else None,
        len(measured),
    )


def _changes(cell: Cell, own: Sequence[Cell]) -> Iterator[float]:
    """Yield the absolute changes of ACC and ASR against the cell of the same attacked model in
    which the plugin has its own values.
    """
    attacked = cell.cell.attack_key
    plain = next((other.metrics for other in own if other.cell.attack_key == attacked), None)
    if cell.metrics is None or plain is None:
        return
    yield abs(cell.metrics.acc - plain.acc)
    if cell.metrics.asr is not None and plain.asr is not None:
        yield abs(cell.metrics.asr - plain.asr)
