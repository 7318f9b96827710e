"""The case that a defense works on. The core holds it; each family of defenses takes from it only
what its contract allows.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch

from benchbd.attack.attack import BuildModel
from benchbd.data.budget import CleanSet, budget_from_file, draw_budget
from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import Hardware
from benchbd.engine.recipe import Recipe
from benchbd.record.attack_result import AttackResult, rebuild
from benchbd.seeds import Seeds, fork
from benchbd.victim.model import Model

CLEAN_BUDGET = 0.05
"""Share of the training set that a defender holds, unless the protocol or the defense says
otherwise.
"""


@dataclass(frozen=True, eq=False)
class Case:
    """One attack result, the machine to work on, and the name of the defense that is tried."""

    attack: AttackResult
    machine: Hardware
    defense: str
    budget: float = CLEAN_BUDGET

    @property
    def seeds(self) -> Seeds:
        """The random streams of the seed of the attack result."""
        return Seeds(self.attack.seed)

    @property
    def recipe(self) -> Recipe:
        """The recipe by which the victim was trained."""
        return Recipe(**self.attack.manifest.recipe)

    @property
    def rng(self) -> torch.Generator:
        """A new generator at the start of the random stream of this defense."""
        return self.seeds.generator("defense", self.defense)

    @property
    def computes_as_victim(self) -> bool:
        """Whether this case computes on the same kind of device and in the same precision as the
        stored predictions of the undefended model.
        """
        made = self.attack.manifest.cost
        return (made.device, made.precision) == (
            str(self.machine.device),
            self.machine.precision,
        )

    def model(self) -> Classifier:
        """Return a copy of the backdoored model on the device of the run."""
        return copy.deepcopy(self.attack.model).to(self.machine.device)

    def clean(self, ratio: float | None, index: Path | None) -> CleanSet:
        """Return the defender's clean samples: those listed in the file `index` if it is given,
        else the share `ratio` of the training set (None stands for the budget of the case).
        """
        rng, train = self.seeds.generator("budget"), self.attack.train
        if index is not None:
            return budget_from_file(train.clean, index, rng).to(self.machine.device)
        share = self.budget if ratio is None else ratio
        return draw_budget(train.clean, train.untouched(), share, rng).to(self.machine.device)

    def train_as_seen(self) -> ImageSet:
        """Return the training set as the victim saw it: images and labels, without the information
        which of them are poisoned.
        """
        return self.attack.train.as_seen()

    def build_model(self) -> BuildModel:
        """Return a function that builds models like the victim. Each call gives a model with
        another initialisation.
        """
        made = self.attack.manifest
        plugin = rebuild(Model, made.model, made.found_as)
        seeds = fork(self.seeds.generator("defense-init", self.defense))

        def build() -> Classifier:
            seed = int(torch.randint(0, 2**62, (), generator=seeds))
            return plugin.classifier(self.attack.train.clean, seed).to(self.machine.device)

        return build
