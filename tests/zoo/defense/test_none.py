"""No defense changes nothing."""

from __future__ import annotations

import torch

from benchbd.api import CleanSet
from benchbd_zoo.defense.none import NoDefense
from support.tiny_networks import InPlace, classifier, random_images


def test_the_model_comes_back_as_it_was() -> None:
    model = classifier(InPlace()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    same = NoDefense().repair(
        model, CleanSet(random_images(4), random_images(4)), torch.Generator()
    )
    assert same is model and not same.training
    assert all(torch.equal(value, before[name]) for name, value in same.state_dict().items())
