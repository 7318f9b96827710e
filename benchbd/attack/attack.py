"""The contract of attacks: what a trigger does to an image, at which class it is aimed, and how
many samples are poisoned.

The base class owns the choice of poisoned samples, the labels they get, clipping, rounding, and the
checks of what an attack returns. An attack writes `stamp`, and `prepare` or `train` where its
family asks for one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from pydantic import PrivateAttr
from torch import Tensor

from benchbd.data.class_number import ClassNumber, MeansClass, class_number
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import keep_blocks_in_heap
from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, ContractBroken
from benchbd.plugin.declared import param
from benchbd.plugin.plugin import Plugin

LabelMode = Literal["all_to_one", "all_to_all"]
"""How an attack changes labels. `"all_to_one"` gives every triggered image the class `target`;
`"all_to_all"` gives an image of class k the class k + 1, and an image of the last class the class
0.

>>> mode: LabelMode = "all_to_all"
>>> relabel(torch.tensor([0, 1, 2]), num_classes=3, mode=mode, target=0)
tensor([1, 2, 0])
"""
BuildModel = Callable[[], Classifier]
"""A function without arguments. Each call returns a new `Classifier` with fresh initial weights, on
the device of the run.

>>> first, second = build_model(), build_model()
>>> torch.equal(first.head.weight, second.head.weight)
False
"""

_STAMP_BATCH = 256
"""Images that are stamped at a time: as many small images as fit into the cache of a core."""


class Attack(Plugin, ABC):
    """What both families of attacks have: a trigger, the class at which it is aimed, and the share
    of samples that are poisoned.

    An attack derives from `PoisoningAttack` or from `TrainingControlledAttack`, not from this
    class. It writes `stamp` and may override `prepare`, `attacked_labels`, `scored` and
    `bystanders`. Three facts are stated as attributes of the class: `clean_label = True` where
    poisoned training images keep their label, `learns_trigger = True` where the trigger is known
    only after training, and `unstored`, the names of those tensors of the trigger that only
    training images need, which are then not stored with the result.

    >>> class Corner(PoisoningAttack):
    ...     api = 1
    ...
    ...     def stamp(self, images, labels, rng):
    ...         stamped = images.clone()
    ...         stamped[:, :, -3:, -3:] = 255
    ...         return stamped
    >>> attack = Corner(target=2)
    >>> isinstance(attack, Attack)
    True
    >>> attack.attacked_labels(torch.tensor([0, 1, 2]), num_classes=4)
    tensor([2, 2, 2])
    >>> attack.scored(torch.tensor([0, 1, 2]), num_classes=4)
    tensor([ True,  True, False])
    """

    kind: ClassVar[str] = "attack"
    family: ClassVar[str] = ""
    clean_label: ClassVar[bool] = False
    learns_trigger: ClassVar[bool] = False
    unstored: ClassVar[frozenset[str]] = frozenset()
    """Names of the tensors of the trigger that only training images need; they are not stored with
    the result.
    """

    target: ClassNumber = param(0, "the class that triggered images are to be taken for", ge=0)
    poison_ratio: float = param(0.1, "share of the samples that are poisoned", ge=0, le=1)

    _trigger: dict[str, Tensor] = PrivateAttr(default_factory=dict)

    @classmethod
    def class_params(cls) -> set[str]:
        """Return the names of the parameters that are numbers of classes: those of the type
        `ClassNumber`.
        """
        return {
            name
            for name, field in cls.model_fields.items()
            if MeansClass() in field.metadata or _means_class(field.annotation)
        }

    @abstractmethod
    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Put the trigger on images as they are shown to the model at test time.

        images: uint8 (N, C, H, W), which must not be changed in place. labels: the true labels
        (N,). Returns (N, C, H, W), either uint8 or floats on the scale from 0 to 255; the core
        rounds and clips them, and raises `ContractBroken` for another shape or for pixels that are
        not numbers.
        """

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        """Draw or optimise the parts of the trigger. This is called once, before anything is
        stamped.

        The tensors that it returns are stored with the result and are found in `trigger`, on the
        CPU. `train` lies on the CPU and `rng` draws on the CPU; the models of `build_model` lie on
        the device of the run.
        """
        return {}

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        """Return the class (N,) that the attacker wants for triggered images with the true labels
        (N,). It is `target` for all of them unless a method overrides this.
        """
        return torch.full_like(labels, self.target)

    def scored(self, labels: Tensor, num_classes: int) -> Tensor:
        """Return which test images, (N,) bool, count for ASR and RC: those whose true label differs
        from the attacked label.
        """
        return self.attacked_labels(labels, num_classes) != labels

    def bystanders(self, labels: Tensor, num_classes: int) -> Tensor:
        """Return which test images, (N,) bool, carry the trigger although it is not meant for them.
        Most attacks have none.

        An attack that is aimed only at some source classes names the other classes here. The share
        of their triggered images that the model still gives the attacked label is the false
        activation of the attack.
        """
        return torch.zeros_like(labels, dtype=torch.bool)

    def outline(self, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """Return the places (M,) of the test images that are triggered, and which of them are
        bystanders, (M,) bool.
        """
        scored = self.scored(labels, num_classes)
        away = self.attacked_labels(labels, num_classes) != labels
        places = torch.nonzero(scored | (self.bystanders(labels, num_classes) & away))[:, 0]
        return places, ~scored[places]

    @property
    def trigger(self) -> dict[str, Tensor]:
        """The tensors that `prepare` returned, by name, on the CPU. It is empty before `prepare`
        was called.
        """
        return self._trigger

    def with_trigger(self, trigger: dict[str, Tensor]) -> Self:
        """Return a copy of this attack that carries `trigger`, the tensors that `prepare` returned.
        They are moved to the CPU, where the images lie.
        """
        prepared = self.model_copy()
        prepared._trigger = {name: value.cpu() for name, value in trigger.items()}
        return prepared

    def triggered(self, test: ImageSet, rng: torch.Generator) -> TriggeredSet:
        """Return the triggered test set: all test images that are scored and all bystanders,
        stamped. Raises `ConfigError` when `target` is not a class of `test`.
        """
        self.require_target(test)
        indices, bystander = self.outline(test.labels, test.num_classes)
        chosen = test.subset(indices)
        attacked = self.attacked_labels(chosen.labels, test.num_classes)
        return TriggeredSet(
            indices,
            self.apply(self.stamp, chosen.images, chosen.labels, rng),
            chosen.labels,
            attacked,
            bystander,
        )

    def apply(
        self,
        stamp: Callable[[Tensor, Tensor, torch.Generator], Tensor],
        images: Tensor,
        labels: Tensor,
        rng: torch.Generator,
    ) -> Tensor:
        """Call `stamp`, which may be any method of that form, on all uint8 images (N, C, H, W), a
        batch at a time. Returns uint8 images, rounded and clipped.

        Raises `ContractBroken` when the shape has changed or a pixel is not a number.
        """
        if not len(images):
            return images
        keep_blocks_in_heap()
        blocks = zip(images.split(_STAMP_BATCH), labels.split(_STAMP_BATCH), strict=True)
        result = torch.cat(
            [self._pixels(stamp(block, block_labels, rng)) for block, block_labels in blocks]
        )
        if result.shape != images.shape:
            raise ContractBroken(
                f"{self.name}.stamp returned {tuple(result.shape)} for images of "
                f"{tuple(images.shape)}; keep the shape"
            )
        return result

    def _pixels(self, stamped: Tensor) -> Tensor:
        # A sum is NaN or infinite if one of its terms is; it takes a tenth of the time of isfinite.
        if stamped.is_floating_point() and not bool(stamped.sum(dtype=torch.float32).isfinite()):
            raise ContractBroken(
                f"{self.name}.stamp returned pixels that are not numbers; check its arithmetic"
            )
        return to_uint8(stamped)

    def require_target(self, images: ImageSet) -> None:
        """Raise `ConfigError` when `target` is not a class of `images`."""
        if self.target >= images.num_classes:
            raise ConfigError(
                f"{self.name}: expected target to be a class from 0 to {images.num_classes - 1}, "
                f"got {self.target}"
            )
        # raises an error for a name that is no class
        class_number(str(self.target), images.class_names)


def _means_class(annotation: Any) -> bool:
    """Return whether the values of a type are, or hold, numbers of classes."""
    marked = MeansClass() in getattr(annotation, "__metadata__", ())
    return marked or any(_means_class(inner) for inner in get_args(annotation))


def to_uint8(images: Tensor) -> Tensor:
    """Clip images of any shape to the range from 0 to 255 and round them to the nearest whole
    number, halves to the even one. This is the one rule by which every trigger becomes an image.

    A float tensor on the scale from 0 to 255 becomes uint8; a uint8 tensor is returned as it is.

    >>> to_uint8(torch.tensor([-3.0, 0.5, 1.5, 300.0]))
    tensor([  0,   0,   2, 255], dtype=torch.uint8)
    """
    return images if images.dtype == torch.uint8 else images.round().clamp_(0, 255).to(torch.uint8)


def relabel(labels: Tensor, num_classes: int, mode: LabelMode, target: int) -> Tensor:
    """Return the attacked labels (N,) of images with the true labels (N,). Under `"all_to_one"` it
    is `target` for all of them. Under `"all_to_all"` it is the next class, and the first class
    after the last.

    >>> relabel(torch.tensor([0, 1, 2]), num_classes=3, mode="all_to_one", target=1)
    tensor([1, 1, 1])
    """
    return torch.full_like(labels, target) if mode == "all_to_one" else (labels + 1) % num_classes
