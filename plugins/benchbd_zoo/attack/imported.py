"""An attack that was run elsewhere: its model and its images were imported, its trigger is not
known.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchbd.api import NotApplicable, PoisoningAttack, param


class Imported(PoisoningAttack):
    """Stands in imported results for what made them, and makes none of its own."""

    api = 1

    called: str = param("unknown", "the name of the attack where it was run")
    format: str = param("unknown", "what it was imported from")
    content: str = param(
        "", "what stands for the model and its triggered images, 64 hexadecimal digits"
    )

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        raise NotApplicable(
            "imported: the trigger of an attack that was run elsewhere is not known; `benchbd "
            "import` reads results"
        )
