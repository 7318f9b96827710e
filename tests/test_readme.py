"""README says what is true: its first plugin and its file of options work as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml

from benchbd.defense.repair import Repair

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def test_the_first_plugin_works() -> None:
    names: dict[str, Any] = {"__name__": "shrink"}
    exec(next(block for block in blocks("python") if "class Shrink" in block), names)
    shrink: type[Repair] = names["Shrink"]
    head = torch.nn.Linear(2, 2)
    before = head.weight.detach().clone()
    model = torch.nn.Sequential(head)
    model.head = head
    repaired = shrink(factor=0.5).repair(model, SimpleNamespace(), torch.Generator())  # type: ignore[arg-type]
    assert torch.equal(repaired.head.weight, before / 2)  # type: ignore[union-attr]


def test_the_file_of_options_is_understood(tmp_path: Path) -> None:
    from benchbd.running.options import RunOptions

    (block,) = blocks("yaml")
    path = tmp_path / "options.yaml"
    path.write_text(block)
    options = RunOptions.from_file(path)
    assert options.defense == ("ft", "anp")
    assert options.settings["defense.anp_eps"] == yaml.safe_load("0.3")
