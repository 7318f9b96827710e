"""Files made to do harm: none runs, each is refused with a reason, and memory stays bounded."""

from __future__ import annotations

import io
import json
import pickle
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchbd.errors import BenchbdError, ConfigError, RecordError
from benchbd.importing.contents import content_of, opcodes
from benchbd.importing.foreign_pickle import read_foreign
from benchbd.options import read_yaml
from benchbd.record.files import read_json
from benchbd.record.pickles import suspicious_imports
from benchbd.record.tensor_files import read_tensors, write_tensors
from support.malicious import Shell, archive


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


@pytest.mark.slow
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
    ("depth", "told"),
    [
        pytest.param(200 * 2**20, "at most 67,108,864 are read", marks=pytest.mark.slow),
        (10**6, "is not JSON"),
    ],
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


@pytest.mark.slow
def test_a_result_that_claims_a_million_classes_builds_no_such_model(result_file: Path) -> None:
    from benchbd.record.attack_result import load_attack_result
    from benchbd.record.tensor_files import write_tensors

    content = read_tensors(result_file)
    content["manifest"]["outline"]["num_classes"] = 10**12
    write_tensors(result_file, content)
    with pytest.raises(BenchbdError, match="is not made for the classes"):
        load_attack_result(result_file)


def test_a_file_from_before_1_6_is_looked_through_before_it_is_read(tmp_path: Path) -> None:
    path, marker = tmp_path / "a.pt", tmp_path / "marker"
    content = {"w": torch.zeros(2), "bomb": Shell(marker)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    with pytest.raises(RecordError, match=r"would import posix\.system"):
        read_foreign(path)
    assert content_of(path).suspicious == ["posix.system"] and not marker.exists()


def test_a_file_from_before_1_6_of_absurd_size(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"w": torch.zeros(11)}, path, _use_new_zipfile_serialization=False)
    huge = path.read_bytes().replace(b"K\x0b", b"J" + (2_000_000_000).to_bytes(4, "little"))
    path.write_bytes(huge)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RecordError):
        read_foreign(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB of 8 GB
