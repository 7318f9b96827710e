"""A plugin under check: its class, its parameters, and the outcome of a trial of its verb."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from annotated_types import Ge, Gt

from benchbd.api import Analysis, Attack, Model, NotApplicable
from benchbd.defense.defense import Defense
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.provenance import entry_of
from benchbd.testing.result import CheckLevel, NotSeen
from benchbd.testing.tiny_data import ARCHITECTURES
from benchbd.testing.trial import Trial, VerbInputs, hand_over, try_verb

Family = TypeVar("Family", bound=Plugin)

COUNT_NAMES = re.compile(r"(^|_)(epochs?|iters?|iterations?|rounds?|steps|repeats?)$")
"""Names of parameters that say how long a method works."""

FEW_ROUNDS = 3

GATES = ("contract_is_kept", "defaults_construct")
"""Checks that come first. A plugin that fails one of them would fail the others for the same
reason, so they are not run.
"""


@dataclass(eq=False)
class Subject:
    """A plugin under check. settings: parameters that its author wants it to be checked with.
    notes: what checks have found out once.
    """

    cls: type[Plugin]
    level: CheckLevel = "smoke"
    settings: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def plugin(self) -> Plugin:
        """The plugin with its defaults at level full, and with small numbers of epochs and rounds
        at the levels below.
        """
        try:
            return self.cls(**(quick(self.cls) if self.level != "full" else {}) | self.settings)
        except Exception as error:
            raise NotSeen(f"it could not be built ({error}); see defaults_construct") from None

    def plugin_as(self, family: type[Family]) -> Family:
        """Return `plugin`, which is of `family` because the check was registered for it."""
        plugin = self.plugin
        assert isinstance(plugin, family)
        return plugin

    @cached_property
    def unfit(self) -> str:
        """The gate that this plugin fails; empty if it passes both."""
        try:
            self.cls.require_contract()
        except Exception:  # the check itself reports the error
            return GATES[0]
        try:
            self.full  # noqa: B018 - building it is the question
        except Exception:
            return "" if self.settings else GATES[1]
        return ""

    @property
    def full(self) -> Plugin:
        """The plugin with its defaults, whatever the level."""
        return self.cls(**self.settings)

    @property
    def must_apply(self) -> bool:
        """Whether a correct plugin must find something to work on here. Plugins for images,
        machines or work elsewhere need not.
        """
        entry = entry_of(self.cls)
        return issubclass(self.cls, Attack | Defense | Analysis | Model) and (
            entry is None or entry.card.get("role") != "imported"
        )

    @cached_property
    def tried(self) -> tuple[str, Trial | BaseException]:
        """The first architecture to which the plugin applies, or else the last one, and the outcome
        of running the verb there once.
        """
        for architecture in ARCHITECTURES:
            attempt = self._attempt(architecture)
            if not (isinstance(attempt, NotApplicable) and self.must_apply):
                break
        return architecture, attempt

    def _attempt(self, architecture: str) -> Trial | BaseException:
        try:
            return try_verb(self.plugin, hand_over(architecture))
        except (Exception, SystemExit) as error:  # a check reports any error
            return error

    @property
    def trial(self) -> Trial:
        """The answer of the verb and what it did. Raises `NotApplicable`, or `NotSeen` when the
        verb did not come to an end.
        """
        _, attempt = self.tried
        if isinstance(attempt, NotApplicable | NotSeen):
            raise attempt
        if isinstance(attempt, BaseException):
            raise NotSeen("its verb raised; see runs")
        return attempt

    @property
    def architecture(self) -> str:
        """The architecture on which it was tried. Raises like `trial`."""
        self.trial  # noqa: B018 - raises where there is nothing more to try
        return self.tried[0]

    def hand_over(self, poison_ratio: float = 0.2) -> VerbInputs:
        """Return fresh copies of the inputs of its verb, for the architecture on which it was
        tried. Raises like `trial`.
        """
        return hand_over(self.architecture, poison_ratio)


def quick(cls: type[Plugin]) -> dict[str, Any]:
    """Return parameters with which a method is done in a moment: those that it states as `quick`,
    and small counts.
    """
    small = {}
    for name, spec in cls.model_fields.items():
        default = spec.get_default(call_default_factory=True)
        if (
            COUNT_NAMES.search(name)
            and isinstance(default, int)
            and not isinstance(default, bool)
            and default > FEW_ROUNDS
        ):
            least = [bound.ge for bound in spec.metadata if isinstance(bound, Ge)]
            least += [bound.gt + 1 for bound in spec.metadata if isinstance(bound, Gt)]  # type: ignore[operator]
            small[name] = max([FEW_ROUNDS, *least])  # type: ignore[type-var]
    return small | cls.quick
