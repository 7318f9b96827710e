from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.api import ConfigError, DataError
from benchbd_zoo.dataset.parts.given_folder import given_folder


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert given_folder(Path("~"), "mine") == tmp_path


def test_unset_is_a_config_error():
    with pytest.raises(
        ConfigError, match=r"mine: expected path .* got none; .*--set dataset\.path=FOLDER"
    ):
        given_folder(None, "mine")


def test_absent_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match=f"mine: no data in {tmp_path}/absent"):
        given_folder(tmp_path / "absent", "mine")
