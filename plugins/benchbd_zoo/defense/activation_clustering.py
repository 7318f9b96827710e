"""Activation Clustering (Chen, Carvalho, Baracaldo, Ludwig, Edwards, Lee, Molloy and Srivastava
2018, 1811.03728).

Poisoned samples share their label with clean ones and not the reason for it, so in a class that was
poisoned the activations fall into two clusters.

    for every class, over the whole of it:
    1. A = activations of the last hidden layer, reduced to `nb_dims` components
    2. 2-means of A
    3. one cluster is poison, as a rule says (`cluster_analysis`):
       smaller             the smaller one, whatever it holds
       relative-size       the smaller one, if its share of the class is below `size_threshold`
       distance            one whose centre (median) is nearer to the centre of another class than
                           to that of its own
       silhouette-scores   as relative-size, and the silhouette of the clustering exceeds
                           `silhouette_threshold`

Suspicion is that of a sample's cluster, so many samples share it: minus the share of the cluster;
the distance to the own centre minus that to the nearest other one; or the silhouette, and -1 for
clusters that are too large.

Parameters have the names and defaults of the authors' library (ART): `smaller` removes up to half
of every class, also where nothing is poisoned. The paper reduces by ICA and judges by size or
silhouette.

Departs from the paper: no exclusionary reclassification. Departs from the library: for `distance`
the centres lie in the space of all features; reductions made for one class cannot be compared with
those of another.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, DataFilter, ImageSet, Suspicion, draw_seed, param
from benchbd_zoo.defense.parts.latent import by_class, library, two_means


class ActivationClustering(DataFilter):
    """Judges clusters, not samples."""

    api = 1

    nb_dims: int = param(10, "components to which the activations are reduced", ge=1)
    reduce: Literal["PCA", "FastICA"] = param("PCA", "how they are reduced")
    cluster_analysis: Literal["smaller", "relative-size", "distance", "silhouette-scores"] = param(
        "smaller", "the rule by which a cluster is poison"
    )
    size_threshold: float = param(
        0.35, "share of the class below which a cluster is small", gt=0, le=0.5
    )
    silhouette_threshold: float = param(
        0.1, "silhouette above which a class is two clusters", ge=-1, le=1
    )

    def score(
        self, train_as_seen: ImageSet, model: nn.Module, clean: CleanSet, rng: torch.Generator
    ) -> Suspicion:
        classes = list(by_class(model, train_as_seen))
        centres = {label: latent.median(0).values for label, _, latent in classes}
        scores, shares = torch.zeros(len(train_as_seen), dtype=torch.float64), {}
        for label, places, latent in classes:
            seed = draw_seed(rng)
            reduced = self._reduced(latent, seed)
            second = two_means(reduced, seed)
            shares[str(label)] = min(
                float(second.double().mean()), float((~second).double().mean())
            )
            if self.cluster_analysis == "distance":
                scores[places] = nearer_elsewhere(
                    latent, second, centres[label], [c for k, c in centres.items() if k != label]
                )
            elif self.cluster_analysis == "silhouette-scores":
                scores[places] = self._silhouette(reduced, second)
            else:
                scores[places] = -cluster_share(second)
        return Suspicion(scores, self._threshold(), {"share of the smaller cluster": shares})

    def _threshold(self) -> float:
        """Above it a sample's cluster is poison."""
        by_rule = {"smaller": -0.5, "relative-size": -self.size_threshold, "distance": 0.0}
        return by_rule.get(self.cluster_analysis, self.silhouette_threshold)

    def _reduced(self, latent: Tensor, seed: int) -> Tensor:
        """Step 1: (n, D) to (n, k). The independent components are those of the principal ones, of
        equal variance.
        """
        if len(latent) < 2 or not bool((latent != latent[0]).any()):
            return latent
        with library(seed):  # components that are independent in part serve as well
            from sklearn.decomposition import PCA, FastICA

            pca = PCA(min(self.nb_dims, *latent.shape), svd_solver="full").fit(latent.numpy())
            live = pca.explained_variance_ > 1e-10 * pca.explained_variance_[0]
            components = pca.transform(latent.numpy())[:, live]
            if self.reduce == "FastICA":
                components = FastICA(
                    whiten="unit-variance", random_state=seed % 2**32
                ).fit_transform(components)
        return torch.from_numpy(components)

    def _silhouette(self, reduced: Tensor, second: Tensor) -> Tensor:
        """The silhouette of the clustering (n,) for samples of a small cluster, -1 for
        the others.
        """
        from sklearn.metrics import silhouette_score

        small = cluster_share(second) < self.size_threshold
        if not bool(small.any()) or len(second) < 3:
            return torch.full((len(second),), -1.0, dtype=torch.float64)
        return torch.where(
            small, float(silhouette_score(reduced.numpy(), second.numpy())), -1.0
        ).double()


def cluster_share(second: Tensor) -> Tensor:
    """The share of the class (n,) that each sample's cluster holds."""
    share = second.double().mean()
    return torch.where(second, share, (~second).double().mean())


def nearer_elsewhere(latent: Tensor, second: Tensor, own: Tensor, others: list[Tensor]) -> Tensor:
    """How much nearer (n,) each sample's cluster lies to another class than to its own; negative
    where it does not.
    """
    margin = torch.zeros(len(latent), dtype=torch.float64)
    for cluster in (second, ~second):
        if bool(cluster.any()) and others:
            centre = latent[cluster].median(0).values
            margin[cluster] = (centre - own).norm() - (torch.stack(others) - centre).norm(
                dim=1
            ).min()
    return margin
