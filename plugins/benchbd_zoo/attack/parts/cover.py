"""Cover samples: training images that carry a trigger and keep their true label, so that the
trigger alone says little.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchbd.api import ConfigError, PoisoningAttack, param


class Covered(PoisoningAttack):
    """What attacks with cover samples have in common; they write `may_cover` where not every sample
    may be one.
    """

    cover_ratio: float = param(
        0.003, "share of the samples that carry the trigger and keep their label", ge=0, le=1
    )

    def may_cover(self, labels: Tensor, num_classes: int) -> Tensor:
        """Which training samples (N,) bool may be cover."""
        return torch.ones_like(labels, dtype=torch.bool)

    def choose(
        self, labels: Tensor, num_classes: int, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        poisoned, _ = super().choose(labels, num_classes, rng)
        free = self.may_cover(labels, num_classes).clone()
        wanted = round(
            self.cover_ratio * (len(labels) if self.ratio_of == "dataset" else int(free.sum()))
        )
        free[poisoned] = False
        pool = torch.nonzero(free)[:, 0]
        if (self.cover_ratio and not wanted) or wanted > len(pool):
            raise ConfigError(
                f"{self.name}: expected cover_ratio to ask for 1 to {len(pool)} samples, "
                f"{self.cover_ratio:g} of the {self.ratio_of} asks for {wanted}; change it"
            )
        return poisoned, pool[torch.randperm(len(pool), generator=rng)[:wanted]]
