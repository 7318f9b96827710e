"""SCAn: covariances against EM written out, the likelihood ratio by hand, a planted group, the
threshold.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchbd.api import CleanSet, ImageSet, Suspicion, features
from benchbd.measure.detection import separation
from benchbd_zoo.defense.scan import SCAn, Space, anomaly, coordinates, estimated, fewer_clean
from support.planted_features import clean_samples, planted, reader

Array = NDArray[np.float64]


def judged(
    train: ImageSet, clean: CleanSet | None = None, seed: int = 0, **parameters: Any
) -> Suspicion:
    model = reader(train.images.shape[-1])
    return SCAn(**parameters).score(
        train, model, clean or clean_samples(), torch.Generator().manual_seed(seed)
    )


def classes_of(sizes: tuple[int, ...], width: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Centred samples around random means, and labels."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    mix = torch.randn(width, width, generator=rng).double()
    means = 3 * torch.randn(len(sizes), width, generator=rng).double()
    samples = means[labels] + torch.randn(len(labels), width, generator=rng).double() @ mix
    return samples - samples.mean(0), labels


def em_by_hand(samples: Array, labels: Array, rounds: int) -> tuple[Array, Array]:
    """mu_k = S_e (n S_mu + S_e)^-1 S_mu S_e^-1 sum of r, then covariances, in full matrices."""
    counts = np.bincount(labels)
    totals = np.stack([samples[labels == k].sum(0) for k in range(len(counts))])
    means = totals / counts[:, None]
    between, within = np.cov(means[labels].T), np.cov((samples - means[labels]).T)
    for _ in range(rounds):
        inverse = np.linalg.inv(within)
        means = np.stack(
            [
                within @ np.linalg.inv(n * between + within) @ between @ inverse @ total
                for n, total in zip(counts, totals, strict=True)
            ]
        )
        between, within = np.cov(means[labels].T), np.cov((samples - means[labels]).T)
    return between, within


def test_covariances_equal_those_of_em_written_out() -> None:
    samples, labels = classes_of((12, 20, 7, 30))
    between, within = em_by_hand(samples.numpy(), labels.numpy(), rounds=100)
    space = estimated(samples, labels)
    np.testing.assert_allclose(
        space.basis.T @ torch.from_numpy(within) @ space.basis, np.eye(5), atol=1e-3
    )
    np.testing.assert_allclose(
        space.basis.T @ torch.from_numpy(between) @ space.basis,
        torch.diag(space.between),
        atol=1e-2,
    )


def test_as_the_reference_estimates_covariances() -> None:
    """`SCAn.build_global_model` of vtu81/backdoor-toolbox at 9d4d909 (cleansers_tool_box/scan.py):
    the eigenvalues of S_e^-1 S_mu, of four classes.
    """
    held = clean_samples().all()
    known = features(reader(12), held.images).double()
    space = estimated(known - known.mean(0), held.labels)
    expected = [0] * 9 + [2.821419, 4.877743, 5.367992]
    np.testing.assert_allclose(space.between.numpy(), expected, rtol=1e-5, atol=1e-9)


def test_coordinates_lead_back() -> None:
    samples, labels = classes_of((12, 20, 7, 30))
    between, within = (
        torch.from_numpy(m) for m in em_by_hand(samples.numpy(), labels.numpy(), rounds=1)
    )
    space, back = coordinates(between, within)
    torch.testing.assert_close(space.seen(samples) @ back, samples)
    torch.testing.assert_close(back.T @ torch.diag(space.between) @ back, between)


def test_the_likelihood_ratio_equals_the_formula() -> None:
    samples, labels = classes_of((40, 30))
    between, within = (
        torch.from_numpy(m) for m in em_by_hand(samples.numpy(), labels.numpy(), rounds=3)
    )
    space, _ = coordinates(between, within)
    r, second = samples[labels == 0], torch.arange(40) < 15
    found = float(space.ratio(space.seen(r), second))

    inverse = torch.linalg.inv(within)
    mu = within @ torch.linalg.inv(40 * between + within) @ between @ inverse @ r.sum(0)
    centres = torch.where(second[:, None], r[second].mean(0), r[~second].mean(0))
    far, near = ((((r - c) @ inverse) * (r - c)).sum(1) for c in (mu, centres))
    assert found == pytest.approx(float((far - near).mean()), rel=1e-8)


def test_anomaly_by_hand() -> None:
    # median 2, distances 1, 1, 0, 8, 0; their median 1
    assert anomaly(torch.tensor([1.0, 3, 2, 10, 2])).tolist() == pytest.approx(
        [v / 1.4826 for v in (1, 1, 0, 8, 0)]
    )
    assert anomaly(torch.tensor([2.0, 2, 2])).tolist() == [0, 0, 0]
    assert torch.isfinite(anomaly(torch.tensor([2.0, 2, 2, 9]))).all()


@pytest.mark.parametrize(
    ("clean", "poison"),
    [([[0.0], [0.1]], True), ([[9.0], [9.1], [0.0]], False), ([], True), ([[0.0], [9.0]], True)],
    ids=["all in the first", "most in the second", "none", "as many"],
)
def test_the_group_with_fewer_clean_samples_is_poison(
    clean: list[list[float]], poison: bool
) -> None:
    samples = torch.tensor([[0.0], [0.2], [0.1], [9.0]])
    assert fewer_clean(samples, samples[:, 0] > 5, torch.tensor(clean).reshape(-1, 1)) is poison


def test_a_planted_group_is_found_and_nothing_else() -> None:
    train, bad = planted(shift=9)
    found = judged(train)
    assert torch.equal(found.scores > found.threshold, bad)
    assert separation(found.scores[~bad], found.scores[bad])["auroc"] == 1
    assert found.notes["anomaly"]["0"] > 10 > max(found.notes["anomaly"][k] for k in "123")


def test_a_group_larger_than_the_clean_one_is_found_too() -> None:
    """Sizes do not tell which is which; the clean samples do."""
    train, bad = planted((40, 80, 80, 80), poison=80, shift=9)
    found = judged(train)
    assert torch.equal(found.scores > found.threshold, bad)


def test_a_set_without_poison_raises_no_alarm() -> None:
    found = judged(planted((80, 80, 80, 80), poison=0)[0])
    assert not (found.scores > found.threshold).any()


def test_the_threshold_is_e_squared_and_is_honoured() -> None:
    assert SCAn().threshold == pytest.approx(7.389, abs=1e-3)
    train, bad = planted()
    found = judged(train)
    anomaly_of_0 = found.notes["anomaly"]["0"]
    for threshold, alarmed in ((anomaly_of_0 * 0.99, True), (anomaly_of_0 * 1.01, False)):
        again = judged(train, threshold=threshold)
        assert again.threshold == threshold
        assert bool((again.scores > again.threshold)[bad].all()) is alarmed


def test_order_does_not_matter() -> None:
    train, _ = planted()
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(1))
    plain, turned = judged(train), judged(train.subset(order))
    inside = (train.labels == 0)[
        order
    ]  # of classes without structure, 2-means may find another split
    torch.testing.assert_close(turned.scores[inside] > 7, plain.scores[order][inside] > 7)


def test_features_that_never_change_and_tiny_classes_are_borne() -> None:
    train, _ = planted()
    pixels = train.images.clone()
    pixels[..., 5:9] = 100
    kept = torch.cat(
        [torch.nonzero(train.labels != 3)[:, 0], torch.nonzero(train.labels == 3)[:1, 0]]
    )
    found = judged(ImageSet(pixels, train.labels, train.class_names).subset(kept))
    assert torch.isfinite(found.scores).all() and found.scores.shape == (len(kept),)


def test_a_class_that_is_missing_is_borne() -> None:
    train, bad = planted()
    kept = torch.nonzero(train.labels != 2)[:, 0]
    found = judged(train.subset(kept))
    assert set(found.notes["anomaly"]) == {"0", "1", "3"}
    assert math.isfinite(float(found.scores.sum()))
    assert (found.scores[bad[kept]] > 0).all()


def test_a_space_without_structure_between_classes_puts_every_mean_at_the_middle() -> None:
    space = Space(torch.eye(2), torch.zeros(2))
    assert space.centre(torch.tensor([4.0, 2.0]), 2).tolist() == [0, 0]
