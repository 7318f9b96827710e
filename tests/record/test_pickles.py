"""A pickle that would run is named, refused, and does not run."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbd.errors import UnsafeFile
from benchbd.record.tensor_files import read_tensors


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


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 * 2**20))
    with pytest.raises(UnsafeFile, match="would unpack to more than its own size"):
        read_tensors(tmp_path / "a.pt")
