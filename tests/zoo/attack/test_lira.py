"""LIRA: the noise and its bound, the two phases, and what a batch is made of."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.recipe import Recipe
from benchbd.record.remembered import remembering
from benchbd.seeds import draw_seed
from benchbd_zoo.attack.lira import LIRA, Autoencoder, UNet, disturbed
from benchbd_zoo.attack.parts.generator import drawn, restored, stored

SHAPES = [(1, 8, 8), (3, 14, 20), (3, 33, 40)]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def with_noise(attack: LIRA, channels: int = 3) -> LIRA:
    return attack.with_trigger(stored("noise", drawn(partial(Autoencoder, channels), seeded(0))))


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("parameters", [{}, {"eps": 0.5, "test_eps": 0.1}])
def test_the_stamp_adds_eps_times_the_noise_of_the_image(
    images_of: Any, shape: tuple[int, int, int], parameters: dict[str, float]
) -> None:
    images = images_of(*shape, count=5)
    attack = with_noise(LIRA(**parameters), shape[0])
    noise = restored("noise", partial(Autoencoder, shape[0]), attack.trigger)
    x = images.images.numpy() / 255
    with torch.no_grad():
        drawn_noise = noise(images.images / 255).numpy()
    assert drawn_noise.shape == images.images.shape
    assert abs(drawn_noise).max() < 1
    eps = parameters.get("test_eps", 0.025)
    found = attack.stamp(images.images, images.labels, seeded(0))
    np.testing.assert_allclose(found, 255 * (x + eps * drawn_noise).clip(0, 1), atol=0.01)
    pixels = attack.apply(attack.stamp, images.images, images.labels, seeded(0))
    assert (pixels.int() - images.images.int()).abs().max() <= round(255 * eps)


class Seen(nn.Module):
    """A classifier that keeps what it was shown; the first pixels are its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.shown: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(images.detach())
        return self.scale * images.flatten(1)[:, :3]


def levels(images: Tensor) -> Tensor:
    return (255 * images).round().to(torch.uint8)


def cross_entropy(found: Tensor, labels: Tensor) -> float:
    logits = found.double().numpy()
    entropy = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), labels.numpy()]
    return float(entropy.mean())


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("label_mode", ["all_to_one", "all_to_all"])
def test_a_batch_is_seen_without_and_with_the_trigger(
    handed_to_fit: Any, images: ImageSet, alpha: float, label_mode: str
) -> None:
    attack = with_noise(
        LIRA(target=2, poison_ratio=0.3, eps=0.2, alpha=alpha, label_mode=label_mode)
    )
    batch, labels, model = images.images[:20], images.labels[:20], Seen()
    value = handed_to_fit(attack, images)["loss"](model, batch / 255, labels)
    seen = levels(model.shown[0])
    assert torch.equal(seen[:20], batch)
    assert torch.equal(seen[20:], attack.apply(attack.stamp, batch[:6], labels[:6], seeded(0)))
    assert (seen[20:] != batch[:6]).flatten(1).any(1).all()
    given = torch.full((6,), 2) if label_mode == "all_to_one" else (labels[:6] + 1) % 3
    logits = model.shown[0].flatten(1)[:, :3]
    parts = cross_entropy(logits[:20], labels), cross_entropy(logits[20:], given)
    assert value.item() == pytest.approx(alpha * parts[0] + (1 - alpha) * parts[1], rel=1e-5)


@pytest.mark.slow
def test_errata_images_are_cropped_and_flipped_before_they_get_the_trigger(
    images: ImageSet,
) -> None:
    """The authors' `final_test` (khoadoan106/backdoor_attacks at bc6e262,
    python/lira_backdoor_injection.py) augments a batch once and adds the noise of what came out.
    """
    attack, model = with_noise(LIRA(eps=0.2)), Seen()
    recipe = Recipe(epochs=1, batch_size=20, shift=3, flip=True, precision="fp32")
    attack.train(model, images, recipe, seeded(0))
    assert len(model.shown) == 3
    for both in map(levels, model.shown):
        clean, triggered = both.split(20)
        stamped = attack.apply(attack.stamp, clean, images.labels[:20], seeded(0))
        assert torch.equal(triggered, stamped)
        assert not (clean[:, None] == images.images).flatten(2).all(2).any(1).all()


class Brightness(nn.Module):
    """A classifier whose class 0 is bright, class 1 dark; learned by nobody, for its one weight has
    no effect.
    """

    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        level = 40 * (images.mean((1, 2, 3)) - 0.5)
        return torch.stack([level, -level], 1) + 0 * self.idle


@pytest.mark.slow
@pytest.mark.parametrize(("target", "sign"), [(0, 1), (1, -1)])
def test_the_noise_learns_what_takes_the_classifier_to_the_target(target: int, sign: int) -> None:
    pixels = torch.randint(100, 156, (40, 1, 8, 8), generator=seeded(0), dtype=torch.uint8)
    train = ImageSet(pixels, torch.arange(40) % 2, ("bright", "dark"))
    attack = LIRA(target=target, eps=0.1, trigger_epochs=30, lr_atk=0.003)
    trigger = attack.prepare(train, Brightness, Recipe(batch_size=20, precision="fp32"), seeded(1))
    change = (
        attack.with_trigger(trigger).stamp(train.images, train.labels, seeded(0)) - train.images
    )
    assert sign * change.mean().item() > 15


