"""Named seed streams."""

from __future__ import annotations

import hashlib
import random

import numpy
import pytest
import torch

from benchbd.seeds import Seeds, draw_seed, fork, global_random_state, stream_seed


def test_a_seed_is_the_start_of_a_sha256_over_json() -> None:
    digest = hashlib.sha256(b'[7,"init","a",2]').hexdigest()
    assert stream_seed(7, "init", "a", 2) == int(digest[:16], 16) // 2


def test_streams_differ_by_base_name_and_parts() -> None:
    seeds = {
        stream_seed(0, "init"),
        stream_seed(1, "init"),
        stream_seed(0, "poison"),
        stream_seed(0, "init", 0),
        stream_seed(0, "init", "0"),
        stream_seed(0, "init", "0", "1"),
        stream_seed(0, "init", "01"),
    }
    assert len(seeds) == 7
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_generator_starts_anew_at_each_call() -> None:
    first, second = (torch.rand(4, generator=Seeds(3).generator("budget")) for _ in range(2))
    assert torch.equal(first, second)
    assert Seeds(3).seed("budget") == stream_seed(3, "budget")


def test_fork_takes_one_draw_and_goes_its_own_way() -> None:
    parent, twin = (torch.Generator().manual_seed(5) for _ in range(2))
    child = fork(parent)
    assert child.initial_seed() == draw_seed(twin)
    assert torch.equal(torch.rand(3, generator=parent), torch.rand(3, generator=twin))
    torch.rand(100, generator=child)
    assert torch.equal(torch.rand(3, generator=parent), torch.rand(3, generator=twin))


def draws() -> list[float]:
    return [random.random(), float(numpy.random.rand()), float(torch.rand(()))]


def test_global_state_is_seeded_inside_and_as_before_outside() -> None:
    with global_random_state(1):
        expected = draws()
        following = draws()
    with global_random_state(1):
        assert draws() == expected
        with global_random_state(2):
            assert draws() != following
        assert draws() == following


def test_global_state_comes_back_after_an_error() -> None:
    with global_random_state(1):
        expected = draws()
    with global_random_state(1):
        with pytest.raises(KeyError), global_random_state(2**63 - 1):
            draws()
            raise KeyError
        assert draws() == expected
