"""The contents of a board: everything that the tables and the page show. Renderers add nothing to
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from benchbd.leaderboard.board.detection import DetectionSummary
from benchbd.leaderboard.board.families import AttackKind, DefenseKind
from benchbd.leaderboard.board.interval import Summary
from benchbd.leaderboard.board.last_version import CellPlace, LastVersion, outcome
from benchbd.leaderboard.board.method_names import Method
from benchbd.leaderboard.board.ranking import AttackedModel, Ranking
from benchbd.leaderboard.board.row import Row, TableKey
from benchbd.leaderboard.board.trust import TrustLevel
from benchbd.record.keys import UNDEFENDED

THREAT_ASR = 0.1
"""The mean ASR over seeds, without a defense, from which on an attack is a threat."""


@dataclass(frozen=True, slots=True)
class AttackFacts:
    """One attack of a table. `baseline`: the metrics of the undefended models. `survival`: the mean
    ASR that defenses with complete rows leave.
    """

    label: str
    method: Method
    kind: AttackKind
    poison_ratio: float | None
    baseline: dict[str, Summary]
    survival: float | None

    @property
    def healthy(self) -> bool:
        """Whether nothing is poisoned. Such an attack shows the false alarms of defenses, and their
        cost to a healthy model.
        """
        return self.poison_ratio == 0

    @property
    def threat(self) -> bool:
        """Whether there is something to defend against."""
        asr = self.baseline.get("asr")
        return not self.healthy and (asr is None or asr.mean >= THREAT_ASR)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How much a defense hangs on its hyper-parameters: the mean absolute change of ACC and of ASR,
    as a share, of each parameter and as the mean over them, and over which attacks and seeds.
    """

    mean: float
    scores: dict[str, float]
    attacks: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DefenseFacts:
    """One defense of a table. `detecting` is None for one that detects nothing; `cost` is that of
    its measured cells; `sensitivity` is None where its hyper-parameters were not studied.
    """

    label: str
    method: Method
    kind: DefenseKind
    oracle: bool
    detecting: DetectionSummary | None
    cost: dict[str, float]
    sensitivity: Sensitivity | None = None

    @property
    def contends(self) -> bool:
        """Whether it is a defense that somebody could use: no oracle, and not the lack of any."""
        return not self.oracle and self.method.name != UNDEFENDED

    @property
    def clean_images(self) -> float:
        """The largest number of clean images that it was handed; 0 for a defense that uses none."""
        return self.cost.get("clean_samples", 0) if self.kind.clean_data else 0


@dataclass(frozen=True, slots=True)
class Pairing:
    """An attack and a defense, over all seeds. `codes`: the number of cells by how they ended,
    `missing` among them. `images`: the number of test images for ACC, and that for ASR and RC.
    `utility`: the means over seeds of the figures that were counted from predictions.
    """

    attack: str
    defense: str
    codes: dict[str, int]
    seeds: tuple[int, ...]
    metrics: dict[str, Summary]
    images: dict[str, int]
    detection: dict[str, float]
    utility: dict[str, float]
    cost: dict[str, float]
    reasons: tuple[str, ...]
    doubts: tuple[str, ...]
    oracle: bool
    stale: bool
    trust: TrustLevel
    cells: tuple[Row, ...]

    @property
    def measured(self) -> int:
        """The number of cells with metrics."""
        return self.codes.get("ok", 0)

    @property
    def expected(self) -> int:
        """The number of cells that there should be. Missing cells count, too."""
        return sum(self.codes.values())


@dataclass(frozen=True, slots=True)
class Section:
    """One table: cells that share protocol, data set, model, recipe, budget and the part of the
    protocol that it is.

    `lost`: models that no defense has numbers for. `fronts`: for each attack, and over all attacks
    as "", the defenses that none beats in both of ACC and ASR ("acc"), and of seconds and ASR
    ("seconds"); complete and honest ones only.
    """

    where: TableKey
    dataset: str
    model: str
    title: str
    seeds: tuple[int, ...]
    attacks: tuple[AttackFacts, ...]
    defenses: tuple[DefenseFacts, ...]
    entries: tuple[Pairing, ...]
    ranking: Ranking
    lost: tuple[AttackedModel, ...]
    fronts: dict[str, dict[str, tuple[str, ...]]]

    def by_attack(self) -> Iterator[tuple[AttackFacts, tuple[Pairing, ...]]]:
        """Yield each attack with its entries, in the order of the defenses."""
        width = len(self.defenses)
        for place, attack in enumerate(self.attacks):
            yield attack, self.entries[place * width : (place + 1) * width]


@dataclass(frozen=True, slots=True)
class Board:
    """All tables, and the files that were not believed, each with the reason.

    `pictures`: strips of images as PNG, by their path under the results; `last_version`: how its
    cells ended when it last came out, where that is known.
    """

    sections: tuple[Section, ...]
    faults: tuple[str, ...] = ()
    cells: int = 0
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    last_version: LastVersion | None = None

    @property
    def outcomes(self) -> dict[CellPlace, str]:
        """How each cell ended."""
        return {
            (section.title, entry.attack, entry.defense, row.seed): outcome(row.code, row.metrics)
            for section in self.sections
            for entry in section.entries
            for row in entry.cells
        }
