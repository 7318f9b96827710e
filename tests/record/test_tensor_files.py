"""Tables of tensors as files: read back as they were, refused where damaged, foreign or absurd."""

from __future__ import annotations

import io
import os
import random
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchbd.errors import Diverged, RecordError, UnsafeFile
from benchbd.record import files
from benchbd.record.tensor_files import digest_of_weights, read_tensors, write_tensors

CONTENT = {
    "schema": 1,
    "weights": torch.arange(600, dtype=torch.float32).reshape(20, 30),
    "classes": torch.arange(100).to(torch.uint16),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "nested": {"list": [1, 2.5, "text", None, True], "empty": {}},
}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


NOT_FINITE = {
    "NaN": torch.tensor([0.0, torch.nan]),
    "infinity": torch.tensor([[torch.inf]]),
    "minus infinity in bf16": torch.tensor([-torch.inf, 1], dtype=torch.bfloat16),
    "NaN in half": torch.tensor(torch.nan, dtype=torch.float16),
    "NaN in double": torch.full((3,), torch.nan, dtype=torch.float64),
    "complex": torch.tensor([complex(0, torch.inf)]),
    "a part of a larger one": torch.tensor([0.0, 1, torch.nan]).expand(2, 3)[:, 1:],
}


@pytest.mark.parametrize("value", NOT_FINITE.values(), ids=NOT_FINITE.keys())
def test_what_is_not_finite_is_neither_written_nor_read(tmp_path: Path, value: Tensor) -> None:
    content = {"schema": 1, "model": {"head": [torch.ones(2), value]}, "nothing": torch.empty(0)}
    with pytest.raises(Diverged) as refused:
        write_tensors(tmp_path / "a.pt", content, maker="the attack mine in bf16", aside=["other"])
    assert names(tmp_path) == []
    said = str(refused.value)
    assert said.startswith("the attack mine in bf16 came to numbers that are not finite, in model.")
    assert "model.head.1;" in said and "--set recipe.precision=fp32" in said
    torch.save(content, tmp_path / "old.pt")
    with pytest.raises(RecordError, match=r"old.pt holds .* not finite, in model.head.1; make it"):
        read_tensors(tmp_path / "old.pt")


@pytest.mark.parametrize("value", NOT_FINITE.values(), ids=NOT_FINITE.keys())
def test_what_people_look_at_may_be_undefined(tmp_path: Path, value: Tensor) -> None:
    content = {"schema": 1, "scores": {"layer": value}, "model": torch.ones(2)}
    path = write_tensors(tmp_path / "a.pt", content, aside={"scores"})
    found = read_tensors(path, aside={"scores"})["scores"]["layer"]
    assert torch.equal(found.nan_to_num(), value.nan_to_num())
    with pytest.raises(RecordError, match=r"in scores.layer;"):
        read_tensors(path)


def test_the_largest_numbers_are_numbers(tmp_path: Path) -> None:
    """Their sum is not finite, each of them is."""
    largest = torch.full((4,), torch.finfo(torch.float32).max)
    path = write_tensors(tmp_path / "a.pt", {"schema": 1, "largest": largest})
    assert torch.equal(read_tensors(path)["largest"], largest)


def test_round_trip(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "new" / "deep" / "a.pt", CONTENT)
    found = read_tensors(path)
    assert found["nested"] == CONTENT["nested"]
    for name in ("weights", "classes", "half"):
        assert torch.equal(found[name], CONTENT[name])  # type: ignore[arg-type]
        assert found[name].dtype == CONTENT[name].dtype  # type: ignore[attr-defined]
    assert names(path.parent) == ["a.pt"]


def test_a_slice_is_read_back_as_a_slice(tmp_path: Path) -> None:
    whole = torch.arange(1000)
    path = write_tensors(
        tmp_path / "a.pt", {"schema": 1, "part": whole[10:12], "spread": whole[:1].expand(500)}
    )
    found = read_tensors(path)
    assert found["part"].tolist() == [10, 11]
    assert found["spread"].shape == (500,)


def test_of_a_part_only_the_part_is_stored(tmp_path: Path) -> None:
    whole = torch.arange(1_000_000)
    content = {
        "schema": 1,
        "part": whole[10:12],
        "none": [whole[:0]],
        "tied": (whole[:9].clone(),) * 2,
    }
    path = write_tensors(tmp_path / "a.pt", content)
    assert path.stat().st_size < 10_000
    found = read_tensors(path)
    assert found["part"].tolist() == [10, 11] and len(found["none"][0]) == 0
    assert found["tied"][0].data_ptr() == found["tied"][1].data_ptr()


def test_a_full_disk_under_torch_is_a_record_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        RecordError,
        match=r"cannot write .*a\.pt: No space left on device; nothing there was changed",
    ):
        write_tensors(tmp_path / "a.pt", CONTENT)
    assert names(tmp_path) == []


def stored_bytes() -> bytes:
    buffer = io.BytesIO()
    torch.save(CONTENT, buffer)
    return buffer.getvalue()


@pytest.mark.slow
def test_a_file_cut_short_at_any_place_is_a_record_error(tmp_path: Path) -> None:
    whole, path = stored_bytes(), tmp_path / "a.pt"
    for length in [*range(80), *range(80, len(whole), 97), *range(len(whole) - 60, len(whole))]:
        path.write_bytes(whole[:length])
        with pytest.raises(RecordError) as caught:
            read_tensors(path)
        assert not isinstance(caught.value, UnsafeFile), length
    path.write_bytes(whole)
    read_tensors(path)


@pytest.mark.slow
def test_a_damaged_file_is_a_record_error_or_reads_as_a_table(tmp_path: Path) -> None:
    whole, path, chance = stored_bytes(), tmp_path / "a.pt", random.Random(0)
    refused = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 3, 30))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            assert isinstance(read_tensors(path), dict)
        except RecordError:
            refused += 1
    assert refused > 50


def test_what_is_no_table_of_ours(tmp_path: Path) -> None:
    for content in ([1, 2], torch.zeros(3), {"weights": torch.zeros(3)}, "text"):
        torch.save(content, tmp_path / "a.pt")
        with pytest.raises(RecordError, match="was not written by benchbd"):
            read_tensors(tmp_path / "a.pt")


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"PK\x03\x04", b"\x80", b"\x80\x02}q\x00.", b"clean,1\npoisoned,2\n", b"a."],
)
def test_what_is_no_result_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(RecordError, match=r"a\.pt") as caught:
        read_tensors(tmp_path / "a.pt")
    assert not isinstance(caught.value, UnsafeFile)


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(RecordError, match="cannot be read"):
        read_tensors(tmp_path / "a.pt")


def test_a_file_larger_than_anything_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tensors(tmp_path / "a.pt", CONTENT)
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1000)
    with pytest.raises(RecordError, match="at most 1,000 are read"):
        read_tensors(path)


def test_the_digest_of_weights_is_of_names_types_shapes_and_values() -> None:
    state = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(7)}
    digest = digest_of_weights(state)
    assert digest == digest_of_weights({"b": state["b"], "a": state["a"].t().contiguous().t()})
    others: list[dict[str, torch.Tensor]] = [
        {"a": state["a"], "c": state["b"]},
        {"a": state["a"].half(), "b": state["b"]},
        {"a": state["a"].view(3, 2), "b": state["b"]},
        {"a": state["a"] + 1e-6, "b": state["b"]},
    ]
    assert len({digest, *map(digest_of_weights, others)}) == 5
