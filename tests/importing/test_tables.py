from __future__ import annotations

import pytest
import torch

from benchbd.errors import ConfigError, RecordError
from benchbd.importing.tables import tables_in

TABLE = {"weight": torch.zeros(2), "bias": torch.zeros(1)}


def test_tables_are_found_at_any_place_and_what_is_no_tensor_is_left_out() -> None:
    content = {
        "epoch": 3,
        "grid": torch.zeros(1),
        "netG": TABLE,
        "inner": {"state_dict": {**TABLE, "version": 2}},
        "optimizer": {"state": {0: {"step": torch.zeros(1)}}, "lr": 0.1},
    }
    found = tables_in(content, "a.pt")
    assert list(found) == ["inner.state_dict", "netG", ""]
    assert found["inner.state_dict"].keys() == TABLE.keys() and found[""].keys() == {"grid"}


def test_a_place_is_chosen() -> None:
    content = {"a": TABLE, "b": {"c": TABLE}}
    assert list(tables_in(content, "a.pt", "b.c")) == ["b.c"]
    with pytest.raises(ConfigError, match=r"--at: no table .* at 'b' in a\.pt.*there are a, b\.c"):
        tables_in(content, "a.pt", "b")


def test_a_file_without_tensors_is_refused_with_what_it_has() -> None:
    with pytest.raises(RecordError, match=r"a\.pt: expected a table of parameters.*with epoch, lr"):
        tables_in({"epoch": 3, "lr": 0.1}, "a.pt")
