"""A new head: forget what the last layer has learned, and learn it again from clean images.

    1. z = features(x) of the clean images; everything below the head stays
    2. W ~ N(0, 1 / d), b = 0, and `steps` of Adam down CE(W z + b, y)

A backdoor that lives in the features survives this; one that lives in the last layer does not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchbd.api import Classifier, CleanSet, Repair, device_of, features, param, track


class NewHead(Repair):
    """All clean images are one batch; it chooses nothing, so it needs no validation split."""

    api = 1

    steps: int = param(200, "updates of the head", ge=0)
    lr: float = param(0.05, "learning rate", gt=0)

    def repair(self, model: Classifier, clean: CleanSet, rng: torch.Generator) -> Classifier:
        known, head = clean.all(), model.head
        z = features(model, known.images).to(device_of(model))
        with torch.no_grad():
            head.weight.copy_(torch.randn(head.weight.shape, generator=rng) / head.in_features**0.5)
            if head.bias is not None:
                head.bias.zero_()
        optimizer = torch.optim.Adam(head.parameters(), lr=self.lr)
        for _ in track(range(self.steps), "a new head"):
            optimizer.zero_grad()
            F.cross_entropy(head(z), known.labels).backward()
            optimizer.step()
        return model.eval()
