"""Relearning (Min, Qin, Zhang, Shen and Cheng, NeurIPS 2024, 2410.09838): does the backdoor come
back after a repair when somebody tunes the model on a few triggered samples?

    1. tune each model on a share of clean training images and m triggered ones with the attacked
       label: SGD, 5 epochs
    2. gain = ASR of the tuned model - mean ASR of clean twins, tuned in the same way

Clean twins are the control: a few samples teach any network something, so only what a repaired
model relearns beyond them is a backdoor that had slept. They differ among themselves; a gain within
their spread says nothing. With m = 0 a model is tuned on clean images alone.

Departs from the paper: the twins are ours; all training images are clean here but the m triggered
ones, which are drawn from those that an attacker would stamp.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchbd.api import (
    Analysis,
    Classifier,
    Findings,
    ImageSet,
    Lines,
    Measure,
    NotApplicable,
    Recipe,
    Scene,
    accuracy,
    draw_seed,
    fit,
    param,
)

TWINS = "clean twins"

SPARE = 10
"""Times as many images are stamped as are wanted, since those of the attacked class drop out."""


class Retune(Analysis):
    """Six short trainings for each model, and clean twins, which are trained once."""

    api = 1
    measures: ClassVar = {
        "asr": Measure("ASR before any tuning", low=0, high=1, better="lower"),
        "asr_tuned": Measure(
            "ASR after tuning with as many triggered samples as `samples` says", low=0, high=1
        ),
        "gain": Measure(
            "ASR after that tuning, less the mean of the clean twins: what had slept",
            low=-1,
            high=1,
            better="lower",
        ),
        "mean_gain": Measure(
            "mean of that difference over all numbers of triggered samples",
            low=-1,
            high=1,
            better="lower",
        ),
        "acc_tuned": Measure("ACC after that tuning", low=0, high=1, better="higher"),
        "spread": Measure(
            "largest less smallest ASR of the clean twins after that tuning", low=0, high=1
        ),
    }

    twins: int = param(3, "clean twins", ge=1, le=10)
    samples: int = param(5, "triggered samples of the reported tuning", ge=0)
    counts: tuple[int, ...] = param((0, 1, 2, 5, 10, 50), "triggered samples along the curve")
    share: float = param(0.02, "share of the clean training images beside them", gt=0, le=1)
    epochs: int = param(5, "passes over both", ge=0)
    lr: float = param(0.01, "learning rate", gt=0)
    batch_size: int = param(128, "images per step", ge=1)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        clean, triggered = self._draw(scene, rng)
        counts = sorted({*self.counts, self.samples})
        seeds = {count: draw_seed(rng) for count in counts}
        twins = [scene.clean_twin(number) for number in range(self.twins)]
        sound = [self._courses(twin, twin, scene, clean, triggered, seeds) for twin in twins]
        control = torch.stack([course.asr for course in sound])
        courses = {
            name: self._courses(model, twins[0], scene, clean, triggered, seeds)
            for name, model in scene.models.items()
        }
        here = counts.index(self.samples)
        numbers = {
            name: {
                "asr": course.before,
                "asr_tuned": float(course.asr[here]),
                "gain": float(course.asr[here] - control.mean(0)[here]),
                "mean_gain": float((course.asr - control.mean(0)).mean()),
                "acc_tuned": float(course.acc[here]),
            }
            for name, course in courses.items()
        }
        numbers[TWINS] = {
            "asr": sum(course.before for course in sound) / len(sound),
            "asr_tuned": float(control.mean(0)[here]),
            "acc_tuned": float(torch.stack([course.acc for course in sound]).mean(0)[here]),
            "spread": float(control[:, here].max() - control[:, here].min()),
        }
        picture = Lines(
            [str(count) for count in counts],
            {name: course.asr for name, course in courses.items()} | {TWINS: control.mean(0)},
            "triggered samples among those that the model was tuned on",
            "ASR",
            "A repaired model whose curve runs with that of the clean twins has lost the backdoor; "
            "one that rises before them still has it.",
        )
        return Findings(numbers, pictures={"relearning": picture})

    def _draw(self, scene: Scene, rng: torch.Generator) -> tuple[ImageSet, ImageSet]:
        """Return clean training images, and triggered ones of other scenes with their attacked
        labels.
        """
        train = scene.clean_train
        order = torch.randperm(len(train), generator=rng)
        kept = max(2, round(self.share * len(train)))
        wanted = max(self.samples, *self.counts)
        source = train.subset(order[kept : kept + SPARE * wanted])
        images, attacked = scene.stamp(source.images, source.labels)
        away = torch.nonzero(attacked != source.labels)[:, 0][:wanted]
        if len(away) < wanted:
            raise NotApplicable(
                f"{wanted} triggered samples are wanted, and {len(away)} images can carry one"
            )
        triggered = ImageSet(images[away], attacked[away], train.class_names)
        return train.subset(order[:kept]), triggered

    def _courses(
        self,
        model: Classifier,
        fresh: Classifier,
        scene: Scene,
        clean: ImageSet,
        triggered: ImageSet,
        seeds: Mapping[int, int],
    ) -> _Courses:
        """Tune a model with every number of triggered samples. fresh: a model whose parameters are
        learned or frozen as the tuned one's are to be.
        """
        start = _learning_alike(model, fresh)
        asr, acc = [], []
        for count, seed in seeds.items():
            tuned = self._tuned(start, clean, triggered, count, seed)
            asr.append(_asr(tuned, scene))
            acc.append(accuracy(tuned, scene.test.images, scene.test.labels))
        return _Courses(_asr(model, scene), torch.tensor(asr), torch.tensor(acc))

    def _tuned(
        self, model: Classifier, clean: ImageSet, triggered: ImageSet, count: int, seed: int
    ) -> nn.Module:
        """Return a copy of the model, tuned on the clean images and `count` triggered ones."""
        recipe = Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            schedule="constant",
            shift=0,
        )
        both = ImageSet(
            torch.cat([clean.images, triggered.images[:count]]),
            torch.cat([clean.labels, triggered.labels[:count]]),
            clean.class_names,
        )
        return fit(copy.deepcopy(model), both, recipe, torch.Generator().manual_seed(seed))


@dataclass(frozen=True, eq=False)
class _Courses:
    """ASR before any tuning, and ASR (M,) and ACC (M,) after tuning with each number of samples."""

    before: float
    asr: Tensor
    acc: Tensor


def _learning_alike(model: Classifier, twin: Classifier) -> Classifier:
    """Return a copy that learns the parameters that a fresh network learns. A repair may have
    frozen some of them.
    """
    other, learned = copy.deepcopy(model), dict(twin.named_parameters())
    for name, parameter in other.named_parameters():
        parameter.requires_grad_(learned[name].requires_grad)
    return other


def _asr(model: nn.Module, scene: Scene) -> float:
    scored = scene.triggered.scored
    if not bool(scored.any()):
        raise NotApplicable("no test image carries a trigger")
    images: Tensor = scene.triggered.images[scored]
    return accuracy(model, images, scene.triggered.attacked_labels[scored])
