"""Tables that other tools stored: arrays are read, and sizes that are not theirs are refused."""

from __future__ import annotations

import random
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from benchbd.errors import RecordError, UnsafeFile
from benchbd.importing.contents import content_of
from benchbd.importing.foreign_pickle import read_foreign
from benchbd.record.tensor_files import read_tensors, write_tensors
from support.malicious import archive


def test_numpy_arrays_are_read_and_their_tricks_refused(tmp_path: Path) -> None:
    good = {
        "a": numpy.arange(6).reshape(2, 3),
        "f": numpy.asfortranarray(numpy.ones((2, 2)) * [[1, 2], [3, 4]]),
        "big": numpy.arange(3, dtype=">f4"),
        numpy.int64(7): [numpy.float64(0.5), numpy.bool_(True)],
    }
    torch.save(good, tmp_path / "a.pt")
    found = read_foreign(tmp_path / "a.pt")
    assert found[7] == [0.5, True] and found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["f"].tolist() == [[1, 2], [3, 4]] and found["big"].tolist() == [0, 1, 2]
    for bad in (
        numpy.array([{}, []], dtype=object),
        numpy.array(["text"]),
        numpy.zeros(2, dtype=[("a", "i4")]),
    ):
        torch.save({"bad": bad}, tmp_path / "b.pt")
        with pytest.raises(RecordError):
            read_foreign(tmp_path / "b.pt")


@pytest.mark.parametrize("save", [write_tensors, lambda path, content: torch.save(content, path)])
def test_a_changed_file_is_refused_although_pytorch_reads_it(save: Any, tmp_path: Path) -> None:
    """One flipped bit of a number, and bytes behind the end; of a file with our seal, and of one
    that another tool has written.
    """
    path = tmp_path / "a.pt"
    save(path, {"schema": 1, "w": torch.full((64,), 7.0)})
    whole = path.read_bytes()
    place = whole.index(torch.full((64,), 7.0).numpy().tobytes())
    flipped = bytearray(whole)
    flipped[place] ^= 1
    for content in (bytes(flipped), whole + b"more"):
        path.write_bytes(content)
        assert torch.load(path, weights_only=True)["w"].shape == (64,)
        with pytest.raises(RecordError, match="was changed after it was written"):
            read_foreign(path)


@pytest.mark.slow
def test_a_damaged_file_is_refused_or_reads_as_a_table(tmp_path: Path) -> None:
    path, chance, refused = tmp_path / "a.pt", random.Random(0), 0
    torch.save(
        {
            "model": {"w": torch.zeros(3, 4)},
            "places": numpy.arange(20),
            numpy.int64(3): ("text", [1.5]),
        },
        path,
    )
    whole = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 3, 30))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            assert isinstance(read_foreign(path), dict)
        except RecordError:
            refused += 1
        content_of(path)
    assert refused > 30


def replaced(path: Path, old: bytes, new: bytes) -> None:
    """Change the pickle inside a file that `torch.save` made."""
    with zipfile.ZipFile(path) as made:
        entries = {entry.filename: made.read(entry) for entry in made.infolist()}
    name = next(name for name in entries if name.endswith("data.pkl"))
    assert old in entries[name]
    archive(path, entries | {name: entries[name].replace(old, new)})


HUGE = (2_000_000_000).to_bytes(4, "little")


@pytest.mark.parametrize("what", ["size", "stride 0", "storage", "array"])
def test_a_table_of_absurd_sizes(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.pt"
    torch.save(
        {"schema": 1, "x": numpy.arange(11) if what == "array" else torch.arange(11.0)}, path
    )
    if what == "size":
        replaced(path, b"K\x0b\x85", b"J" + HUGE + b"\x85")
    elif what == "storage":
        replaced(path, b"K\x0bt", b"J" + HUGE + b"t")
    elif what == "array":
        replaced(path, b"K\x0b\x85", b"J" + HUGE + b"\x85")
    else:
        torch.save({"schema": 1, "x": torch.zeros(1).expand(2_000_000_000)}, path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (read_foreign, read_tensors):
        with pytest.raises(RecordError):
            read(path)
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
    )  # KiB; any of them claims 8 GB


def test_lists_that_unfold_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbd.importing.foreign_pickle.MOST_VALUES", 100_000)
    level: list[Any] = [0]
    for _ in range(40):
        level = [level, level]
    torch.save({"laughs": level}, tmp_path / "a.pt")
    with pytest.raises(UnsafeFile, match="unfolds to more than"):
        read_foreign(tmp_path / "a.pt")


def test_a_key_that_takes_for_ever_to_look_up(tmp_path: Path) -> None:
    """A tuple that holds the same tuple twice, a hundred deep: its hash takes 2**100 steps."""
    deep = (
        b"\x80\x02}K\x01"
        + b"".join(b"q%ch%c\x86" % (place, place) for place in range(100))
        + b"K\x01s."
    )
    for read in (read_tensors, read_foreign):
        with pytest.raises(UnsafeFile, match="nests tuples 100 deep"):
            read(archive(tmp_path / "a.pt", {"archive/data.pkl": deep, "archive/version": b"3\n"}))


def test_much_made_of_little(tmp_path: Path) -> None:
    """PyTorch lets a pickle call `bytearray`: a file of 400 bytes asks for 3 GiB."""
    size = (3 * 2**30).to_bytes(5, "little")
    start = b"\x80\x02}(X\x06\x00\x00\x00schemaK\x01X\x01\x00\x00\x00b"
    asks = start + b"c__builtin__\nbytearray\n\x8a\x05" + size + b"\x85Ru."
    path = archive(
        tmp_path / "a.pt",
        {"archive/data.pkl": asks, "archive/version": b"3\n", "archive/byteorder": b"little"},
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (read_tensors, read_foreign):
        with pytest.raises(UnsafeFile, match=r"would import __builtin__\.bytearray"):
            read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
