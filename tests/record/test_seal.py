"""A result file of which one bit has changed is read by nobody, and nothing of it is shown."""

from __future__ import annotations

import io
import itertools
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbd.errors import RecordError
from benchbd.importing.foreign_pickle import read_foreign
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd.record.defense_result import read_defense_result
from benchbd.record.files import read_json, write_json
from benchbd.record.seal import SEAL_BYTES
from benchbd.record.tensor_files import read_tensors, write_tensors
from support.command_line import benchbd
from support.defenses import mend

FLIPS = 40
ATTACK, DEFENSE = Path("record/one/attack_result.pt"), Path("record/one/defense/mend")
RESULT = DEFENSE / "defense_result.pt"
READERS: dict[str, tuple[Path, Callable[[Path], Any]]] = {
    "the attack result": (ATTACK, load_attack_result),
    "the defense result": (RESULT, read_defense_result),
}
COMMANDS = {
    "run": (ATTACK, ["run", "--result-file", "one", "--defense", "none"]),
    "export of the attacked model": (ATTACK, ["export", "safetensors", "one", "--undefended"]),
    "export of the defended model": (RESULT, ["export", "safetensors", "one"]),
    "export for another tool": (ATTACK, ["export", "backdoorbench", "one"]),
    "import": (
        RESULT,
        ["import", "checkpoint", str(RESULT), "--model", "resnet_small", "--dataset", "digits"],
    ),
}


@pytest.fixture(scope="module")
def made(stored: AttackResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in, with an attack result and a defense result in `record/one`."""
    folder = tmp_path_factory.mktemp("sealed")
    one = (folder / ATTACK).parent
    one.mkdir(parents=True)
    for name in ("attack_result.pt", "manifest.json"):
        shutil.copy(stored.folder / name, one / name)
    mend(lambda model, clean, rng: model.eval()).defense(one, device="cpu")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    shutil.copytree(made, tmp_path / "here")
    return tmp_path / "here"


def flipped(whole: bytes, place: int, bit: int = 6) -> bytes:
    damaged = bytearray(whole)
    damaged[place] ^= 1 << bit
    return bytes(damaged)


def flips(whole: bytes) -> Iterator[bytes]:
    """The file with one bit changed, once in each of its regions, and closer by near its end."""
    chance = random.Random(0)
    edges = [len(whole) * n // FLIPS for n in range(FLIPS + 1)]
    edges += range(len(whole) - 200, len(whole), 9)
    for first, last in itertools.pairwise(edges):
        if first < last:
            yield flipped(whole, chance.randrange(first, last), chance.randrange(8))


def heaviest(path: Path) -> int:
    """A place in the middle of the largest entry of an archive, in its numbers."""
    with zipfile.ZipFile(path) as archive:
        numbers = [each for each in archive.infolist() if "/data/" in each.filename]
    entry = max(numbers, key=lambda each: each.file_size)
    return entry.header_offset + entry.file_size // 2


def unsealed(path: Path) -> None:
    """Make a file as it was stored before there were seals."""
    buffer = io.BytesIO()
    torch.save(torch.load(path, weights_only=True), buffer)
    path.write_bytes(buffer.getvalue())


@pytest.mark.slow
@pytest.mark.parametrize("moved_alone", [False, True])
@pytest.mark.parametrize("name", READERS)
def test_no_reader_takes_a_file_with_one_bit_changed(
    name: str, moved_alone: bool, here: Path
) -> None:
    path, read = here / READERS[name][0], READERS[name][1]
    if moved_alone:
        (path.parent / "manifest.json").unlink(missing_ok=True)
    whole = path.read_bytes()
    for damaged in flips(whole):
        path.write_bytes(damaged)
        with pytest.raises(RecordError):
            read(path)
    path.write_bytes(whole)
    read(path)


@pytest.mark.slow
def test_an_import_takes_none_of_our_files_that_was_changed(here: Path) -> None:
    """Where only the mark of the seal is damaged, what follows the archive gives it away: other
    tools write nothing there.
    """
    path = here / RESULT
    whole = path.read_bytes()
    for damaged in flips(whole[:-SEAL_BYTES]):
        path.write_bytes(damaged + whole[-SEAL_BYTES:])
        with pytest.raises(RecordError):
            read_foreign(path)
    path.write_bytes(flipped(whole, len(whole) - SEAL_BYTES))
    with pytest.raises(RecordError, match="its end is neither a seal nor that of an archive"):
        read_foreign(path)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_shows_anything_of_a_file_with_one_bit_changed(name: str, here: Path) -> None:
    path, words = here / COMMANDS[name][0], COMMANDS[name][1]
    path.write_bytes(flipped(path.read_bytes(), heaviest(path)))
    before = sorted(here.rglob("*"))
    ended = benchbd(*words, cwd=here)
    assert (ended.returncode, ended.stdout) == (5, "")
    assert f"{path.name} was changed after it was written" in ended.stderr
    assert "make it again" in ended.stderr
    assert sorted(here.rglob("*")) == before


def test_a_file_of_the_time_before_seals_is_read_by_its_manifest(here: Path) -> None:
    path = here / ATTACK
    unsealed(path)
    with pytest.raises(RecordError, match=r"the JSON beside it notes the digest \w{12}, it is"):
        load_attack_result(path)
    noted = path.with_name("manifest.json")
    write_json(noted, {k: v for k, v in read_json(noted).items() if k != "sha256"})
    assert load_attack_result(path).metrics().acc > 0
    noted.unlink()
    assert load_attack_result(path).metrics().acc > 0


@pytest.mark.parametrize("file", [ATTACK, RESULT])
def test_without_seal_and_manifest_the_checksums_of_the_archive_tell(
    file: Path, here: Path
) -> None:
    path = here / file
    (path.parent / "manifest.json").unlink(missing_ok=True)
    unsealed(path)
    path.write_bytes(flipped(path.read_bytes(), heaviest(path)))
    with pytest.raises(RecordError, match="the checksum of its entry"):
        read_tensors(path, aside={"tensors"})


def test_a_manifest_of_another_file_is_told_apart(here: Path) -> None:
    """Two results of which somebody has exchanged the files, each whole in itself."""
    path = here / ATTACK
    write_tensors(path, read_tensors(path) | {"trigger": {"other": torch.ones(1)}})
    with pytest.raises(RecordError, match=r"attack_result\.pt was changed .* remove it and make"):
        load_attack_result(path)


@pytest.mark.slow
def test_a_sealed_file_cut_short_or_added_to_is_refused(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "a.pt", {"schema": 1, "weights": torch.arange(9.0)})
    whole = path.read_bytes()
    for damaged in [*(whole[:-n] for n in range(1, 110)), whole + b"more", whole + b"\0\0"]:
        path.write_bytes(damaged)
        with pytest.raises(RecordError):
            read_tensors(path)


def test_other_tools_read_a_sealed_file(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "a.pt", {"schema": 1, "weights": torch.arange(9.0)})
    assert torch.equal(torch.load(path, weights_only=True)["weights"], torch.arange(9.0))
    assert torch.load(path, weights_only=True, mmap=True)["weights"][8] == 8
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and archive.comment.startswith(b"benchbd sha256 ")
