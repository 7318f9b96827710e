"""The family of robust training: the defender trains on the data as given and must not learn the
backdoor.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import nn

from benchbd.attack.attack import BuildModel
from benchbd.data.images import ImageSet
from benchbd.defense.case import Case
from benchbd.defense.defense import Defense, require_eval
from benchbd.defense.outcome import Learned, Outcome
from benchbd.defense.suspects import suspects
from benchbd.engine.recipe import Recipe


class RobustTraining(Defense):
    """A defense that trains on data that may be poisoned and must not learn the backdoor. It writes
    `train`. It sees images and labels as given, without the information which of them are poisoned.

    >>> class Smooth(RobustTraining):
    ...     api = 1
    ...
    ...     def train(self, build_model, train_as_seen, recipe, rng):
    ...         gentle = recipe.model_copy(update={"label_smoothing": 0.2})
    ...         return fit(build_model(), train_as_seen, gentle, rng)
    >>> Smooth().train(build_model, train, recipe, rng).training
    False
    """

    family: ClassVar[str] = "robust-training"
    needs_poisoned_set: ClassVar[bool] = True

    @abstractmethod
    def train(
        self, build_model: BuildModel, train_as_seen: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module | Learned:
        """Return the trained model in eval mode, or `Learned` if the method also judges the
        samples.

        recipe: how the victim was trained. The models of `build_model` lie on the device of the
        run, and the set lies on the CPU. `fit` takes both as they are; other code moves what it
        needs with `.to(device_of(model))`.
        """

    def respond(self, case: Case) -> Outcome:
        verb = f"{self.name}.train"
        answer = self.train(case.build_model(), case.train_as_seen(), case.recipe, case.rng)
        learned = answer if isinstance(answer, Learned) else Learned(answer)
        require_eval(learned.model, verb)
        return Outcome(learned.model, detection=self._isolation(learned, case), notes=learned.notes)

    def _isolation(self, learned: Learned, case: Case) -> dict[str, Any] | None:
        """Return the figures of the samples that the method isolated, or None if it judges no
        samples.
        """
        if learned.suspicion is None:
            return None
        flagged, figures = suspects(learned.suspicion, case, f"{self.name}.train")
        return figures | {"isolated": int(flagged.sum())}
