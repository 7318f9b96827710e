from __future__ import annotations

import pytest
import torch

from benchbd.importing.naming import common_prefix, namings, usual

OWN = ("conv.weight", "conv.bias", "bn.num_batches_tracked", "shortcut.0.weight", "head.weight")
ELSEWHERE = {name: name.replace("head", "fc").replace("shortcut", "downsample") for name in OWN}


def _table(*names: str) -> dict[str, torch.Tensor]:
    return dict.fromkeys(names, torch.zeros(1))


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.net.", "1.", "any.thing."])
@pytest.mark.parametrize("names", [OWN, tuple(ELSEWHERE.values())])
def test_any_one_prefix_is_taken_away(prefix: str, names: tuple[str, ...]) -> None:
    best, *_ = namings(OWN, ELSEWHERE, _table(*(prefix + name for name in names)))
    assert best.is_whole and best.prefix == prefix and not best.strange
    assert best.names == {own: prefix + name for own, name in zip(OWN, names, strict=True)}


@pytest.mark.parametrize("head", ["linear", "classifier", "head.fc", "last_linear", "fc"])
def test_usual_other_names_are_known(head: str) -> None:
    theirs = [name.replace("head", head).replace("shortcut", "skip") for name in OWN]
    best, *_ = namings(OWN, ELSEWHERE, _table(*theirs))
    assert best.is_whole and best.names["head.weight"] == f"{head}.weight"


def test_what_lacks_is_strange_or_apart_is_told() -> None:
    table = _table("net.conv.weight", "net.extra", "0.mean", "0.std", "loss.weight")
    best, *_ = namings(OWN, ELSEWHERE, table)
    assert best.prefix == "net." and best.names == {"conv.weight": "net.conv.weight"}
    assert set(best.missing) == {"conv.bias", "shortcut.0.weight", "head.weight"}
    assert (best.strange, best.aside) == (("extra",), ("loss.weight",))


def test_counters_are_not_missed_and_what_profilers_leave_is_not_strange() -> None:
    table = _table(
        *(name for name in OWN if "tracked" not in name), "total_ops", "conv.total_params"
    )
    best, *_ = namings(OWN, ELSEWHERE, table)
    assert best.is_whole and not best.strange


def test_a_given_prefix_is_the_only_one() -> None:
    table = _table(*(prefix + name for prefix in ("a.", "b.") for name in OWN))
    (chosen,) = namings(OWN, ELSEWHERE, table, "b.")
    assert chosen.names["conv.bias"] == "b.conv.bias"
    assert [each.prefix for each in namings(OWN, ELSEWHERE, table) if each.is_whole] == ["a.", "b."]


def test_one_spelling() -> None:
    assert usual("classifier.bias") == usual("fc.bias") == "head.bias"
    assert usual("layer1.0.skip.1.weight") == "layer1.0.downsample.1.weight"
    assert usual("features.classifier.weight") == "features.classifier.weight"


def test_the_longest_beginning_that_is_shared() -> None:
    assert common_prefix(["a.b.c", "a.b.d.e"]) == "a.b."
    assert common_prefix(["abc.d", "abd.d"]) == common_prefix([]) == common_prefix(["a", "b"]) == ""
