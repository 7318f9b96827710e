"""Features in a plane: planted clouds, purity by hand, and what does not depend on the order."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor

from benchbd.api import ConfigError, Scatter
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis.embedding import Embedding, in_plane, neighbours, some_of_each


def clouds(count: int = 20) -> Tensor:
    """Three clouds far apart, in eight dimensions."""
    rng = torch.Generator().manual_seed(5)
    centres = 50 * torch.eye(8)[:3]
    return torch.cat([centre + torch.randn(count, 8, generator=rng) for centre in centres])


def test_neighbours_lie_in_the_same_cloud() -> None:
    near = neighbours(clouds(), 10)
    assert torch.equal(near // 20, (torch.arange(60) // 20)[:, None].expand(-1, 10))
    assert not bool((near == torch.arange(60)[:, None]).any())


def test_principal_components_do_not_depend_on_the_order() -> None:
    h = clouds()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    points, shuffled = in_plane(h, "pca", seed=0), in_plane(h[order], "pca", seed=0)
    signs = (points[order] * shuffled).sum(0).sign()
    torch.testing.assert_close(shuffled * signs, points[order], rtol=1e-4, atol=1e-4)


def test_clouds_that_are_far_apart_stay_apart_in_the_plane() -> None:
    points = in_plane(clouds(), "tsne", seed=0)
    assert torch.equal(points, in_plane(clouds(), "tsne", seed=0))
    assert torch.equal(neighbours(points, 10) // 20, neighbours(clouds(), 10) // 20)


def test_each_group_has_as_many_as_the_others_or_all() -> None:
    groups = torch.tensor([0] * 10 + [1] * 3 + [-1] * 5 + [2] * 10)
    chosen = groups[some_of_each(groups, 15, torch.Generator().manual_seed(0))]
    assert torch.bincount(chosen).tolist() == [5, 3, 5]


def test_a_patch_has_a_neighbourhood_of_its_own() -> None:
    handed = hand_over()
    found = Embedding(method="pca", samples=100).look(handed.scene, handed.rng)
    assert found.numbers["backdoored"]["purity"] > 0.7 > 2 * found.numbers["backdoored"]["chance"]
    picture = found.pictures["pca"]
    assert isinstance(picture, Scatter)
    assert (picture.names[0], picture.names[-1]) == ("north-west (target)", "poisoned")
    assert torch.bincount(picture.groups).tolist() == [20] * 5


def test_features_that_do_not_differ_are_one_point() -> None:
    assert not in_plane(torch.ones(30, 4), "tsne", seed=0).any()


def test_umap_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ConfigError, match=r"benchbd\[umap\]"):
        in_plane(clouds(), "umap", seed=0)
