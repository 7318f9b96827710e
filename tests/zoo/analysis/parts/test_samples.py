"""Samples as the victim sees them, with what was done to each."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchbd.api import NotApplicable, State
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis.parts.samples import drawn, samples


def test_training_samples_are_those_that_the_victim_sees() -> None:
    scene = hand_over().scene
    seen, known = scene.poisoned_set().as_seen(), samples(scene)
    assert torch.equal(known.labels, seen.labels)
    assert torch.equal(known.pick(torch.arange(len(seen))), seen.images)
    assert len(known.places(State.POISONED)) == scene.poisoned_set().count(State.POISONED)
    assert known.target() == 0


def test_test_images_stand_for_a_training_set_that_is_not_there() -> None:
    scene = replace(hand_over().scene, train=None)
    known = samples(scene)
    poisoned = known.places(State.POISONED, label=0)
    assert torch.equal(known.pick(poisoned), scene.triggered.images)
    assert torch.equal(known.labels[known.places(State.CLEAN)], scene.test.labels)


def test_without_any_poison_there_is_nothing_to_see() -> None:
    scene = hand_over().scene
    nobody = replace(scene.triggered, bystander=torch.ones(len(scene.triggered), dtype=torch.bool))
    with pytest.raises(NotApplicable, match="neither"):
        samples(replace(scene, train=None, triggered=nobody))


def test_places_are_drawn_once() -> None:
    places = torch.tensor([3, 5, 8])
    assert sorted(drawn(places, 9, torch.Generator().manual_seed(0)).tolist()) == [3, 5, 8]
    assert len(drawn(places, 2, torch.Generator().manual_seed(0))) == 2
