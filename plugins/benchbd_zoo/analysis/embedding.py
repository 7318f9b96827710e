"""What the feature space looks like: penultimate features in a plane, by principal components, by
t-SNE (van der Maaten and Hinton, JMLR 2008) or by UMAP (McInnes, Healy and Melville, 1802.03426).

    pca    the first two principal components
    tsne   PCA to 50 dimensions, then t-SNE: Barnes-Hut, perplexity min(30, N / 4), started from PCA
    umap   PCA to 50 dimensions, then UMAP of 15 neighbours; needs the extra `umap`

Every model is shown on its own, with the same samples. Both axes have one scale. Distances between
clusters mean nothing in t-SNE and little in UMAP, so the numbers are of the features themselves:

    purity  share of poisoned samples among the k = 10 nearest neighbours of a poisoned sample

Samples are of the target class and of up to nine others, and of the poisoned and the cover samples,
as many of each kind as there are; where an attack leaves no training set, test images.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from benchbd.api import (
    Analysis,
    ConfigError,
    Findings,
    Measure,
    NotApplicable,
    Scatter,
    Scene,
    State,
    draw_seed,
    features,
    param,
)
from benchbd_zoo.analysis.parts.samples import Samples, drawn, samples
from benchbd_zoo.defense.parts.latent import library

Method = Literal["pca", "tsne", "umap"]

CLASSES = 10
"""Classes that a reader can tell apart by colour and marker."""

NEIGHBOURS = 10
DIMENSIONS = 50
FEWEST = 20
"""Samples of which most have neighbours of both kinds."""

CAPTIONS: dict[str, str] = {
    "pca": "The two directions in which features differ most, on one scale; distances are real, "
    "but much lies in other directions.",
    "tsne": "Points that lie together have similar features; how far clusters are apart and how "
    "large they are means nothing, so read the purity beside it.",
    "umap": "Points that lie together have similar features; how far clusters are apart means "
    "little, so read the purity beside it.",
}


class Embedding(Analysis):
    """A forward pass over the samples for each model, then seconds for t-SNE."""

    api = 1
    quick: ClassVar = {"samples": 60}
    measures: ClassVar = {
        "purity": Measure(
            f"share of poisoned samples among the {NEIGHBOURS} nearest neighbours of a poisoned "
            "one, in the space of the features",
            low=0,
            high=1,
        ),
        "among_target": Measure(
            "share of clean samples of the target class among them", low=0, high=1
        ),
        "chance": Measure("share of poisoned samples among all that are shown", low=0, high=1),
    }

    method: Method = param("tsne", "how features are brought into a plane")
    samples: int = param(600, "samples that are shown", ge=FEWEST, le=2000)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        known = samples(scene)
        target = known.target()
        groups, names = grouped(known, scene.test.class_names, target)
        chosen = some_of_each(groups, self.samples, rng)
        if len(chosen) < FEWEST:
            raise NotApplicable(f"there are {len(chosen)} {known.of}, and {FEWEST} are needed")
        images, groups, seed = known.pick(chosen), groups[chosen], draw_seed(rng)
        poisoned = groups == names.index(POISONED)
        numbers, panels = {}, {}
        for name, model in scene.models.items():
            h = features(model, images)
            near = neighbours(h, min(NEIGHBOURS, len(h) - 1))[poisoned]
            numbers[name] = {
                "purity": float(poisoned[near].double().mean()),
                "among_target": float((groups[near] == 0).double().mean()),
                "chance": float(poisoned.double().mean()),
            }
            panels[name] = in_plane(h, self.method, seed)
        picture = Scatter(panels, groups, names, CAPTIONS[self.method], marked=(POISONED, COVER))
        return Findings(numbers, {}, {self.method: picture}, {"of": known.of})


POISONED, COVER = "poisoned", "cover"


def grouped(
    known: Samples, class_names: tuple[str, ...], target: int
) -> tuple[Tensor, tuple[str, ...]]:
    """Return for each sample the number of its group (N,), or -1 where it is not shown, and the
    names of the groups: the target class, other classes, poisoned and cover samples.
    """
    others = [label for label in range(len(class_names)) if label != target][: CLASSES - 1]
    groups = torch.full_like(known.labels, -1)
    for number, label in enumerate([target, *others]):
        groups[known.places(State.CLEAN, label)] = number
    names = [f"{class_names[target]} (target)", *(class_names[label] for label in others)]
    for state, name in ((State.POISONED, POISONED), (State.COVER, COVER)):
        if len(places := known.places(state)):
            groups[places] = len(names)
            names.append(name)
    return groups, tuple(names)


def some_of_each(groups: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Return the places of up to `count` samples, drawn, as many of each group of `groups` (N,) as
    of the others, or all that it has; ascending.
    """
    kinds = groups.unique()
    each = count // len(kinds[kinds >= 0])
    found = [
        drawn(torch.nonzero(groups == kind)[:, 0], each, rng) for kind in kinds[kinds >= 0].tolist()
    ]
    return torch.cat(found).sort().values


def neighbours(h: Tensor, count: int) -> Tensor:
    """Return the places (N, count) of the nearest others of each of the features h (N, D)."""
    distances = torch.cdist(h.double(), h.double())
    return distances.fill_diagonal_(float("inf")).topk(count, largest=False).indices


def in_plane(h: Tensor, method: Method, seed: int) -> Tensor:
    """Return points (N, 2) float32 for features h (N, D); all 0 where no feature differs. Raises
    `ConfigError` where UMAP is not installed.
    """
    if not bool((h != h[0]).any()):
        return torch.zeros(len(h), 2)
    with library(seed):
        from sklearn.decomposition import PCA

        dimensions = min(2 if method == "pca" else DIMENSIONS, *h.shape)
        low = PCA(dimensions, svd_solver="full").fit_transform(h.double().numpy())
        if method == "pca":
            return torch.from_numpy(low).float()
        embed = _tsne if method == "tsne" else _umap
        return torch.as_tensor(embed(low, seed % 2**32)).float()


def _tsne(low: object, seed: int) -> object:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, len(low) / 4)  # type: ignore[arg-type]
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(low)


def _umap(low: object, seed: int) -> object:
    try:
        from umap import UMAP
    except ImportError:
        raise ConfigError(
            "analysis embedding: method umap needs the package umap-learn; install it with "
            "`pip install 'benchbd[umap]'`, or set analysis.method=tsne"
        ) from None
    return UMAP(random_state=seed).fit_transform(low)
