"""FreeEagle: what stands inside of the network for other classes leans towards a planted target."""

from __future__ import annotations

import copy
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import CleanSet, ImageSet, NotApplicable
from benchbd.engine.classifier import Classifier
from benchbd_zoo.defense.free_eagle import FreeEagle, index, tendency
from benchbd_zoo.defense.parts.cut import Cut
from support.tiny_networks import Network, Plain, Residual

SHAPE = (3, 6, 6)


def nothing_held(classes: int = 4) -> CleanSet:
    return CleanSet.empty(
        ImageSet(
            torch.zeros(1, *SHAPE, dtype=torch.uint8),
            torch.zeros(1, dtype=torch.int64),
            tuple("abcdefgh"[:classes]),
        )
    )


def network(body: type[nn.Module]) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier(Network(body()), (0.0,) * 3, (1.0,) * 3).eval()


class Staged(nn.Module):
    """A map of six channels at full size behind a ReLU, half the size after it; the features are
    the means of its channels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.relu, self.pool = nn.Conv2d(3, 6, 1), nn.ReLU(), nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.relu(self.stem(x))).mean((2, 3))  # type: ignore[no-any-return]


def leaning(shortcut: float) -> Classifier:
    """Channel k speaks for class k; what speaks for another class than 2 also speaks for class 2,
    as loudly as `shortcut`.
    """
    model = network(Staged)
    with torch.no_grad():
        model.head.bias.zero_()
        model.head.weight.copy_(torch.eye(4, 6))
        model.head.weight[2, [0, 1, 3]] = shortcut
    return model


def test_classes_that_lean_towards_another_flag_it() -> None:
    verdict = FreeEagle(steps=200, threshold=1.5).inspect(
        leaning(0.9), nothing_held(), torch.Generator().manual_seed(0)
    )
    assert verdict.flagged.tolist() == [False, False, True, False]
    assert verdict.notes["cut"] == "network.body.relu" and verdict.notes["rectified"]


def test_classes_that_are_alike_flag_none() -> None:
    verdict = FreeEagle(steps=200).inspect(
        leaning(0.0), nothing_held(), torch.Generator().manual_seed(0)
    )
    assert not verdict.flagged.any()
    v = verdict.notes["tendency"]
    assert max(v) < 1.2 * min(v)


def test_a_network_is_its_two_parts() -> None:
    model = network(Staged)
    images = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(1))
    cut = Cut(model, "network.body.relu", SHAPE)
    values = cut.before(images)
    assert values.shape == (5, 6, 6, 6) and bool((values >= 0).all())
    assert torch.allclose(cut.after(values), model(images), atol=1e-6)
    assert not any(module._forward_hooks for module in model.modules())


def test_values_before_a_relu_may_be_negative() -> None:
    verdict = FreeEagle(steps=1).inspect(network(Plain), nothing_held(), torch.Generator())
    assert verdict.notes["cut"] == "network.body.conv1" and not verdict.notes["rectified"]


def test_tendency_is_the_mean_over_the_other_classes() -> None:
    asked = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1], [0.25, 0.15, 0.6]])
    assert tendency(asked).tolist() == pytest.approx([0.175, 0.175, 0.2])


def test_the_index_counts_from_the_upper_quartile() -> None:
    """Of 1 to 8 the quartiles are the third and the seventh value, 3 and 7."""
    assert index(torch.arange(1.0, 9)).tolist() == [(v - 7) / 4 for v in range(1, 9)]
    assert index(torch.full((8,), 0.1)).tolist() == [0] * 8
    assert index(torch.tensor([5.0, 1, 2, 3])).tolist() == [2, -2, -1, 0]


def test_the_model_is_left_alone() -> None:
    model = network(Residual).train()
    before = copy.deepcopy(model.state_dict())
    FreeEagle(steps=2).inspect(model, nothing_held(), torch.Generator())
    assert model.training and all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_three_classes_are_too_few() -> None:
    with pytest.raises(NotApplicable, match="3 classes tell nothing; free_eagle needs 4"):
        FreeEagle().inspect(network(Plain), nothing_held(3), torch.Generator())


class Later:
    """A later part: 12 values, six neurons, eight classes, the third louder."""

    def __init__(self) -> None:
        draws = torch.Generator().manual_seed(5)
        self.inner = torch.randn(6, 12, generator=draws) * 0.5
        self.outer = torch.randn(8, 6, generator=draws)
        self.outer[2] += self.outer.abs().mean(0) * 0.7

    def after(self, values: Tensor) -> Tensor:
        return F.linear(torch.tanh(F.linear(values.flatten(1), self.inner)), self.outer)


@pytest.mark.slow
def test_as_the_reference_what_stands_for_each_class() -> None:
    """`optimize_inner_embedding` and what follows it in SJTUHaiyangYu/BackdoorMBTI at 33e7fa6
    (resources/free_eagle/backdoor_inspection_new.py), from the same noise.
    """
    later = Later()
    start = torch.rand(8, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    values = FreeEagle()._dummies(cast(Cut, later), start, rectified=True)
    v = tendency(later.after(values).softmax(1))
    assert v[:3].tolist() == pytest.approx([0.0363767, 0.0182882, 0.0312499], abs=1e-6)
    assert float(index(v).max()) == pytest.approx(2.255292, abs=1e-4)
