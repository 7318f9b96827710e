"""Model detectors: is this model backdoored, and towards which class?"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch

from benchbd.data.budget import CleanSet
from benchbd.defense.case import Case
from benchbd.defense.defense import CleanDataDefense, require_eval, require_scores, require_type
from benchbd.defense.outcome import Outcome, Verdict
from benchbd.engine.classifier import Classifier


class ModelDetector(CleanDataDefense):
    """Writes `inspect`. A flagged model may come back repaired; one that is not flagged stays as it
    is.
    """

    family: ClassVar[str] = "model-detector"

    @abstractmethod
    def inspect(self, model: Classifier, clean: CleanSet, rng: torch.Generator) -> Verdict:
        """Score (K,) and flag (K,) per class, reversed triggers, and a repaired model if the method
        mends.
        """

    def respond(self, case: Case) -> Outcome:
        model, clean = case.model(), self.clean_data(case)
        verb, classes = f"{self.name}.inspect", case.attack.test.num_classes
        verdict = require_type(self.inspect(model, clean, case.rng), Verdict, verb)
        scores = require_scores(verdict.scores, classes, verb)
        flagged = torch.nonzero(require_scores(verdict.flagged, classes, verb))[:, 0].tolist()
        detection = {
            "flagged": bool(flagged),
            "flagged_classes": flagged,
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
