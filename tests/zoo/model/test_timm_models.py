from __future__ import annotations

import pytest
import torch

from benchbd.errors import ConfigError, NotApplicable, PluginNotFound
from benchbd.plugin.registry import create
from benchbd_zoo.model.timm import Timm


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "last"),
    [("resnet18", "fc"), ("mobilenetv3_small_100", "classifier"), ("vit_tiny_patch16_224", "head")],
)
@torch.no_grad()
def test_agrees_with_timm_itself(variant: str, last: str) -> None:
    """The same weights in timm's own network give the same features before its last layer, and the
    same logits.
    """
    import timm

    ours = Timm(variant=variant, stem="as_is").build(6, (3, 32, 32)).eval()
    size = {"img_size": 32} if variant.startswith("vit") else {}
    theirs = timm.create_model(variant, num_classes=6, **size).eval()
    theirs.load_state_dict(
        ours.body.state_dict() | {f"{last}.{k}": v for k, v in ours.head.state_dict().items()}
    )
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(
        ours.features(images), theirs.forward_head(theirs.forward_features(images), pre_logits=True)
    )
    torch.testing.assert_close(ours.head(ours.features(images)), theirs(images))


def test_name_after_the_colon_is_the_variant() -> None:
    assert create("model", "timm:mobilenetv2_100").params["variant"] == "mobilenetv2_100"
    network = create("model", "timm:mobilenetv2_100").build(4, (1, 32, 32))
    assert network.eval().features(torch.zeros(2, 1, 32, 32)).shape == (2, 1280)


@pytest.mark.parametrize("variant", ["resnet81", "resnet18.a1_in1k", "hf-hub:timm/resnet18"])
def test_unknown_variant(variant: str) -> None:
    with pytest.raises(PluginNotFound, match=rf"timm has no model named '{variant}'"):
        Timm(variant=variant).build(4, (3, 32, 32))


def test_unknown_variant_names_the_nearest() -> None:
    with pytest.raises(PluginNotFound, match="did you mean 'mobilenetv2_100'"):
        Timm(variant="mobilenet_v2_100").build(4, (3, 32, 32))


@pytest.mark.parametrize(("patch_size", "tokens"), [(None, 4), (8, 16), (4, 64)])
def test_vit_is_built_for_the_size_of_the_images(patch_size: int | None, tokens: int) -> None:
    network = Timm(variant="vit_tiny_patch16_224", patch_size=patch_size).build(4, (3, 32, 32))
    assert network.body.pos_embed.shape == (1, 1 + tokens, 192)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(
        NotApplicable,
        match="vit_tiny_patch16_224 does not take images of 3x30x30: it reads patches of 16x16",
    ):
        Timm(variant="vit_tiny_patch16_224").build(4, (3, 30, 30))
    with pytest.raises(NotApplicable, match="does not end in one linear layer"):
        Timm(variant="deit_tiny_distilled_patch16_224").build(4, (3, 32, 32))
    with pytest.raises(ConfigError, match="timm:resnet18 takes no patch_size"):
        Timm(variant="resnet18", patch_size=4).build(4, (3, 32, 32))
