"""What `benchbd inspect` says of each kind of file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner

from benchbd.cli.main import benchbd as program
from benchbd.errors import RecordError
from benchbd.importing.contents import content_of
from benchbd.record.files import write_json
from support.made_cells import make_cell


def inspect(path: Path, *words: str) -> str:
    done = CliRunner().invoke(program, ["inspect", str(path), *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_torch_file(tmp_path: Path) -> None:
    torch.save(
        {"model": {"w": torch.zeros(2, 3)}, "epoch": 7, "more": list(range(9))}, tmp_path / "a.pt"
    )
    told = inspect(tmp_path / "a.pt")
    for line in (
        "PyTorch archive",
        "imports torch.FloatStorage",
        "model.w: float32 (2, 3)",
        "epoch: 7",
        "more: list of 9",
    ):
        assert line in told
    content = content_of(tmp_path / "a.pt")
    assert content.pickles[0].opcodes["STOP"] == 1 and content.suspicious == []
    assert "REDUCE" in inspect(tmp_path / "a.pt", "--opcodes")
    assert json.loads(inspect(tmp_path / "a.pt", "--json"))["kind"] == "PyTorch archive"


def test_a_cell_that_was_changed_says_so(tmp_path: Path) -> None:
    path = write_json(tmp_path / "cell.json", make_cell().sealed().to_json())
    assert content_of(path).refusal == ""
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    content = content_of(path)
    assert "digest does not fit" in content.refusal and not content.holds


def test_a_whole_model_is_named_and_not_loaded(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.pt")
    content = content_of(tmp_path / "a.pt")
    assert (
        "torch.nn.modules.linear.Linear" in content.pickles[0].imports
        and not content.suspicious
        and "was refused" in content.refusal
        and not content.holds
    )


def test_the_other_kinds(tmp_path: Path) -> None:
    safetensors.torch.save_file(
        {"w": torch.zeros(2, 3)}, tmp_path / "a.safetensors", {"made": "here"}
    )
    (tmp_path / "a.json").write_text('{"schema": 1, "cell": {"a": 1}}')
    (tmp_path / "a.txt").write_text("a text. Of two sentences.")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("folder/readme.txt", "hello")
    kinds = {path.suffix: content_of(path) for path in tmp_path.iterdir()}
    assert {suffix: content.kind for suffix, content in kinds.items()} == {
        ".safetensors": "safetensors",
        ".json": "JSON",
        ".txt": "unknown",
        ".zip": "zip archive",
    }
    assert (
        "w: F32 (2, 3)" in kinds[".safetensors"].holds and "cell: dict of 1" in kinds[".json"].holds
    )
    assert kinds[".zip"].holds == ("'folder/readme.txt': 5 bytes",)


def test_hdf5_and_a_text_that_a_terminal_would_obey(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["layer/\x1b[2Jkernel"] = [1.0, 2.0]
    told = inspect(tmp_path / "a.h5")
    assert "kernel: float64 (2,)" in told and "\x1b[2J" not in told


def test_a_damaged_archive_and_none_at_all(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(99)}, tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    for length in range(1, len(whole), 61):
        (tmp_path / "a.pt").write_bytes(whole[:length])
        assert content_of(tmp_path / "a.pt").size == length
    with pytest.raises(RecordError, match="no file at"):
        content_of(tmp_path / "absent")


LATER = {
    "longer than the head": b"(lp0\nS'" + b"a" * 70_000 + b"'\nacposix\nsystem\n(S'x'\ntRa.",
    "with something behind": b"cposix\nsystem\n(S'x'\ntR. and a text",
    "without an end": b"cposix\nsystem\n(S'x'\ntR\xff",
}


@pytest.mark.parametrize("content", LATER.values(), ids=LATER)
def test_a_pickle_without_the_mark_of_newer_ones(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    found = content_of(tmp_path / "a.pkl")
    assert (found.kind, found.suspicious) == ("pickle", ["posix.system"])


@pytest.mark.parametrize(
    "text",
    ["RNA, then DNA", "cat\ndog\nbird\n", "0.5\n0.25\n", "I am. " * 20_000, "a,b\n" * 50_000],
)
def test_texts_are_no_pickles(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert content_of(tmp_path / "a.txt").kind == "unknown"


def test_opcodes_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = CliRunner().invoke(program, ["inspect", str(tmp_path / "absent"), "--opcodes"])
    assert isinstance(done.exception, RecordError) and "no file at" in str(done.exception)


def test_a_file_from_before_1_6_is_known_and_read(tmp_path: Path) -> None:
    state = {"state_dict": {"w": torch.arange(400.0)}}
    torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    content = content_of(tmp_path / "a.pt")
    assert content.kind == "PyTorch file from before 1.6" and not content.refusal
    assert content.holds == ("state_dict.w: float32 (400,)",)
    assert not content.pickles[0].damaged
