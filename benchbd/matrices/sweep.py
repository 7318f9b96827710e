"""Sweeps: the cells of a protocol along one axis, such as the poison ratio or the number of clean
images.

At each value the protocol is the same but for that one thing, and so are its name, its seeds and
its keys: a sweep of one value is the cell of the matrix. Its results lie in a folder of their own,
because the values of an axis are no rivals of one another and no threats of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from benchbd.errors import ConfigError, nearest
from benchbd.matrices.plan import Selection
from benchbd.plugin.registry import create, load
from benchbd.record.keys import UNDEFENDED
from benchbd.running.protocol import Choice, Protocol

RANGE = re.compile(r"(\d+)\.\.(\d+)")
"""Whole numbers from one to another, such as 0..9."""

AXES = ("poison_ratio", "clean_images", "model", "target")
"""Axes beside the parameters of attacks and defenses, `attack.PARAM` and `defense.PARAM`."""


@dataclass(frozen=True)
class Axis:
    """What is varied, and its values as a person writes them."""

    name: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Axis:
        """Return the axis of `AXIS=VALUE,VALUE,...`; `0..9` stands for ten whole numbers. Raises
        `ConfigError`.
        """
        name, sign, listed = (part.strip() for part in text.partition("="))
        whole = RANGE.fullmatch(listed)
        values = (
            tuple(str(number) for number in range(int(whole[1]), int(whole[2]) + 1))
            if whole
            else tuple(dict.fromkeys(filter(None, (part.strip() for part in listed.split(",")))))
        )
        if not sign or not values:
            raise ConfigError(
                f"--over: expected AXIS=VALUE,VALUE,... such as poison_ratio=0.01,0.1, got {text!r}"
            )
        kind, dot, parameter = name.partition(".")
        if name not in AXES and not (dot and parameter and kind in ("attack", "defense")):
            known = f"there are {', '.join(AXES)}, attack.PARAM and defense.PARAM"
            raise ConfigError(f"--over: no axis {name!r}{nearest(name, AXES, known)}")
        return cls(name, values)

    @cached_property
    def numbers(self) -> tuple[float, ...] | None:
        """The values as numbers; None where one of them is none."""
        try:
            return tuple(map(float, self.values))
        except ValueError:
            return None

    def protocols(self, base: Protocol, chosen: Selection) -> list[Protocol]:
        """Return the protocol at each value, with the chosen attacks and defenses alone. Raises
        `ConfigError` for a value that does not fit.
        """
        whole = base.model_copy(
            update={
                "attacks": _chosen("attack", chosen.attacks, base),
                "defenses": _chosen("defense", chosen.defenses, base),
                "include": (),
                "exclude": (),
                "poison_ratios": (),
            }
        )
        return [self._at(whole, value) for value in self.values]

    def _at(self, protocol: Protocol, value: str) -> Protocol:
        kind, dot, parameter = self.name.partition(".")
        if dot:
            return _with(protocol, kind, parameter, value)
        if self.name == "poison_ratio":
            return _with(protocol, "attack", "poison_ratio", value)
        if self.name == "target":
            return _with(protocol, "attack", "target", value)
        if self.name == "model":
            return protocol.model_copy(update={"models": (Choice(name=value),)})
        return protocol.model_copy(update={"clean_budget": _budget(protocol, value)})


def _chosen(kind: str, names: Sequence[str], base: Protocol) -> tuple[Choice, ...]:
    if not names:
        raise ConfigError(f"name what the sweep is of: --{kind} NAME, once or more often")
    return tuple(Choice(name=name, params=base.params_of(kind, name)) for name in names)


def _with(protocol: Protocol, kind: str, parameter: str, value: str) -> Protocol:
    """Return the protocol with one parameter of all its attacks or defenses set. Raises
    `ConfigError` where one of them has no such parameter, but for the undefended model.
    """
    choices = []
    for choice in protocol.choices[kind]:
        cls = load(kind, choice.name)
        if parameter in cls.model_fields or choice.name != UNDEFENDED:
            given = choice.params | {parameter: cls.parse(parameter, value)}
            plugin = create(kind, choice.name, given)  # a value out of its range is refused now
            typed = {parameter: plugin.all_params[parameter]}
            choice = choice.model_copy(update={"params": choice.params | typed})
        choices.append(choice)
    return protocol.model_copy(update={f"{kind}s": tuple(choices)})


def _budget(protocol: Protocol, value: str) -> float:
    """Return the share of the training set that so many images are."""
    from benchbd.victim.dataset import DataSet

    if not value.isdecimal() or not int(value):
        raise ConfigError(f"--over: expected whole numbers of clean images, got {value!r}")
    data = protocol.datasets[0]
    total = len(create(DataSet, data.name, data.params).load("train"))
    if int(value) > total:
        raise ConfigError(f"--over: {value} clean images are more than the {total} that there are")
    return int(value) / total
