"""Rows and columns of a table that show the same method several times: the points of a sweep of one
defense, the ratios of one attack.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from benchbd.leaderboard.board.method_names import Method
from benchbd.running.protocol import stored_protocol


def threats_of(attacks: Mapping[Method, str]) -> dict[str, str]:
    """Return the name of the threat of each attack, by its label. Attacks that differ only in
    numbers are one threat. It has the method's name, or its first label where another threat has
    that name.
    """
    groups = _kin(attacks)
    names = [methods[0].name for methods in groups]
    found: dict[str, str] = {}
    for methods in groups:
        name, labels = methods[0].name, sorted(attacks[method] for method in methods)
        own = name if len(labels) > 1 and names.count(name) == 1 else labels[0]
        found |= dict.fromkeys(labels, own)
    return found


def variants(defenses: Mapping[Method, str], protocol: str) -> list[str]:
    """Return the labels of the rows that do not compete. Of defenses that differ only in numbers,
    these are all but the one that stands first in the protocol, because it was chosen before there
    was any result.
    """
    stored = stored_protocol(protocol)
    listed = stored.defenses if stored is not None else ()

    def order(method: Method) -> tuple[int, str]:
        places = (
            place
            for place, choice in enumerate(listed)
            if choice.called == method.name and choice.params.items() <= method.params.items()
        )
        return next(places, len(listed)), defenses[method]

    return [
        defenses[method] for methods in _kin(defenses) for method in sorted(methods, key=order)[1:]
    ]


def _kin(methods: Mapping[Method, str]) -> list[list[Method]]:
    groups: dict[str, list[Method]] = defaultdict(list)
    for method in methods:
        groups[method.kin].append(method)
    return list(groups.values())
