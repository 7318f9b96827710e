"""The folder that a person must name, for data sets that have no place of their own."""

from __future__ import annotations

from pathlib import Path

from benchbd.api import ConfigError, require_folder


def given_folder(path: Path | None, who: str) -> Path:
    """`path` if it is a folder. Raises `ConfigError` when it is unset, `DataError` when nothing is
    there.
    """
    remedy = "say where the data lie with `--set dataset.path=FOLDER`"
    if path is None:
        raise ConfigError(f"{who}: expected path (the folder with the data), got none; {remedy}")
    return require_folder(path.expanduser(), who, remedy)
