"""Shared work is done once per content, and done again when what it depends on, or its file, has
changed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.recipe import Recipe
from benchbd.errors import Diverged, Unwritable
from benchbd.plugin.registry import create
from benchbd.record.plugin_record import PluginRecord
from benchbd.record.remembered import clean_model, digest_of_parts, remembered, remembering
from benchbd.record.tensor_files import read_tensors, write_tensors
from benchbd.victim.model import Model


class Maker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> dict[str, Tensor]:
        self.calls += 1
        return {"made": torch.full((2,), self.calls)}


def test_once_per_content(tmp_path: Path) -> None:
    make, weights = Maker(), torch.arange(4.0)
    with remembering(tmp_path):
        first = remembered("thing", [weights, {"a": 1}], make)
        again = remembered("thing", [weights.clone(), {"a": 1}], make)
        remembered("thing", [weights, {"a": 2}], make)
        remembered("thing", [weights + 1, {"a": 1}], make)
        remembered("thing", [weights.long(), {"a": 1}], make)
    assert torch.equal(first["made"], again["made"])
    assert make.calls == 4


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    make = Maker()
    with remembering(tmp_path):
        remembered("thing", [1], make)
        (path,) = tmp_path.glob("thing-*.pt")
        path.write_bytes(path.read_bytes()[:-40])
        remembered("thing", [1], make)
        remembered("thing", [1], make)
    assert make.calls == 2


@pytest.mark.parametrize(
    "foreign",
    [
        {"tensors": {"made": torch.zeros(2)}},
        {"tensors": {"other": torch.full((2,), 1)}},
        {"tensors": 5},
        {"tensors": {"made": {1, 2}}},
        {"tensors": {"made": torch.ones(2, 2).to_sparse()}},
        {"tensors": None},
        {"depends_on": "0" * 64},
        {"depends_on": torch.zeros(2)},
        {"sha256": None},
    ],
    ids=[
        "values",
        "names",
        "number",
        "set",
        "sparse",
        "nothing",
        "of other things",
        "tensor for a digest",
        "no digest",
    ],
)
def test_a_foreign_file_is_made_again(tmp_path: Path, foreign: dict[str, Any]) -> None:
    make = Maker()
    with remembering(tmp_path):
        remembered("thing", [1], make)
        (path,) = tmp_path.glob("thing-*.pt")
        write_tensors(path, {**read_tensors(path), **foreign})
        assert remembered("thing", [1], make)["made"].tolist() == [2, 2]
        remembered("thing", [1], make)
    assert make.calls == 2


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_not_remembered(tmp_path: Path, value: float) -> None:
    make, spoilt = Maker(), {"made": torch.ones(2), "other": torch.tensor([0, value])}
    with remembering(tmp_path, precision="bf16"):
        with pytest.raises(Diverged, match=r"^thing in bf16 .* in tensors.other; .*precision=fp32"):
            remembered("thing", [1], lambda: spoilt)
        assert list(tmp_path.glob("thing-*.pt")) == []
        assert remembered("thing", [1], make)["made"].tolist() == [1, 1]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_was_remembered_and_is_not_finite_is_made_again(tmp_path: Path, value: float) -> None:
    """Files of a time in which nobody looked."""
    make, spoilt = Maker(), {"made": torch.tensor([1, value])}
    with remembering(tmp_path):
        remembered("thing", [1], make)
        (path,) = tmp_path.glob("thing-*.pt")
        content = read_tensors(path)
        torch.save(
            content | {"tensors": spoilt, "sha256": digest_of_parts(["made", spoilt["made"]])}, path
        )
        assert remembered("thing", [1], make)["made"].tolist() == [2, 2]
        assert read_tensors(path)["tensors"]["made"].tolist() == [2, 2]


def test_the_number_format_counts(tmp_path: Path) -> None:
    """A recipe may leave it to the machine, and so does not tell it."""
    make = Maker()
    for precision in ("bf16", "fp32", "fp32", "bf16"):
        with remembering(tmp_path, precision=precision):  # type: ignore[arg-type]
            remembered("thing", [1], make)
    assert make.calls == 2


@pytest.mark.parametrize("missing", ["depends_on", "sha256", "tensors"])
def test_a_file_without_an_entry_is_made_again(tmp_path: Path, missing: str) -> None:
    make = Maker()
    with remembering(tmp_path):
        remembered("thing", [1], make)
        (path,) = tmp_path.glob("thing-*.pt")
        write_tensors(
            path, {name: value for name, value in read_tensors(path).items() if name != missing}
        )
        assert remembered("thing", [1], make)["made"].tolist() == [2, 2]


@pytest.mark.slow
def test_who_needs_it_meanwhile_waits(tmp_path: Path) -> None:
    begun, twice = Event(), Event()

    def make() -> dict[str, Tensor]:
        (twice if begun.is_set() else begun).set()
        assert not twice.wait(0.5), "made at once by two"
        return {"made": torch.ones(2)}

    def need() -> Tensor:
        with remembering(tmp_path):
            return remembered("thing", [1], make)["made"]

    with ThreadPoolExecutor(
        2
    ) as pool:  # the lock is one of open files: threads stand for processes
        first = pool.submit(need)
        assert begun.wait(10)
        second = pool.submit(need)
    assert torch.equal(first.result(), second.result())


def test_work_that_cannot_be_stored_is_not_begun(tmp_path: Path) -> None:
    make = Maker()
    (tmp_path / "file").touch()
    with (
        remembering(tmp_path / "file"),
        pytest.raises(Unwritable, match=r"cannot write to .*file: File exists"),
    ):
        remembered("thing", [1], make)
    assert make.calls == 0


def test_nothing_is_kept_where_nobody_says_where() -> None:
    make = Maker()
    for _ in range(2):
        remembered("thing", [1], make)
    assert make.calls == 2


@pytest.mark.slow
def test_surrogates_of_one_start_are_one(tmp_path: Path, images: ImageSet) -> None:
    recipe = Recipe(epochs=1, batch_size=20, precision="fp32")

    def fresh(seed: int) -> nn.Module:
        return create(Model, "resnet_small", {"width": 4}).classifier(images, seed)

    trained_alone = clean_model(fresh(0), images, recipe)
    with remembering(tmp_path):
        first, again, other = (clean_model(fresh(seed), images, recipe) for seed in (0, 0, 1))
    assert len(list(tmp_path.glob("surrogate-*.pt"))) == 2
    assert not first.training
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert torch.equal(value, trained_alone.state_dict()[name])
    assert not torch.equal(first.head.weight, fresh(0).head.weight)  # type: ignore[union-attr, operator]
    assert not torch.equal(first.head.weight, other.head.weight)  # type: ignore[union-attr, operator]


def test_who_does_the_work_counts(tmp_path: Path) -> None:
    """The attack always, the architecture where the work depends on a network, whose weights do not
    tell it.
    """
    make, network = Maker(), nn.Linear(2, 2)
    for attack, model in (
        (["a", 1], ["m"]),
        (["a", 1], ["other"]),
        (["a", 2], ["m"]),
        (["a", 2], ["m"]),
    ):
        with remembering(tmp_path, attack, model):
            remembered("thing", [1], make)
    assert make.calls == 2
    for architecture in ("m", "other", "other"):
        with remembering(tmp_path, ["a", 1], [architecture]):
            remembered("thing", [1, network], make)
    assert make.calls == 4


@pytest.mark.slow
def test_a_surrogate_is_shared_by_attacks_and_not_by_architectures(
    tmp_path: Path, images: ImageSet
) -> None:
    """These two pad in another way and have parameters of the same names and shapes."""
    recipe = Recipe(epochs=0, batch_size=20, precision="fp32")
    for name in ("efficientnet_lite0", "tf_efficientnet_lite0"):
        plugin = create(Model, f"timm:{name}")
        for attack in ("one", "another"):
            with remembering(tmp_path, [attack], PluginRecord.of(plugin).identity()):
                clean_model(
                    plugin.restore(3, (3, 32, 32), (0.0,) * 3, (1.0,) * 3, 0), images, recipe
                )
    assert len(list(tmp_path.glob("surrogate-*.pt"))) == 2
