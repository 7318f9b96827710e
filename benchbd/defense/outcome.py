"""What a defense gives back, family by family, before the core has measured anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from benchbd.engine.sweep import SweepPath


@dataclass(frozen=True, eq=False)
class Sweep:
    """A path from the model that was handed in, of pruning or of models, for the core to measure
    step by step.

    chosen: the step that was reported; validation_acc: accuracy per step on the defender's
    validation split, None for a method that holds no clean data.
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
    """A repaired model, and what else there is to show.

    kept: steps of the sweep whose models are stored too, by name; notes: facts to record; tensors:
    the same for what is no plain value, such as masks; pictures: (C, H, W) in [0, 1] to look at, by
    name.
    """

    model: nn.Module
    sweep: Sweep | None = None
    kept: dict[str, int] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    pictures: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Suspicion:
    """Suspicion (N,) per sample, higher is worse, and the method's own threshold: above it a sample
    is flagged.
    """

    scores: Tensor
    threshold: float
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Learned:
    """A robustly trained model, and what else there is to show.

    suspicion: what the method thought of the training samples, where it judged them on its way;
    notes: facts to record.
    """

    model: nn.Module
    suspicion: Suspicion | None = None
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Verdict:
    """A model detector's finding: score (K,) and flag (K,) per class, the reversed triggers by
    class, a repair if any.

    triggers: what a reversed trigger looks like, (C, H, W) in [0, 1]; they are stored, and drawn.
    """

    scores: Tensor
    flagged: Tensor
    triggers: dict[int, Tensor] = field(default_factory=dict)
    repaired: nn.Module | None = None
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the core measures, whatever the family.

    model: the defended model. clean_rejected (N,), triggered_rejected (M,): test inputs turned
    away, if the method turns inputs away. detection: figures of a detector. pictures: (C, H, W) in
    [0, 1], by name.
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
