"""Short names for methods: the plugin's own name, with the parameters in which methods of the same
name differ.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from benchbd.leaderboard.board.text import label
from benchbd.record.keys import canonical_json
from benchbd.record.plugin_record import PluginRecord


@dataclass(frozen=True, slots=True)
class Method:
    """A plugin with its parameters, as a table names it. Two are the same when their
    `identity` is.
    """

    identity: str
    name: str = field(compare=False)
    provider: str = field(compare=False)
    results_version: int = field(compare=False)
    params: dict[str, Any] = field(compare=False)

    @classmethod
    def of(cls, provided: PluginRecord) -> Method:
        variant = provided.params.get("variant")
        name = f"{provided.name}:{variant}" if variant else provided.name
        return cls(
            provided.signature,
            name,
            provided.provider,
            provided.results_version,
            provided.params,
        )

    @property
    def kin(self) -> str:
        """A text that is equal for methods that differ only in numbers, such as the points of a
        sweep.
        """
        words = {
            name: value
            for name, value in self.params.items()
            if isinstance(value, bool) or not isinstance(value, int | float)
        }
        return canonical_json([self.provider, self.name, words])

    def features(self) -> dict[str, str]:
        """Return everything by which two methods of one name may differ, as text."""
        values = {name: json.dumps(value).strip('"') for name, value in self.params.items()}
        return values | {"results_version": str(self.results_version)}


def labels(methods: Iterable[Method]) -> dict[Method, str]:
    """Return a label for each method, no two alike."""
    by_name: dict[str, list[Method]] = defaultdict(list)
    for method in sorted(set(methods), key=lambda m: m.identity):
        by_name[method.name].append(method)
    return {method: text for group in by_name.values() for method, text in _apart(group).items()}


def _apart(group: list[Method]) -> dict[Method, str]:
    """Return labels of methods that share a name: the provider and the parameters in which they
    differ are added.
    """
    features = [method.features() for method in group]
    names = sorted(set().union(*features))
    differing = [name for name in names if len({each.get(name) for each in features}) > 1]
    several_providers = len({method.provider for method in group}) > 1
    found = {}
    for method, each in zip(group, features, strict=True):
        name = f"{method.provider}/{method.name}" if several_providers else method.name
        settings = ", ".join(f"{key}={each[key]}" for key in differing if key in each)
        found[method] = label(f"{name} ({settings})" if settings else name)
    return found
