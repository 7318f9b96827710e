"""`benchbd export`: where files go unless it is said, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command_line import benchbd, told


def test_a_model_goes_beside_the_result(result_file: Path) -> None:
    said = told("export", "safetensors", str(result_file), "--undefended")
    path = result_file.parent / "undefended.safetensors"
    assert said.splitlines() == [
        f"written: {path} ({path.stat().st_size:,} bytes)",
        "resnet_small, undefended: images 1 x 8 x 8 in [0, 1] to 10 logits",
    ]


def test_a_model_goes_where_it_is_told(result_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere" / "m.safetensors"
    assert str(out) in told(
        "export", "safetensors", str(result_file), "--undefended", "--out", str(out)
    )
    assert [path.name for path in result_file.parent.glob("*.safetensors")] == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["safetensors", "gone"], 5, "no attack result"),
        (["safetensors", "NAME", "--defense", "anp"], 2, "anp"),
        (["backdoorbench", "NAME"], 2, "has no model like resnet_small"),
    ],
)
def test_what_cannot_be_exported(
    result_file: Path, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    given = [str(result_file) if word == "NAME" else word for word in words]
    ended = benchbd("export", *given, cwd=tmp_path)
    assert ended.returncode == code and said in ended.stderr