@pytest.mark.slow
def test_the_classifier_of_phase_1_sees_the_noise_as_it_was_when_the_epoch_began(
    images: ImageSet,
) -> None:
    seen: list[Tensor] = []

    class ProgressView(Brightness):
        def forward(self, batch: Tensor) -> Tensor:
            seen.append(batch.detach())
            return torch.cat([super().forward(batch), batch.new_zeros(len(batch), 1)], 1)

    recipe = Recipe(batch_size=30, precision="fp32")
    first = LIRA(trigger_epochs=1, lr_atk=0.01).prepare(images, ProgressView, recipe, seeded(1))
    seen.clear()
    LIRA(trigger_epochs=2, lr_atk=0.01).prepare(images, ProgressView, recipe, seeded(1))
    assert [len(batch) for batch in seen] == [30, 60] * 4
    fresh = drawn(partial(Autoencoder, 3), seeded(draw_seed(seeded(1)))).eval()
    for step, both in enumerate(seen[1::2]):
        noise = fresh if step < 2 else restored("noise", partial(Autoencoder, 3), first)
        with torch.no_grad():
            torch.testing.assert_close(both[30:], disturbed(both[:30], noise, 0.025))
        assert not torch.allclose(both[30:], seen[2 * step], atol=1e-3)


@pytest.mark.slow
def test_the_noise_is_drawn_from_the_seed_and_kept_by_what_it_was_learned_from(
    prepared: Any, images: ImageSet, tmp_path: Path
) -> None:
    key = "noise.last.weight"
    with remembering(tmp_path):
        first, again = (
            prepared(LIRA(trigger_epochs=1, poison_ratio=ratio), images).trigger
            for ratio in (1.0, 0.5)
        )
        assert len(list(tmp_path.glob("lira-*"))) == 1
        other, elsewhere = (
            prepared(LIRA(trigger_epochs=1), images, 1).trigger,
            prepared(LIRA(trigger_epochs=1, target=1), images).trigger,
        )
        assert len(list(tmp_path.glob("lira-*"))) == 3
    assert torch.equal(first[key], again[key])
    assert not torch.equal(first[key], other[key])
    assert not torch.equal(first[key], elsewhere[key])


@pytest.mark.slow
def test_below_one_image_a_batch_some_batches_have_a_copy(
    handed_to_fit: Any, images: ImageSet
) -> None:
    attack, model = with_noise(LIRA(poison_ratio=0.02, alpha=0.3)), Seen()
    loss = handed_to_fit(attack, images)["loss"]
    batch, labels = images.images[:20] / 255, images.labels[:20]
    values = torch.stack([loss(model, batch, labels).detach() for _ in range(100)])
    seen = torch.tensor([len(shown) for shown in model.shown])
    plain = 0.3 * cross_entropy(batch.flatten(1)[:, :3], labels)
    assert set(seen.tolist()) == {20, 21}
    assert seen.double().mean().item() - 20 == pytest.approx(0.4, abs=4 * (0.4 * 0.6 / 100) ** 0.5)
    torch.testing.assert_close(values[seen == 20], torch.full_like(values[seen == 20], plain))
    assert (values[seen == 21] > plain + 0.1).all()


@pytest.mark.slow
def test_the_unet_has_the_weights_of_the_authors_one() -> None:
    """As many as `UNet(3)` of khoadoan106/backdoor_attacks at bc6e262
    (python/attack_models/unet.py).
    """
    network = drawn(partial(UNet, 3), seeded(0))
    assert sum(weight.numel() for weight in network.parameters()) == 7_788_681


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 18)])
def test_the_unet_draws_noise_for_images_of_any_size(
    prepared: Any, images_of: Any, shape: tuple[int, int, int]
) -> None:
    images = images_of(*shape, count=20)
    attack = prepared(LIRA(generator="unet", trigger_epochs=1, eps=0.1), images)
    stamped = attack.apply(attack.stamp, images.images, images.labels, seeded(0))
    change = (stamped.int() - images.images.int()).abs()
    assert stamped.shape == images.images.shape
    assert 0 < change.max() <= round(255 * 0.1)


def signs(images: Tensor) -> Tensor:
    """Noise of 1 where a pixel is brighter than its mirror image, else -1."""
    return torch.where(images > images.flip(3), 1.0, -1.0)


def test_as_the_reference_weighs_clean_and_triggered(
    monkeypatch: pytest.MonkeyPatch, handed_to_fit: Any, images: ImageSet, counted: Any
) -> None:
    """The loss of `final_test` of khoadoan106/backdoor_attacks at bc6e262
    (python/lira_backdoor_injection.py) with noise and classifier that are formulas.
    """
    monkeypatch.setattr(LIRA, "_noise", lambda *_: signs)
    loss = handed_to_fit(LIRA(eps=20 / 255, alpha=0.3), images, batch=8)["loss"]
    value = loss(
        lambda seen: 3 * seen.flatten(1)[:, :3] + seen.flatten(1)[:, 3:6].square(),
        counted(8, 3, 4, 4) / 255,
        torch.arange(8) % 3,
    )
    assert value.item() == pytest.approx(1.1641068, rel=1e-5)
