from __future__ import annotations

import pytest
import torch
from torch import nn

from benchbd.errors import NotApplicable
from benchbd_zoo.model.parts.provider import Provider
from benchbd_zoo.model.timm import Timm
from benchbd_zoo.model.torchvision import Torchvision


def last_map(model: Provider, side: int) -> tuple[int, ...]:
    """Height and width of what the last stage of a resnet18 gives."""
    network = model.build(4, (3, side, side)).eval()
    shapes: list[tuple[int, ...]] = []
    network.body.layer4.register_forward_hook(
        lambda module, inputs, output: shapes.append(tuple(output.shape[2:]))
    )
    network.features(torch.zeros(1, 3, side, side))
    return shapes[0]


@pytest.mark.slow
@pytest.mark.parametrize("library", [Timm, Torchvision])
def test_small_images_are_not_quartered_by_the_stem(library: type[Provider]) -> None:
    assert last_map(library(), 32) == (4, 4)
    assert last_map(library(stem="as_is"), 32) == (1, 1)
    assert last_map(library(), 64) == (8, 8)
    assert last_map(library(), 65) == (3, 3)


@pytest.mark.slow
@pytest.mark.parametrize("library", [Timm, Torchvision])
def test_weights_of_the_stem(library: type[Provider]) -> None:
    """resnet18 has 11,689,512 weights for 1,000 classes; a 3x3 stem has 64 * 3 * (49 - 9) fewer."""
    as_is, small = (library(stem=stem).build(1000, (3, 32, 32)) for stem in ("as_is", "small"))
    assert sum(p.numel() for p in as_is.parameters()) == 11_689_512
    assert sum(p.numel() for p in small.parameters()) == 11_689_512 - 7_680


def test_stem_inside_a_sub_module() -> None:
    network = Torchvision(variant="densenet121").build(4, (3, 32, 32))
    assert network.body.features.conv0.kernel_size == (3, 3)
    assert isinstance(network.body.features.pool0, nn.Identity)


@pytest.mark.parametrize("variant", ["mobilenetv3_small_100", "resnet18d", "vit_tiny_patch16_224"])
def test_other_stems_stay_as_they_are(variant: str) -> None:
    layers = [
        str(Timm(variant=variant, stem=stem).build(4, (3, 32, 32))) for stem in ("small", "as_is")
    ]
    assert layers[0] == layers[1]


@pytest.mark.slow
@pytest.mark.parametrize(("library", "variant"), [(Timm, "convnext_atto"), (Torchvision, "swin_t")])
def test_an_edge_that_no_patch_would_cover_is_refused(
    library: type[Provider], variant: str
) -> None:
    """Patches of 4x4 leave three columns of 35 unread, room for a whole trigger."""
    with pytest.raises(
        NotApplicable, match="does not take images of 3x32x35: it reads patches of 4x4 pixels"
    ):
        library(variant=variant).build(4, (3, 32, 35))
    assert library(variant=variant).build(4, (3, 32, 36)).head.out_features == 4
