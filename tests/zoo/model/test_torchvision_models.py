from __future__ import annotations

import pytest
import torch

from benchbd.errors import NotApplicable, PluginNotFound
from benchbd_zoo.model.torchvision import Torchvision


@torch.no_grad()
def test_agrees_with_torchvision_itself() -> None:
    ours = Torchvision(stem="as_is").build(6, (3, 32, 32)).eval()
    import torchvision

    theirs = torchvision.models.resnet18(num_classes=6).eval()
    theirs.load_state_dict(
        ours.body.state_dict() | {f"fc.{k}": v for k, v in ours.head.state_dict().items()}
    )
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours.head(ours.features(images)), theirs(images))


@pytest.mark.slow
@torch.no_grad()
def test_grey_is_as_three_equal_channels() -> None:
    model = Torchvision(stem="as_is")
    grey, rgb = (
        model.restore(4, (1, 32, 32), (0.5,), (0.2,), seed=3),
        model.restore(4, (3, 32, 32), (0.5,) * 3, (0.2,) * 3, seed=3),
    )
    images = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(
        grey(images), rgb(images.expand(-1, 3, -1, -1)), rtol=1e-3, atol=1e-4
    )


@pytest.mark.slow
def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(NotApplicable, match="grey or RGB images, got 4 channels"):
        Torchvision().build(4, (4, 32, 32))
    with pytest.raises(
        NotApplicable, match="squeezenet1_1 does not end in one linear layer, but in a Conv2d"
    ):
        Torchvision(variant="squeezenet1_1").build(4, (3, 32, 32))
    with pytest.raises(NotApplicable, match="inception_v3 does not take images of 3x32x32"):
        Torchvision(variant="inception_v3").build(4, (3, 32, 32))
    with pytest.raises(
        PluginNotFound, match="torchvision has no model named 'resnet_18'; did you mean 'resnet18'"
    ):
        Torchvision(variant="resnet_18").build(4, (3, 32, 32))


def test_side_classifiers_are_left_out_in_training_mode() -> None:
    network = Torchvision(variant="googlenet").build(4, (3, 32, 32)).train()
    assert network.features(torch.zeros(2, 3, 32, 32)).shape == (2, 1024)
