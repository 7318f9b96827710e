"""Which tensor of a foreign table is which parameter of our network: one prefix before all names is
taken away, and usual other names of the same layers are known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile

from torch import Tensor

MEANS, DEVIATIONS = ("mean", "means", "mu", "_mean"), ("std", "stds", "sigma", "_std")
"""Usual names of the two tensors of a layer that normalises images."""

COUNTERS = "num_batches_tracked"
"""Buffers that old versions of PyTorch did not store, and that no prediction depends on."""

PROFILED = ("total_ops", "total_params")
"""Counts of operations that a profiler leaves among the parameters."""

HEADS = "head|fc|linear|classifier|last_linear|logits|head.fc|classifier.0|fc.0"
_HEAD = re.compile(rf"({HEADS.replace('.', '[.]')})[.](weight|bias)")
_SHORTCUT = re.compile(r"(^|[.])(shortcut|downsample|skip)[.]")

StateDict = Mapping[str, Tensor]
Spelling = Callable[[str], str]


def usual(name: str) -> str:
    """Return one spelling for the usual names of a last layer and of a shortcut.

    >>> usual("layer2.0.shortcut.0.weight"), usual("linear.weight")
    ('layer2.0.downsample.0.weight', 'head.weight')
    """
    if (head := _HEAD.fullmatch(name)) is not None:
        return f"head.{head[2]}"
    return _SHORTCUT.sub(r"\1downsample.", name)


@dataclass(frozen=True)
class Naming:
    """One way to read a table. prefix: what stands before the names; names: the name in the table
    for each of ours that it has; missing: ours that it lacks; strange: those with the prefix that
    we do not know; aside: those without it.
    """

    prefix: str
    names: dict[str, str]
    missing: tuple[str, ...]
    strange: tuple[str, ...] = ()
    aside: tuple[str, ...] = field(default=())

    @property
    def is_whole(self) -> bool:
        """Return whether each of our parameters has been found."""
        return not self.missing


def namings(
    own: Iterable[str], elsewhere: Mapping[str, str], given: StateDict, prefix: str | None = None
) -> list[Naming]:
    """Return the ways to read `given`, whole ones first, then those that find most.

    own: the names in our network; elsewhere: what each is called in the usual implementation.
    prefix: the only one that may be taken away; unset: any.
    """
    own = list(own)
    spelled = [{name: name for name in own}, dict(elsewhere)]
    prefixes = [prefix] if prefix is not None else _prefixes(spelled, given)
    found = [_read(each, spelled, given) for each in prefixes]
    return sorted(found, key=lambda naming: (len(naming.missing), len(naming.strange)))


def common_prefix(names: Iterable[str]) -> str:
    """Return the longest beginning up to a dot that all names share.

    >>> common_prefix(["model.conv.weight", "model.conv.bias"])
    'model.conv.'
    """
    levels = zip(*(name.split(".")[:-1] for name in names), strict=False)
    shared = [level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)]
    return ".".join([*shared, ""])


def _prefixes(spelled: Iterable[Mapping[str, str]], given: StateDict) -> list[str]:
    """Return the prefixes that stand in `given` before a name that we know, the most frequent
    first. The empty prefix comes before all others.
    """
    endings = {spell(name) for names in spelled for name in names.values() for spell in _SPELLINGS}
    counts = Counter[str]()
    for name in given:
        parts = name.split(".")
        for cut in range(len(parts)):
            rest = ".".join(parts[cut:])
            if rest in endings or usual(rest) in endings:
                counts[".".join([*parts[:cut], ""])] += 1
    return ["", *(prefix for prefix, _ in counts.most_common(8) if prefix)]


def _as_it_is(name: str) -> str:
    return name


_SPELLINGS: tuple[Spelling, ...] = (_as_it_is, usual)


def _read(prefix: str, spelled: Iterable[Mapping[str, str]], given: StateDict) -> Naming:
    """Return the best of our spellings for the names with that prefix."""
    inside = {name.removeprefix(prefix): name for name in given if name.startswith(prefix)}
    aside = tuple(
        name for name in given if not name.startswith(prefix) and not _is_apart(_last(name))
    )
    found = [
        _matched(prefix, names, inside, aside, spell) for spell in _SPELLINGS for names in spelled
    ]
    return min(found, key=lambda naming: (len(naming.missing), len(naming.strange)))


def _matched(
    prefix: str,
    ours: Mapping[str, str],
    inside: Mapping[str, str],
    aside: tuple[str, ...],
    spell: Spelling,
) -> Naming:
    there = {spell(name): name for name in inside}
    names = {own: inside[there[s]] for own, name in ours.items() if (s := spell(name)) in there}
    missing = [
        name for own, name in ours.items() if own not in names and not own.endswith(COUNTERS)
    ]
    known = {*names.values()}
    strange = [
        name for name, full in inside.items() if full not in known and not _is_apart(_last(name))
    ]
    return Naming(prefix, names, tuple(missing), tuple(strange), aside)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _is_apart(last: str) -> bool:
    """Return whether a tensor of that name is not a parameter of the network: something else reads
    it, or nothing does.
    """
    return last in (*MEANS, *DEVIATIONS, *PROFILED, COUNTERS)
