"""A defense that was run elsewhere: the model that it gave back was imported."""

from __future__ import annotations

from typing import Any, Self

import torch
from pydantic import PrivateAttr
from torch import nn

from benchbd.api import CleanSet, NotApplicable, Repair, param


class ImportedDefense(Repair):
    """Stands in imported results for what made them; it gives back the model that it holds, and has
    none of its own.
    """

    api = 1

    called: str = param("unknown", "the name of the defense where it was run")
    format: str = param("unknown", "what it was imported from")
    content: str = param("", "what stands for the defended model, 64 hexadecimal digits")

    _model: nn.Module | None = PrivateAttr(None)

    def holding(self, model: nn.Module) -> Self:
        """This defense with the model that came out of it."""
        given = self.model_copy()
        given._model = model
        return given

    def clean_data(self, case: Any) -> CleanSet:
        """None: what the defender had is not known."""
        nothing = case.attack.train.clean.subset(torch.zeros(0, dtype=torch.int64))
        return CleanSet(nothing, nothing)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        if self._model is None:
            raise NotApplicable(
                "imported: a defense that was run elsewhere cannot be run here; `benchbd import` "
                "reads its result"
            )
        return self._model
