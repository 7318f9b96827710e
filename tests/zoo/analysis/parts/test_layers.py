"""What layers give out, one vector an image."""

from __future__ import annotations

import torch

from benchbd.api import features, logits, watching_outputs
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis.parts.layers import FEATURES, layer_means


def test_means_over_places_and_the_penultimate_features() -> None:
    handed = hand_over()
    images = handed.test.images[:5]
    found = layer_means(handed.model, images)
    *ends, last = found
    assert last == FEATURES and len(ends) == 2
    torch.testing.assert_close(found[last], features(handed.model, images))
    maps: list[torch.Tensor] = []
    with watching_outputs(handed.model, [ends[0]], lambda _, output: maps.append(output)):
        logits(handed.model, images)
    torch.testing.assert_close(found[ends[0]], maps[0].float().mean((2, 3)))
