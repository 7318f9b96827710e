"""The family of model detectors: they decide whether a model is backdoored, and towards which
class.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch

from benchbd.data.budget import CleanSet
from benchbd.data.images import ImageSet
from benchbd.defense.case import Case
from benchbd.defense.defense import CleanDataDefense, require_eval, require_scores, require_type
from benchbd.defense.outcome import Outcome, Verdict
from benchbd.engine.classifier import Classifier
from benchbd.errors import ConfigError
from benchbd.record.attack_result import AttackResult


class ModelDetector(CleanDataDefense):
    """A defense that decides whether a model is backdoored, and towards which class. It writes
    `inspect`.

    A method may also return a repaired model. Otherwise the model stays as it is. A method that
    needs no images says `holds_data = False`: its clean set is then empty, and tells only the shape
    of an image and the classes.

    >>> class Heavy(ModelDetector):
    ...     api = 1
    ...
    ...     def inspect(self, model, clean, rng):
    ...         weight = model.head.weight.detach().norm(dim=1)
    ...         return Verdict(scores=weight, flagged=weight > 2 * weight.median())
    >>> Heavy().inspect(model, clean, rng).scores.shape
    torch.Size([4])
    """

    family: ClassVar[str] = "model-detector"
    holds_data: ClassVar[bool] = True

    @abstractmethod
    def inspect(self, model: Classifier, clean: CleanSet, rng: torch.Generator) -> Verdict:
        """Return the verdict about `model`, which is this method's own copy: a score (K,) and a
        flag (K,) for each class, the reversed triggers, and, if the method also repairs, a repaired
        model in eval mode.
        """

    def clean_data(self, case: Case) -> CleanSet:
        self._require_no_share_without_data()
        if self.holds_data:
            return super().clean_data(case)
        return CleanSet.empty(case.attack.train.clean).to(case.machine.device)

    def require_clean_data(self, train: ImageSet, budget: float) -> None:
        self._require_no_share_without_data()
        if self.holds_data:
            super().require_clean_data(train, budget)

    def _require_no_share_without_data(self) -> None:
        asked = [name for name in ("ratio", "index") if getattr(self, name) is not None]
        if asked and not self.holds_data:
            raise ConfigError(
                f"{self.name} holds no clean data, so `{asked[0]}` has no meaning for it; leave it "
                "out"
            )

    def respond(self, case: Case) -> Outcome:
        model, clean = case.model(), self.clean_data(case)
        verb, classes = f"{self.name}.inspect", case.attack.test.num_classes
        verdict = require_type(self.inspect(model, clean, case.rng), Verdict, verb)
        scores = require_scores(verdict.scores, classes, verb)
        flagged = torch.nonzero(require_scores(verdict.flagged, classes, verb))[:, 0].tolist()
        detection = {
            "flagged": bool(flagged),
            "flagged_classes": flagged,
            "attacked_classes": attacked_classes(case.attack),
            "scores": scores.double().tolist(),
        }
        repaired = verdict.repaired if verdict.repaired is not None else case.model()
        require_eval(repaired, verb)
        return Outcome(
            repaired,
            detection=detection,
            notes=verdict.notes,
            tensors={f"trigger.{label}": trigger for label, trigger in verdict.triggers.items()},
            pictures={
                case.attack.test.class_names[label]: trigger
                for label, trigger in verdict.triggers.items()
            },
            clean_samples=len(clean),
        )


def attacked_classes(attack: AttackResult) -> list[int]:
    """Return the classes that triggered images are to be taken for, in ascending order: the truth
    about a model, which no detector sees. There is none where nothing was poisoned.
    """
    if not attack.manifest.may_be_attacked(attack.manifest.family):
        return []
    labels: list[int] = attack.triggered.attacked_labels[attack.triggered.scored].unique().tolist()
    return labels
