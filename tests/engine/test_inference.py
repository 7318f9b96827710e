"""Predictions, logits and features of whole sets."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.inference import accuracy, batched, eval_mode, features, logits, predict

MEAN, STD = (0.5, 0.4, 0.6), (0.2, 0.3, 0.25)
CPU = torch.device("cpu")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(12)
        self.head = nn.Linear(12, 3)

    def features(self, images: Tensor) -> Tensor:
        return self.bn(F.avg_pool2d(images, 8).flatten(1))  # type: ignore[no-any-return]


@pytest.fixture
def model() -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier(Net(), MEAN, STD)


def by_hand(model: Classifier, images: ImageSet) -> Tensor:
    pixels = images.images.double() / 255
    normalised = (pixels - torch.tensor(MEAN).double()[:, None, None]) / torch.tensor(STD).double()[
        :, None, None
    ]
    pooled = normalised.reshape(len(images), 3, 2, 8, 2, 8).mean((3, 5)).flatten(1)
    return pooled / math.sqrt(1 + 1e-5)


def test_features_and_logits_against_a_formula(model: Classifier, images: ImageSet) -> None:
    expected = by_hand(model, images)
    assert torch.allclose(
        features(model, images.images, precision="fp32").double(), expected, atol=1e-5
    )
    head = expected @ model.head.weight.double().T + model.head.bias.double()
    found = logits(model, images.images, precision="fp32")
    assert torch.allclose(found.double(), head, atol=1e-5)
    assert (found.dtype, found.shape) == (torch.float32, (60, 3))
    assert torch.equal(predict(model, images.images, precision="fp32"), head.argmax(1))
    share = (head.argmax(1) == images.labels).double().mean()
    assert accuracy(model, images.images, images.labels, precision="fp32") == float(share)


@pytest.mark.parametrize("batch", [1, 7, 60, 256])
def test_results_do_not_depend_on_the_batch(
    model: Classifier, images: ImageSet, batch: int
) -> None:
    whole = logits(model, images.images, precision="fp32")
    with eval_mode(model):
        assert torch.allclose(
            batched(model, images.images, CPU, batch=batch, precision="fp32"), whole, atol=1e-6
        )


def test_every_module_gets_its_own_mode_back(model: Classifier, images: ImageSet) -> None:
    model.train()
    model.network.bn.eval()  # type: ignore[union-attr]
    with pytest.raises(KeyError), eval_mode(model):
        assert not any(module.training for module in model.modules())
        raise KeyError
    predict(model, images.images)
    modes = {name: module.training for name, module in model.named_modules()}
    assert modes == {"": True, "network": True, "network.bn": False, "network.head": True}


def test_running_statistics_stay(model: Classifier, images: ImageSet) -> None:
    before = {name: value.clone() for name, value in model.train().state_dict().items()}
    features(model, images.images)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_no_gradient_is_kept_and_features_may_take_part_in_another(
    model: Classifier, images: ImageSet
) -> None:
    found = features(model, images.images)
    assert not found.requires_grad
    probe = nn.Linear(12, 2)
    probe(found).sum().backward()
    assert probe.weight.grad is not None


def test_no_image_gives_no_prediction(model: Classifier, images: ImageSet) -> None:
    assert predict(model, images.images[:0]).shape == (0,)


def test_a_function_of_ones_own(images: ImageSet) -> None:
    brightness = batched(
        lambda part: part.mean((1, 2, 3)), images.images, CPU, batch=8, precision="fp32"
    )
    assert torch.allclose(brightness, images.images.float().mean((1, 2, 3)) / 255, atol=1e-6)
