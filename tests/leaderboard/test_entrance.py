"""Every sentence of the entrance of the stored board, counted again from the result files alone.

Nothing of benchbd's own is used: which cells stand in a table is read from leaderboard.json, what
they measured from the results, b from trust.json, and who needs clean data from the catalogue.
"""

from __future__ import annotations

import itertools
import json
import re
import statistics
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "leaderboard"
CATALOGUE = yaml.safe_load((ROOT / "registry.yaml").read_text())["defense"]
TRUST = json.loads((BOARD / "trust.json").read_text())
DOCUMENT = json.loads((BOARD / "leaderboard.json").read_text())
FACTS = json.loads(
    re.search(  # type: ignore[union-attr]
        r'<script type="application/json" id="facts">(.*?)</script>',
        (BOARD / "index.html").read_text(),
        re.DOTALL,
    )[1]
)
SAID = FACTS["overview"]
TITLES = [section["title"] for section in DOCUMENT["sections"]]


class Counted:
    """One table from its result files: `cells[defense][attack][seed]`."""

    def __init__(self, place: int) -> None:
        self.cells: dict[str, dict[str, dict[int, Any]]] = defaultdict(lambda: defaultdict(dict))
        for stated in DOCUMENT["cells"]:
            if stated["section"] == place:
                cell = json.loads((BOARD / "results" / stated["file"]).read_text())
                self.cells[stated["defense"]][stated["attack"]][stated["seed"]] = cell
        self.attacks = {attack for row in self.cells.values() for attack in row}
        self.poisoned = sorted(
            a for a in self.attacks if self.of(a)[0]["cell"]["attack"]["params"]["poison_ratio"]
        )
        self.took = [a for a in self.poisoned if self.before(a, "asr") >= 0.1]

    def of(self, attack: str) -> list[Any]:
        return [cell for row in self.cells.values() for cell in row[attack].values()]

    def before(self, attack: str, metric: str) -> float:
        """A share without a defense, the mean over seeds."""
        return statistics.fmean(c["metrics"][metric] for c in self.cells["none"][attack].values())

    def complete(self, defense: str) -> bool:
        wanted = {
            (attack, seed)
            for row in self.cells.values()
            for attack, cells in row.items()
            for seed, cell in cells.items()
            if cell["status"]["code"] == "ok"
        }
        row = self.cells[defense]
        return all(s in row[a] and row[a][s]["status"]["code"] == "ok" for a, s in wanted)

    def contends(self, defense: str) -> bool:
        cells = [cell for seeds in self.cells[defense].values() for cell in seeds.values()]
        return defense != "none" and not any(cell["flags"]["oracle"] for cell in cells)

    @property
    def ranked(self) -> list[str]:
        """Those with a rank, best mean DER first."""
        names = [
            d
            for d in self.cells
            if self.complete(d)
            and (d == "none" or self.contends(d))
            and CATALOGUE[d]["family"] != "model-detector"
        ]
        return sorted(names, key=lambda d: (-self.mean(d, "der"), d))

    def per_attack(self, defense: str, metric: str) -> list[float]:
        row = self.cells[defense]
        return [statistics.fmean(figure(c, metric) for c in row[a].values()) for a in self.took]

    def mean(self, defense: str, metric: str) -> float:
        return statistics.fmean(self.per_attack(defense, metric))

    def attacked(self, defense: str) -> list[Any]:
        return [
            cell
            for attack in self.poisoned
            for cell in self.cells[defense][attack].values()
            if cell["status"]["code"] == "ok"
        ]

    def price(self, defense: str) -> tuple[str, str]:
        costs = [cell["cost"] for cell in self.attacked(defense)]
        seconds = statistics.fmean(cost["defense_seconds"] for cost in costs)
        images = max(cost["clean_samples"] for cost in costs)
        needed = "clean_data" in CATALOGUE[defense] and images
        return f"{seconds:.1f} s", f"{images:,} clean images" if needed else "no clean image"

    def told(self, defense: str) -> str:
        asr, acc = (percent(self.mean(defense, metric)) for metric in ("asr", "acc"))
        return f"{defense} (ASR {asr} %, ACC {acc} %)"

    def shown(self) -> set[tuple[str, str]]:
        """Pairs (better, worse) that the sign-flip tests with Holm's correction tell apart."""
        pairs = list(itertools.combinations(self.ranked, 2))
        p = [flips(numpy.subtract(*(self.per_attack(d, "der") for d in pair))) for pair in pairs]
        found = set()
        for place, index in enumerate(numpy.argsort(p, kind="stable")):
            if p[index] * (len(pairs) - place) >= 0.05:
                break
            found.add(pairs[index])
        return found


def flips(differences: Any) -> float:
    """The share of all sign patterns whose sum is as far from zero, in hundredths of a point."""
    steps = numpy.rint(differences * 10_000)
    signs = numpy.array(list(itertools.product((1, -1), repeat=len(steps))))
    return float((abs(signs @ steps) >= abs(steps.sum())).mean())


