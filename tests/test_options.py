"""Options in YAML: what is read as what, what is refused, and that a refusal says where."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from benchbd.errors import ConfigError
from benchbd.options import parse_yaml, read_yaml


def test_numbers_that_are_what_they_look_like(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    path.write_text("a: [0, -7, 0.5, 00.5, 1_000, 0x1F, '010', '1:30', timm:resnet18, 1e-3]")
    assert read_yaml(path)["a"] == [
        0,
        -7,
        0.5,
        0.5,
        1000,
        31,
        "010",
        "1:30",
        "timm:resnet18",
        "1e-3",
    ]


@pytest.mark.parametrize(
    "content",
    [
        "a: &a [1, 1, 1, 1]\n"
        + "".join(f"{y}: &{y} [*{x}, *{x}, *{x}, *{x}]\n" for x, y in pairwise("abcdefghijklmno")),
        "a: &a [*a]",
        "a: &a {b: *a}",
        "a: " + "[" * 100_000,
        "name: " + "x" * 2**20,
    ],
    ids=["repeats of repeats", "a list in itself", "a table in itself", "deep", "long"],
)
def test_files_that_would_fill_the_memory_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"no file of options|is not YAML"):
        read_yaml(path)


def test_a_refusal_says_where(tmp_path: Path) -> None:
    path = tmp_path / "slip.yaml"
    path.write_text("name: small\nseeds: [0, 1\n")
    with pytest.raises(ConfigError, match=rf'in "{path}", line 3, column 1') as refused:
        read_yaml(path)
    assert "<unicode string>" not in str(refused.value)
    with pytest.raises(ConfigError, match=r"^--set x is not YAML.*\n?.*010 would be read as 8"):
        parse_yaml("[1, 010]", "--set x")
