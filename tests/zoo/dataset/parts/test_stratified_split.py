from __future__ import annotations

import torch

from benchbd_zoo.dataset.parts.stratified_split import held_out

LABELS = torch.tensor([0] * 10 + [1] * 7 + [3] * 4 + [2])


def test_the_share_is_taken_of_every_class():
    chosen = held_out(LABELS, 0.3)
    # 0.3 of 10, 7, 1 and 4 images is 3, 2.1, 0.3 and 1.2
    assert [int(chosen[label == LABELS].sum()) for label in range(4)] == [3, 2, 0, 1]


def test_it_is_the_same_every_time_and_leaves_the_global_random_state_alone():
    state = torch.get_rng_state()
    first = held_out(LABELS, 0.5)
    torch.rand(3)
    torch.set_rng_state(state)
    assert torch.equal(first, held_out(LABELS, 0.5))
    assert torch.equal(state, torch.get_rng_state())


def test_the_drawing_is_not_simply_the_first_images():
    chosen = held_out(torch.zeros(100, dtype=torch.int64), 0.5)
    assert 10 < int(chosen[:50].sum()) < 40
