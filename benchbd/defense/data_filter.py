"""The family of data filters: they score the training samples, and the core removes the suspicious
ones and trains again.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch

from benchbd.data.budget import CleanSet
from benchbd.data.images import ImageSet
from benchbd.defense.case import Case
from benchbd.defense.defense import CleanDataDefense
from benchbd.defense.outcome import Outcome, Suspicion
from benchbd.defense.suspects import suspects
from benchbd.engine.classifier import Classifier
from benchbd.engine.training import fit
from benchbd.errors import ConfigError

LEAST_SAMPLES_LEFT = 2
"""Samples that must remain: batch statistics need at least two."""


class DataFilter(CleanDataDefense):
    """A defense that scores the training samples. It writes `score`; the core removes the
    suspicious samples and trains a new model on the rest.

    If every sample of a class is flagged, the new model never sees that class. This is measured,
    not refused.

    >>> class Bright(DataFilter):
    ...     api = 1
    ...
    ...     def score(self, train_as_seen, model, clean, rng):
    ...         brightness = train_as_seen.images.float().mean((1, 2, 3))
    ...         return Suspicion(brightness, threshold=float(brightness.quantile(0.9)))
    >>> Bright().score(train, model, clean, rng).scores.shape
    torch.Size([200])
    """

    family: ClassVar[str] = "data-filter"
    needs_poisoned_set: ClassVar[bool] = True

    @abstractmethod
    def score(
        self, train_as_seen: ImageSet, model: Classifier, clean: CleanSet, rng: torch.Generator
    ) -> Suspicion:
        """Return the suspicion (N,) of all training samples in their order, where higher is worse,
        and the threshold above which a sample is removed.

        Images, model and clean set lie on the device of the run.
        """

    def respond(self, case: Case) -> Outcome:
        clean, verb = self.clean_data(case), f"{self.name}.score"
        answer = self.score(
            case.train_as_seen().to(case.machine.device), case.model(), clean, case.rng
        )
        flagged, detection = suspects(answer, case, verb)
        seen = case.train_as_seen()  # again, because the method may have changed its copy
        left = torch.nonzero(~flagged)[:, 0]
        if len(left) < LEAST_SAMPLES_LEFT:
            raise ConfigError(
                f"{self.name} flagged {len(flagged) - len(left)} of {len(flagged)} training "
                "samples, which leaves nothing to "
                f"train on; `benchbd info {self.name}` shows the parameters that set its threshold"
            )
        model = fit(
            case.build_model()(), seen.subset(left), case.recipe, case.rng, what="training again"
        )
        removed = {"removed": len(flagged) - len(left)}
        return Outcome(
            model, detection=detection | removed, notes=answer.notes, clean_samples=len(clean)
        )
