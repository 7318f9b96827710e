"""HDF5 files: no link is followed, and nothing is larger than its file can hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbd.errors import UnsafeFile
from benchbd.importing.contents import content_of

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
