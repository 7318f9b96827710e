"""The main findings of a table in a few sentences: the best defense, the attacks that it stops, and
its price. Each sentence is made by rule from the figures of the table; none is written by hand.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchbd.leaderboard.board.contents import THREAT_ASR, DefenseFacts, Section
from benchbd.leaderboard.board.families import MODEL_DETECTOR
from benchbd.leaderboard.board.paired_tests import ALPHA
from benchbd.leaderboard.board.ranking import Rank
from benchbd.measure.shares import percent

Topic = Literal["repairs", "training", "detectors", "undefended"]
SUBJECTS: tuple[Topic, ...] = ("repairs", "training", "detectors", "undefended")
"""The subjects that a table can have, in the order in which a reader meets them."""

_OF_FAMILY: dict[str, Topic] = {
    "repair": "repairs",
    "robust-training": "training",
    "data-filter": "training",
    "input-detector": "detectors",
    MODEL_DETECTOR: "detectors",
}
TOOK = f"An attack took when its ASR without a defense is {100 * THREAT_ASR:g} % or more."
MOST_NAMES = 8
"""The most names in a sentence. The others are counted at its end."""


def subject(defenses: Sequence[DefenseFacts]) -> Topic:
    """Return the subject of a table: the kind to which most of its defenses belong."""
    found = Counter(_OF_FAMILY.get(d.kind.family, "repairs") for d in defenses if d.contends)
    return (
        max(SUBJECTS, key=lambda name: (found[name], -SUBJECTS.index(name)))
        if found
        else ("undefended")
    )


@dataclass(frozen=True)
class Overview:
    """One table from which sentences are made."""

    section: Section

    @property
    def threats(self) -> list[str]:
        """Attacks that took without a defense."""
        return [attack.label for attack in self.section.attacks if attack.threat]

    @property
    def ranked(self) -> list[Rank]:
        """Ranked defenses that somebody could use, best mean DER first."""
        contending = {d.label for d in self.section.defenses if d.contends}
        standings = self.section.ranking.standings
        return [s for s in standings if s.place == "ranked" and s.defense in contending]

    def answers(self) -> dict[str, list[str]]:
        """Return the answers of the table: for each question its sentences."""
        if not self.ranked or "asr" not in self.ranked[0].aggregates:
            return {"Against what?": [self._attacks()]}
        return {
            "Which defense?": [*self._which(), *self._certainty()],
            "Against what?": [self._attacks(), TOOK, *self._against()],
            "At what price?": [*self._price()],
        }

    def line(self) -> str:
        """Return the table in one line: the attacks that took, the first defense, and how sure its
        place is.
        """
        if not self.ranked or "asr" not in self.ranked[0].aggregates:
            return self._attacks()
        first = self.ranked[0]
        best = f"{self._told(first)}, rank {_ranks(first)} of {self._places()}"
        found = self._detection() if subject(self.section.defenses) == "detectors" else ""
        return f"{self._attacks()} First by mean DER: {best}.{found}"

    def tied(self) -> list[str]:
        """Defenses that are not shown to be worse than the first."""
        first = self.ranked[0].defense
        mine = {s.defense for s in self.ranked}
        return [
            c.worse
            for c in self.section.ranking.comparisons
            if c.better == first and c.adjusted >= ALPHA and c.worse in mine
        ]

    def _attacks(self) -> str:
        poisoned = [a for a in self.section.attacks if not a.healthy]
        weak = [a.label for a in poisoned if not a.threat]
        said = f"{len(self.threats)} of {len(poisoned)} attacks took"
        return f"{said}; not {_listed(weak)}." if weak else f"{said}."

    def _which(self) -> Iterator[str]:
        first = self.ranked[0]
        asr, acc = first.aggregates["asr"].mean, first.aggregates["acc"].mean
        before = self._before()
        fell = f"from {percent(before[0])} % to {percent(asr)} %" if before else f"{percent(asr)} %"
        kept = f"from {percent(before[1])} % to {percent(acc)} %" if before else f"{percent(acc)} %"
        yield (
            f"By mean DER {first.defense} comes first: over the {len(self.threats)} attacks that "
            f"took it brings ASR, the share of triggered images that fool the model, {fell} on "
            f"average, and ACC, the share of clean images that are recognised, {kept}."
        )

    def _certainty(self) -> Iterator[str]:
        tied, others = self.tied(), len(self.ranked) - 1
        if not others:
            return
        if tied:
            yield (
                f"The tests do not tell it from {len(tied)} of the {others} others: "
                f"{_listed(tied)}."
            )
        else:
            yield f"It is shown to be better than each of the {others} others."

    def _against(self) -> Iterator[str]:
        left = [(a.survival, a.label) for a in self.section.attacks if a.threat and a.survival]
        if left:
            survival, hardest = max(left, key=lambda pair: (pair[0], pair[1]))
            yield (
                f"The hardest attack is {hardest}: defenses leave it an ASR of "
                f"{percent(survival)} % on average."
            )
        worst = self.ranked[0].aggregates["asr"]
        yield (
            f"{self.ranked[0].defense} does worst against {worst.worst_attack}: ASR "
            f"{percent(worst.worst)} %."
        )

    def _price(self) -> Iterator[str]:
        first = self.ranked[0]
        yield f"{first.defense} took {self._cost(first.defense)}."
        rivals = [s for s in self.ranked if s.defense in {first.defense, *self.tied()}]
        cheapest = min(rivals, key=lambda s: (self._facts(s.defense).cost["seconds"], s.defense))
        if cheapest is not first:
            yield (
                f"The quickest of those that the tests do not tell from it is "
                f"{self._told(cheapest)}, {self._cost(cheapest.defense)}."
            )
        free = [s for s in self.ranked if not self._facts(s.defense).clean_images]
        if free and free[0] is not first:
            yield f"Without any clean image the best is {self._told(free[0])}."

    def _detection(self) -> str:
        """Return sentences about the detector with the highest AUROC over all models, and about the
        detectors of models.
        """
        kinds = [d for d in self.section.defenses if d.contends and d.detecting]
        inputs = [
            (d.detecting.auroc, d.label)
            for d in kinds
            if d.detecting
            and d.detecting.balanced is None
            and d.detecting.auroc is not None
            and d.detecting.models == d.detecting.attacked
        ]
        said = ""
        if inputs:
            auroc, name = max(inputs)
            said = f" Triggered inputs are told best by {name}, AUROC {auroc:.3f}."
        for d in kinds:
            facts = d.detecting
            if facts and facts.balanced is not None and facts.tpr is not None:
                said += (
                    f" {d.label} flags {percent(facts.tpr)} % of {facts.models} attacked models "
                    f"and {percent(facts.clean_fpr)} % of {facts.clean_models} sound ones."
                )
        return said

    def _told(self, standing: Rank) -> str:
        asr, acc = standing.aggregates["asr"].mean, standing.aggregates["acc"].mean
        return f"{standing.defense} (ASR {percent(asr)} %, ACC {percent(acc)} %)"

    def _cost(self, defense: str) -> str:
        facts = self._facts(defense)
        clean = facts.clean_images
        images = f"{clean:,.0f} clean images" if clean else "no clean image"
        return f"{facts.cost['seconds']:.1f} s and {images}"

    def _places(self) -> int:
        return sum(s.place == "ranked" for s in self.section.ranking.standings)

    def _facts(self, defense: str) -> DefenseFacts:
        return next(d for d in self.section.defenses if d.label == defense)

    def _before(self) -> tuple[float, float] | None:
        """Return ASR and ACC without a defense, as means over the threats."""
        baselines = [a.baseline for a in self.section.attacks if a.threat]
        if not baselines or any(not {"asr", "acc"} <= each.keys() for each in baselines):
            return None
        asr, acc = (statistics.fmean(b[name].mean for b in baselines) for name in ("asr", "acc"))
        return asr, acc


def main_table(sections: Sequence[Section]) -> int | None:
    """Return the place of the table with which a board begins: the one in which most attacks took,
    among the tables about repairs, or else among all; only tables with a ranked defense count. It
    is None where there is none.
    """
    found = [(place, Overview(s)) for place, s in enumerate(sections)]
    known = [(place, each) for place, each in found if each.ranked]
    repairs = [(p, o) for p, o in known if subject(o.section.defenses) == "repairs"]
    chosen = max(repairs or known, key=lambda pair: (len(pair[1].threats), -pair[0]), default=None)
    return chosen[0] if chosen else None


def _ranks(standing: Rank) -> str:
    return "-".join(map(str, dict.fromkeys(standing.ranks or ())))


def _listed(names: Sequence[str]) -> str:
    shown, more = names[:MOST_NAMES], len(names) - MOST_NAMES
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