def figure(cell: Any, metric: str) -> float:
    """A share of a cell; DER of ASR above b, the share taken for the attacked label untriggered."""
    after, before, key = cell["metrics"], cell["baseline"], cell["key"]
    if metric != "der":
        return float(after[metric])
    b = TRUST[key]["utility"]
    above = max(0, after["asr"] - b["target_rate"])
    above_before = max(0, before["asr"] - b["target_rate_before"])
    return float((max(0, above_before - above) - max(0, before["acc"] - after["acc"]) + 1) / 2)


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


@cache
def table(place: int) -> Counted:
    return Counted(place)


def rank_words(counted: Counted) -> str:
    first, shown = counted.ranked[0], counted.shown()
    worst = len(counted.ranked) - sum(better == first for better, _ in shown)
    return f"1-{worst}" if worst > 1 else "1"


def line(counted: Counted) -> str:
    weak = [a for a in counted.poisoned if a not in counted.took]
    said = f"{len(counted.took)} of {len(counted.poisoned)} attacks took"
    said += f"; not {', '.join(weak)}." if weak else "."
    rivals = [d for d in counted.ranked if d != "none"]
    if rivals:
        of = len(counted.ranked)
        rank = rank_words(counted)
        said += f" First by mean DER: {counted.told(rivals[0])}, rank {rank} of {of}."
    return said


@pytest.mark.parametrize("place", range(len(TITLES)), ids=TITLES)
def test_each_line_of_the_tables(place: int) -> None:
    said = SAID["lines"][place]
    counted = table(place)
    begins = line(counted)
    assert said.startswith(begins)
    for detector, rate, models, sound_rate, sound in re.findall(
        r"(\w+) flags ([\d.]+) % of (\d+) attacked models and ([\d.]+) % of (\d+) sound ones", said
    ):
        healthy = [
            c
            for a in counted.attacks - set(counted.poisoned)
            for c in counted.cells[detector][a].values()
        ]
        for cells, stated, count in (
            (counted.attacked(detector), rate, models),
            (healthy, sound_rate, sound),
        ):
            flagged = [cell["detection"]["flagged"] for cell in cells]
            assert (percent(statistics.fmean(flagged)), str(len(flagged))) == (stated, count)
    if found := re.search(r"told best by (\w+), AUROC ([\d.]+)\.(?= |$)", said):
        auroc = {
            d: statistics.fmean(c["detection"]["auroc"] for c in counted.attacked(d))
            for d in counted.cells
            if counted.contends(d)
            and counted.attacked(d)
            and all("auroc" in (c["detection"] or {}) for c in counted.attacked(d))
            and CATALOGUE[d]["family"] != "model-detector"
        }
        best = max(auroc, key=auroc.__getitem__)
        assert (best, f"{auroc[best]:.3f}") == found.groups()


def test_each_sentence_in_short() -> None:
    counted = table(SAID["main"])
    first, *others = [d for d in counted.ranked if d != "none"]
    apart = {worse for better, worse in counted.shown() if better == first}
    tied = [d for d in others if d not in apart]
    took = counted.took
    answers = dict(SAID["answers"])

    which, sure = answers["Which defense?"]
    found = re.fullmatch(
        r"By mean DER (\w+) comes first: over the (\d+) attacks that took it brings ASR, .*, from "
        r"([\d.]+) % to ([\d.]+) % on average, and ACC, .*, from ([\d.]+) % to ([\d.]+) %\.",
        which,
    )
    before = {m: statistics.fmean(counted.before(a, m) for a in took) for m in ("asr", "acc")}
    assert found is not None and found.groups() == (
        first,
        str(len(took)),
        *(percent(share) for m in ("asr", "acc") for share in (before[m], counted.mean(first, m))),
    )
    named = ", ".join(tied[:8]) + (f" and {len(tied) - 8} more" if len(tied) > 8 else "")
    assert (
        sure == f"The tests do not tell it from {len(tied)} of the {len(others)} others: {named}."
    )
    assert SAID["tied"] == tied

    took_, rule, hardest, worst = answers["Against what?"]
    assert line(counted).startswith(took_) and "10 % or more" in rule
    left = {
        a: statistics.fmean(
            c["metrics"]["asr"]
            for d in counted.cells
            if counted.contends(d) and counted.complete(d)
            for c in counted.cells[d][a].values()
        )
        for a in took
    }
    survivor = max(left, key=left.__getitem__)
    assert hardest == (
        f"The hardest attack is {survivor}: defenses leave it an ASR of "
        f"{percent(left[survivor])} % on average."
    )
    asr, against = max(zip(counted.per_attack(first, "asr"), took, strict=True))
    assert worst == f"{first} does worst against {against}: ASR {percent(asr)} %."

    price, quickest, free = answers["At what price?"]
    assert price == f"{first} took {' and '.join(counted.price(first))}."
    fast = min(
        [first, *tied],
        key=lambda d: statistics.fmean(c["cost"]["defense_seconds"] for c in counted.attacked(d)),
    )
    assert quickest == (
        f"The quickest of those that the tests do not tell from it is {counted.told(fast)}, "
        f"{' and '.join(counted.price(fast))}."
    )
    without = next(d for d in [first, *others] if counted.price(d)[1] == "no clean image")
    assert free == f"Without any clean image the best is {counted.told(without)}."
