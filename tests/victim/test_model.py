"""From an architecture to a classifier: seeded, normalised by its images, with a head."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.errors import ContractBroken
from benchbd.victim.model import ImageShape, Model
from support.defenses import weights


class Flat(nn.Module):
    """Pixels as features."""

    def __init__(self, pixels: int, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(pixels, num_classes)

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))  # type: ignore[no-any-return]


class Simple(Model):
    api = 1
    name = "simple"

    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        return Flat(torch.Size(image_shape).numel(), num_classes)


def test_a_classifier_is_normalised_by_its_images(images: ImageSet) -> None:
    model = Simple().classifier(images, seed=0)
    mean, std = images.statistics()
    assert model.mean.flatten().tolist() == pytest.approx(mean)
    assert model.std.flatten().tolist() == pytest.approx(std)
    assert not model.training and model.head.out_features == 3


def test_a_seed_gives_the_same_weights_and_another_others(images: ImageSet) -> None:
    before = torch.get_rng_state()
    first, again, other = (weights(Simple().classifier(images, seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_was_stored_is_built_again(images: ImageSet) -> None:
    model = Simple().classifier(images, seed=0)
    mean, std = (tuple(values.flatten().tolist()) for values in (model.mean, model.std))
    again = Simple().restore(3, (3, 16, 16), mean, std, seed=7)
    again.load_state_dict(model.state_dict())
    pixels = images.images[:5].float() / 255
    assert torch.equal(again(pixels), model(pixels))


@pytest.mark.parametrize(
    "network",
    [nn.Linear(768, 3), nn.Sequential(nn.Flatten(), nn.Linear(768, 3))],
    ids=["no features", "no head"],
)
def test_a_network_without_features_or_head_is_refused(
    images: ImageSet, network: nn.Module
) -> None:
    class Headless(Simple):
        def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
            return network

    with pytest.raises(
        ContractBroken, match=r"without a method `features\(x\)` and a torch\.nn\.L"
    ):
        Headless().classifier(images, seed=0)


def test_unless_it_says_otherwise_other_tools_do_not_have_it() -> None:
    model = Simple()
    assert Simple.recognise("simple") is None and model.foreign_name is None
    assert model.fitted({}) is model and model.flattened((3, 16, 16)) == {}
    names = model.foreign_names(Flat(4, 2))
    assert names == {"head.weight": "head.weight", "head.bias": "head.bias"}
