"""Files: whole or not at all, and never a pickle that could run."""

from __future__ import annotations

import io
import os
import pickle
import random
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from torch import Tensor

from benchbd.errors import Diverged, RecordError, UnsafeFile
from benchbd.record import files
from benchbd.record.files import announcing, read_json, sha256, write, write_json, write_text
from benchbd.record.tensor_files import read_tensors, write_tensors

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


def fail_halfway(file: IO[bytes]) -> None:
    file.write(b"half of it")
    raise KeyError("a bug in the writer")


def no_space(file: IO[bytes]) -> None:
    file.write(b"half of it")
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("save", "error"), [(fail_halfway, KeyError), (no_space, RecordError)])
def test_a_failing_writer_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, save: Callable[[IO[bytes]], None], error: type[Exception]
) -> None:
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(error):
        write(path, save)
    with pytest.raises(error):
        write(tmp_path / "b.txt", save)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


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


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(RecordError, match=r"cannot write .*: Permission denied"):
        write_text(tmp_path / "a.txt", "new")


def test_a_rename_that_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt" / "inside").mkdir(parents=True)
    with pytest.raises(RecordError, match="cannot write"):
        write_text(tmp_path / "a.txt", "new")
    assert names(tmp_path) == ["a.txt"]


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "new")


def test_new_files_get_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = write_text(tmp_path / "a.txt", "x")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_every_file_is_announced(tmp_path: Path) -> None:
    heard: list[Path] = []
    with announcing(heard.append):
        written = [write_text(tmp_path / "a.txt", "x"), write_json(tmp_path / "b.json", {})]
    write_text(tmp_path / "c.txt", "x")
    assert heard == written


class Bomb:
    """A pickle of this writes a marker file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.marker, "ran")


class Shell(Bomb):
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("kind", [Bomb, Shell])
@pytest.mark.parametrize(
    "form", ["protocol 0", "protocol 2", "protocol 5", "torch", "old torch", "torch, deep inside"]
)
def test_a_pickle_that_would_run_is_refused_and_does_not_run(
    tmp_path: Path, kind: type[Bomb], form: str
) -> None:
    marker, path = tmp_path / "marker", tmp_path / "a.pt"
    content: dict[str, Any] = {"schema": 1, "model": {"w": torch.zeros(2)}}
    if form.startswith("protocol"):
        path.write_bytes(pickle.dumps({"schema": 1, "bomb": kind(marker)}, protocol=int(form[-1])))
    else:
        content["model" if form == "torch" else "more"] = (
            [[kind(marker)]] if "deep" in form else kind(marker)
        )
        torch.save(content, path, _use_new_zipfile_serialization=form != "old torch")
    with pytest.raises(UnsafeFile) as caught:
        read_tensors(path)
    assert not marker.exists()
    assert "is a pickle that would import" in str(caught.value)
    assert any(
        word in str(caught.value)
        for word in (("system",) if kind is Shell else ("getattr", "write_text"))
    )


def test_a_model_pickled_whole_is_refused(tmp_path: Path) -> None:
    torch.save({"schema": 1, "model": torch.nn.Linear(2, 2)}, tmp_path / "a.pt")
    with pytest.raises(UnsafeFile, match=r"would import .*torch\.nn\.modules\.linear\.Linear"):
        read_tensors(tmp_path / "a.pt")


def stored_bytes() -> bytes:
    buffer = io.BytesIO()
    torch.save(CONTENT, buffer)
    return buffer.getvalue()


def test_a_file_cut_short_at_any_place_is_a_record_error(tmp_path: Path) -> None:
    whole, path = stored_bytes(), tmp_path / "a.pt"
    for length in [*range(80), *range(80, len(whole), 97), *range(len(whole) - 60, len(whole))]:
        path.write_bytes(whole[:length])
        with pytest.raises(RecordError) as caught:
            read_tensors(path)
        assert not isinstance(caught.value, UnsafeFile), length
    path.write_bytes(whole)
    read_tensors(path)


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


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 * 2**20))
    with pytest.raises(UnsafeFile, match="would unpack to more than its own size"):
        read_tensors(tmp_path / "a.pt")


def test_nothing_there_and_a_folder_there(tmp_path: Path) -> None:
    for read in (read_tensors, read_json):
        with pytest.raises(RecordError, match="no file at"):
            read(tmp_path / "absent")
        with pytest.raises(RecordError, match="no file at"):
            read(tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    path = write_tensors(tmp_path / "a.pt", CONTENT)
    monkeypatch.setattr(Path, "open", refuse)
    for read in (read_tensors, read_json):
        with pytest.raises(RecordError, match=r"cannot read .*: Permission denied"):
            read(path)


def test_a_file_larger_than_anything_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tensors(tmp_path / "a.pt", CONTENT)
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1000)
    with pytest.raises(RecordError, match="at most 1,000 are read"):
        read_tensors(path)


def test_json(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"b": 1, "a": [0.5, None]})
    assert path.read_bytes() == b'{\n "a": [\n  0.5,\n  null\n ],\n "b": 1\n}\n'
    assert read_json(path) == {"a": [0.5, None], "b": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert read_json(path) == {"a": [0.5, None], "b": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RecordError, match="is not JSON"):
        read_json(tmp_path / "a.json")


def test_digest(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "abc")
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
