"""`benchbd import`: what its words mean, what is refused at once, and what is told of a result."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchbd.cli.importing import _compared, _numbers, _plugin
from benchbd.data.images import ImageSet
from benchbd.errors import ConfigError
from benchbd.measure.shares import Counts
from benchbd.record.attack_result import AttackResult
from support.command_line import benchbd

CHECKPOINT = ["checkpoint", "a.pt", "--model", "resnet_small", "--dataset", "digits"]


@pytest.mark.parametrize(
    ("text", "numbers"), [("0.5", (0.5, 0.5, 0.5)), ("0.1, 0.2,0.3", (0.1, 0.2, 0.3))]
)
def test_one_number_is_for_every_channel(
    images: ImageSet, text: str, numbers: tuple[float, ...]
) -> None:
    assert _numbers(text, images) == numbers


def test_what_is_no_number_is_refused(images: ImageSet) -> None:
    with pytest.raises(
        ConfigError, match=r"expected numbers with commas between them, got '0\.5;1'"
    ):
        _numbers("0.5;1", images)


def test_settings_go_to_the_plugin_of_their_kind() -> None:
    settings = ("dataset.size=12", "model.width=4")
    assert _plugin("dataset", "digits", settings).size == 12
    assert _plugin("model", "resnet_small", settings).width == 4
    for slip in ("size=12", "dataset.size", "defense.size=1"):
        with pytest.raises(ConfigError, match=r"expected dataset\.PARAM=VALUE or model\.PARAM=V"):
            _plugin("dataset", "digits", (slip,))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["backdoorbench", "gone", "--dataset", "digits"], 5, "gone"),
        (["backdoorbench", "gone", "--dataset", "digitz"], 3, "did you mean 'digits'"),
        (
            [*CHECKPOINT, "--triggered", "b"],
            2,
            "--triggered and --target go together",
        ),
        (
            [*CHECKPOINT, "--num-classes", "3"],
            2,
            "has 3 classes, the clean images have 10",
        ),
    ],
)
def test_slips_have_their_exit_code(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    ended = benchbd("import", *words, cwd=tmp_path)
    assert ended.returncode == code and said in ended.stderr


def result_with(**imported: Any) -> AttackResult:
    """An imported result whose model was right of 90 of 100 images and fooled by 40 of 50."""
    counts = Counts(clean=100, clean_hits=90, triggered=50, attack_hits=40, true_hits=5)
    outline = SimpleNamespace(mean=(0.4, 0.5), std=(0.2, 0.25))
    manifest = SimpleNamespace(imported={"format": "theirs", **imported}, outline=outline)
    return cast(AttackResult, SimpleNamespace(manifest=manifest, counts=lambda: counts))


def test_what_the_other_tool_measured_stands_beside_what_is_measured_here() -> None:
    first, second, last = _compared(result_with(reported={"acc": 0.91, "asr": 0.8, "odd": 1}))
    assert first == "ACC reported by theirs: 91.0 %, 91 images; measured here: 90"
    assert second == "ASR reported by theirs: 80.0 %, 40 images; measured here: 40"
    assert last == "images enter as [0, 1], normalised by mean 0.4, 0.5 and deviation 0.2, 0.25"


@pytest.mark.parametrize(("resemblance", "doubted"), [(0.1, True), (0.9, False), (None, False)])
def test_images_that_do_not_resemble_each_other_are_doubted(
    resemblance: float | None, doubted: bool
) -> None:
    lines = _compared(result_with(reported={}, resemblance=resemblance))
    assert any("do not resemble the clean ones" in line for line in lines) is doubted
