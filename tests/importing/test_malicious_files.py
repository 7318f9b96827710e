"""Files made to do harm: none runs, each is refused with a reason, and memory stays bounded."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import resource
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from benchbd.errors import BenchbdError, ConfigError, DataError, RecordError, UnsafeFile
from benchbd.importing.archive import as_folder, extract
from benchbd.importing.contents import content_of, opcodes
from benchbd.importing.foreign_pickle import read_foreign
from benchbd.importing.pictures import inside, read_pictures
from benchbd.options import read_yaml
from benchbd.record.files import read_json
from benchbd.record.pickles import suspicious_imports
from benchbd.record.tensor_files import read_tensors, write_tensors


class Shell:
    """A pickle of this makes a marker file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def archive(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return path


def bomb(marker: Path, form: str, path: Path) -> Path:
    content = pickle.dumps({"schema": 1, "bomb": Shell(marker)}, protocol=2)
    if form == "pickle":
        path.write_bytes(content)
    elif form == "torch":
        torch.save({"schema": 1, "model": {"w": torch.zeros(2)}, "bomb": Shell(marker)}, path)
    elif form == "inner zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as inner:
            inner.writestr("deep/weights.pkl", content)
        archive(path, {"readme.txt": b"hello", "inner.zip": buffer.getvalue()})
    else:
        archive(path, {"archive/data.pkl": b"\x80\x02}q\x00.", "archive/data/0": content})
    return path


FORMS = ("pickle", "torch", "inner zip", "other entry")


@pytest.mark.parametrize("form", FORMS)
def test_a_pickle_does_not_run_and_is_named(tmp_path: Path, form: str) -> None:
    path, marker = tmp_path / "a.pt", tmp_path / "marker"
    bomb(marker, form, path)
    for read in (read_tensors, read_foreign):
        if form != "other entry":  # whose pickle nobody reads as one
            with pytest.raises(RecordError):
                read(path)
    content = content_of(path)
    assert content.suspicious == ["posix.system"] == suspicious_imports(path)
    assert any("REDUCE" in line for line in opcodes(path))
    assert not marker.exists()


def test_inspect_ends_with_an_error_for_it(tmp_path: Path) -> None:
    path = bomb(tmp_path / "marker", "torch", tmp_path / "a.pt")
    ended = subprocess.run(
        [sys.executable, "-m", "benchbd", "inspect", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (
        ended.returncode == 5
        and "suspicious import posix.system" in ended.stdout
        and "was refused" in ended.stdout
    )
    assert not (tmp_path / "marker").exists()


HIDDEN = {
    "behind the memo": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94"
    b"\x8c\x0bcollections\x8c\x0bOrderedDict00h\x00h\x01\x93.",
    "under a mark": b"\x80\x04\x8c\x05posix\x8c\x06system("
    b"\x8c\x0bcollections\x8c\x0bOrderedDict1\x93.",
    "twice": b"\x80\x04\x8c\x05posix\x94\x8c\x06system200h\x00\x8c\x06system\x93.",
    "an instance": b"(S'touch x'\niposix\nsystem\n.",
    "a first pickle": b"\x80\x02}q\x00.\x80\x02cposix\nsystem\n.",
}


@pytest.mark.parametrize("content", HIDDEN.values(), ids=HIDDEN)
def test_the_name_of_an_import_cannot_be_hidden(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    assert "posix.system" in suspicious_imports(tmp_path / "a.pkl")


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


CALLS = b"\x80\x02cposix\nsystem\nX\x01\x00\x00\x00:\x85R."
BLIND = b"\x80\x02}q\x00."


def renamed(path: Path) -> Path:
    """The header before a pickle calls it otherwise than the table at the end: Python then refuses
    it, PyTorch reads it.
    """
    archive(path, {"archive/data.pkl": CALLS, "archive/version": b"3\n"})
    path.write_bytes(path.read_bytes().replace(b"archive/data.pkl", b"archive/data.pkX", 1))
    return path


def used_up(path: Path) -> Path:
    """Entries that come first and are all that is looked through."""
    return archive(
        path, {"archive/a.pkl": BLIND * 20, "archive/version": b"3\n", "archive/data.pkl": CALLS}
    )


def behind_many(path: Path) -> Path:
    return archive(
        path,
        {
            **{f"archive/{n}": b"" for n in range(30)},
            "archive/version": b"3\n",
            "archive/data.pkl": CALLS,
        },
    )


def behind_a_pickle(path: Path) -> Path:
    """PyTorch takes this for a bare pickle, Python for an archive."""
    inner = archive(path, {"archive/data.pkl": BLIND, "archive/version": b"3\n"}).read_bytes()
    path.write_bytes(CALLS + inner)
    return path


@pytest.mark.parametrize("make", [renamed, used_up, behind_many, behind_a_pickle])
def test_a_pickle_that_the_look_through_does_not_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path]
) -> None:
    monkeypatch.setattr("benchbd.record.pickles.MAX_PICKLE_BYTES", 100)
    monkeypatch.setattr("benchbd.record.pickles.MOST_ENTRIES", 20)
    path = make(tmp_path / "a.pt")
    for read in (read_tensors, read_foreign):
        with pytest.raises(
            RecordError, match=r"would import posix\.system|no archive from its first byte on"
        ):
            read(path)
    content = content_of(path)
    assert content.refusal or content.suspicious == ["posix.system"]


def test_an_archive_of_which_not_all_is_looked_through_is_no_harmless_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchbd.record.pickles.MAX_PICKLE_BYTES", 100)
    path = archive(
        tmp_path / "a.zip", {"a.pkl": BLIND * 20, "b.pkl": CALLS, "tensor": b"\x80" * 500}
    )
    assert "a.pkl: only 100 bytes of it were looked through" in content_of(path).refusal
    path = archive(tmp_path / "b.zip", {"a.pkl": BLIND, "tensor": b"\x80" * 500})
    assert not content_of(path).refusal


def test_a_damaged_pickle_is_not_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.pt", {"archive/data.pkl": CALLS[:-4] + b"\xff.", "archive/version": b"3\n"}
    )
    for read in (read_tensors, read_foreign):
        with pytest.raises(RecordError, match=r"a\.pt cannot be read: .*; store it again"):
            read(path)


def test_tensors_that_begin_like_a_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images whose first pixel is 128 are no pickle, however many there are."""
    monkeypatch.setattr("benchbd.record.pickles.MAX_PICKLE_BYTES", 2000)
    path = write_tensors(
        tmp_path / "a.pt", {"schema": 1, "images": torch.full((5000,), 128, dtype=torch.uint8)}
    )
    assert len(read_tensors(path)["images"]) == 5000 and not content_of(path).refusal


def test_a_zip_bomb(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"zeros": bytes(50 * 2**20)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(UnsafeFile, match="would unpack to 1 files and 52,428,800 bytes"):
        extract(path, tmp_path / "out")
    with pytest.raises(RecordError):
        read_foreign(path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:\\evil"])
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.zip", {"good": b"1", name: b"2"})
    with pytest.raises(UnsafeFile, match="leads out of its folder"):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out" / "good").exists(), "nothing is written before all is looked at"
    assert not (tmp_path / "evil").exists() and (
        name[:1] == "C" or content_of(path).escaping == (name,)
    )


def test_damage_inside_a_packed_file(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.zip", {"a.txt": os.urandom(3000).hex().encode()}, zipfile.ZIP_DEFLATED
    )
    damaged = bytearray(path.read_bytes())
    damaged[60:90] = bytes(255 - value for value in damaged[60:90])
    path.write_bytes(damaged)
    with pytest.raises(RecordError, match="is no zip archive that can be read"):
        extract(path, tmp_path / "out")


def test_a_link_in_an_archive(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr(entry, "/etc")
    with pytest.raises(UnsafeFile, match="holds the link 'link'"):
        extract(tmp_path / "a.zip", tmp_path / "out")


def test_an_honest_archive_is_laid_out_and_gone_afterwards(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a/b.txt": b"hello", "c.txt": b"there"})
    with as_folder(path) as folder:
        assert (folder / "a" / "b.txt").read_bytes() == b"hello"
    assert not folder.exists()
    with pytest.raises(RecordError, match="no zip archive"), as_folder(Path(__file__)):
        pass


@pytest.mark.parametrize("parts", [("..", "a"), ("a/b",), ("",), ("a\\b",), ("link", "a")])
def test_names_and_links_of_images(tmp_path: Path, parts: tuple[str, ...]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path)
    with pytest.raises(DataError, match="leads out of"):
        inside(tmp_path / "folder", *parts)


def test_an_image_that_claims_more_pixels_than_memory(tmp_path: Path) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "BMP")
    content = bytearray(buffer.getvalue())
    content[18:26] = (10_000).to_bytes(4, "little") * 2
    (tmp_path / "a.bmp").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.bmp: expected at most 67,108,864 pixels"):
        read_pictures([tmp_path / "a.bmp"], (3, 8, 8))


def test_a_yaml_bomb(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    (tmp_path / "a.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="unfolds to more than"):
        read_yaml(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("a: !!python/object/apply:os.system ['touch marker']")
    with pytest.raises(ConfigError, match="is not YAML"):
        read_yaml(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").write_text("a: " + "[" * 1500)
    with pytest.raises(ConfigError, match="is not YAML"):
        read_yaml(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("depth", "told"), [(200 * 2**20, "at most 67,108,864 are read"), (10**6, "is not JSON")]
)
def test_json_nested_without_end(tmp_path: Path, depth: int, told: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"[" * depth)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RecordError, match=told):
        read_json(path)
    assert told in content_of(path).refusal
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


def test_a_header_longer_than_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    assert content_of(tmp_path / "a.safetensors").kind == "unknown"
    header = json.dumps(
        {"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    ).encode()
    (tmp_path / "b.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert content_of(tmp_path / "b.safetensors").holds == (f"x: F32 {(2**40,)}",)
    from benchbd.importing.checkpoint import read_state

    for name in ("a", "b"):
        with pytest.raises(RecordError, match="no safetensors file"):
            read_state(tmp_path / f"{name}.safetensors")


NEEDS_H5PY = "h5py"


def hdf5(path: Path, fill: Callable[[Any], None]) -> Path:
    h5py = pytest.importorskip(NEEDS_H5PY)
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def test_hdf5_that_leads_elsewhere_or_is_larger_than_it_is(tmp_path: Path) -> None:
    h5py = pytest.importorskip(NEEDS_H5PY)
    from benchbd.importing.keras import read_data

    def linked(file: Any) -> None:
        file["data"], file["label"] = h5py.ExternalLink("/etc/passwd", "/data"), [1]

    def elsewhere(file: Any) -> None:
        file.create_dataset(
            "data", (1, 3, 4, 4), "u1", external=[(str(tmp_path / "secret"), 0, 48)]
        )
        file["label"] = [1]

    def huge(file: Any) -> None:
        file.create_dataset(
            "data", (2**20, 3, 2**9, 2**9), "u1", chunks=(1, 3, 512, 512), compression="gzip"
        )
        file["label"] = [1]

    for fill, told in (
        (linked, "is a link"),
        (elsewhere, "lie in another file"),
        (huge, "would unpack to"),
    ):
        path = hdf5(tmp_path / "a.h5", fill)
        with pytest.raises(UnsafeFile, match=told):
            read_data(path)
        path.unlink()
    linked_file = hdf5(tmp_path / "b.h5", linked)
    assert "/data: ExternalLink to /etc/passwd:/data" in content_of(linked_file).holds


def test_hdf5_whose_groups_contain_themselves(tmp_path: Path) -> None:
    """25 names of the root in the root: 25**7 paths down to a depth of six."""

    def loop(file: Any) -> None:
        for number in range(25):
            file[f"g{number}"] = file["/"]
        file["inner/numbers"] = [1.0]

    holds = content_of(hdf5(tmp_path / "a.h5", loop)).holds
    assert (
        holds[0] == "/g0: another name of a group"
        and "/inner/numbers: float64 (1,)" in holds
        and len(holds) == 26
    )


def test_a_result_that_claims_a_million_classes_builds_no_such_model(result_file: Path) -> None:
    from benchbd.record.attack_result import load_attack_result
    from benchbd.record.tensor_files import write_tensors

    content = read_tensors(result_file)
    content["manifest"]["outline"]["num_classes"] = 10**12
    write_tensors(result_file, content)
    with pytest.raises(BenchbdError, match="is not made for the classes"):
        load_attack_result(result_file)
