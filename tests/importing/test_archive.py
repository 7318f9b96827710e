"""Archives: nothing escapes from them, and nothing is unpacked that is larger than it may be."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import pytest

from benchbd.errors import RecordError, UnsafeFile
from benchbd.importing.archive import as_folder, extract
from benchbd.importing.contents import content_of
from benchbd.importing.foreign_pickle import read_foreign
from support.malicious import archive


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
