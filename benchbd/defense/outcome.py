"""The answers of the families of defenses, as the core receives them before it measures
anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from benchbd.engine.sweep import SweepPath


@dataclass(frozen=True, eq=False)
class Sweep:
    """A path of models that starts at the model that was handed in. The core measures every step of
    it.

    path: a `PruningPath` or a `ModelPath` of S steps. validation_acc: the accuracy at each step on
    the defender's validation split; None for a method without clean images. chosen: the step whose
    model is returned. Raises `ValueError` when these do not fit together.

    >>> path = ModelPath("share", (0.0, 0.5, 1.0), build=lambda step: model)
    >>> Sweep(path, validation_acc=(0.9, 0.9, 0.8), chosen=1).chosen
    1
    """

    path: SweepPath
    validation_acc: tuple[float, ...] | None
    chosen: int

    def __post_init__(self) -> None:
        validated = self.validation_acc is None or len(self.validation_acc) == len(self.path)
        if not validated or not 0 <= self.chosen < len(self.path):
            raise ValueError(
                "a sweep needs a validation accuracy for each step, or None, and a chosen step "
                "among them"
            )


@dataclass(frozen=True, eq=False)
class Repaired:
    """What a repair returns when it has more to report than the repaired model.

    model: the repaired model, in eval mode. sweep: the path that it was chosen from. kept: names
    for steps of the sweep whose models are stored too. notes: plain values that are recorded with
    the result. tensors: the same for tensors, such as masks. pictures: images (C, H, W) in [0, 1]
    to look at, by name.

    >>> answer = Repaired(model, notes={"pruned": 3})
    >>> answer.notes
    {'pruned': 3}
    """

    model: nn.Module
    sweep: Sweep | None = None
    kept: dict[str, int] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    pictures: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Suspicion:
    """How suspicious a defense finds N samples.

    scores: (N,), in the order of the samples, where higher is worse. threshold: a sample with a
    higher score is flagged. notes: plain values that are recorded with the result.

    >>> suspicion = Suspicion(torch.tensor([0.1, 0.9]), threshold=0.5)
    >>> suspicion.scores > suspicion.threshold
    tensor([False,  True])
    """

    scores: Tensor
    threshold: float
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Learned:
    """What robust training returns when it has more to report than the model.

    model: the trained model, in eval mode. suspicion: how suspicious the method finds the training
    samples, if it judges them. notes: plain values that are recorded with the result.

    >>> Learned(model, notes={"isolated": 12}).suspicion is None
    True
    """

    model: nn.Module
    suspicion: Suspicion | None = None
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a model detector has found.

    scores: (K,), a number for each class, where higher is worse. flagged: (K,) bool, the classes
    towards which there is a backdoor. triggers: the reversed triggers (C, H, W) in [0, 1], by
    class; they are stored and drawn. repaired: a repaired model in eval mode, or None. notes: plain
    values that are recorded with the result.

    >>> scores = torch.tensor([0.2, 3.1, 0.4, 0.3])
    >>> Verdict(scores, flagged=scores > 2).flagged
    tensor([False,  True, False, False])
    """

    scores: Tensor
    flagged: Tensor
    triggers: dict[int, Tensor] = field(default_factory=dict)
    repaired: nn.Module | None = None
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Outcome:
    """The answer of any family in the one form that the core measures.

    model: the defended model. clean_rejected (N,), triggered_rejected (M,): the test inputs that
    were rejected, if the method rejects inputs. detection: the figures of a detector. pictures:
    images (C, H, W) in [0, 1], by name. clean_samples: how many clean samples the method was
    handed.
    """

    model: nn.Module
    sweep: Sweep | None = None
    kept: dict[str, int] = field(default_factory=dict)
    clean_rejected: Tensor | None = None
    triggered_rejected: Tensor | None = None
    detection: dict[str, Any] | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    pictures: dict[str, Tensor] = field(default_factory=dict)
    clean_samples: int = 0
