"""Rows and columns of a table that are several times the same: points of a sweep of one defense,
ratios of one attack.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from benchbd.leaderboard.board.method_names import Method
from benchbd.running.protocol import stored_protocol


def threats_of(attacks: Mapping[Method, str]) -> dict[str, str]:
    """Of each attack, by its label, the name of its threat. Attacks that differ in numbers alone
    are one threat, called by the method's name, or by its first label where another threat has
    that.
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
    """Labels of the rows that are no rivals of their own: of defenses that differ in numbers alone
    all but the first one in the protocol, which was chosen before there was any result.
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
