"""One file with several data sets, models, poison ratios and parameters, run for real."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchbd.cli.matrix_view import print_summary
from benchbd.executing.executor import Limits, open_executor
from benchbd.matrices.matrix import Matrix
from benchbd.running.protocol import load_protocol

pytestmark = pytest.mark.slow

FILE = """
name: several
dataset:
  - {name: digits, params: {size: 8}}
  - {name: imagefolder, params: {path: photographs, size: 8}}
model:
  - {name: resnet_small, params: {width: 4}}
  - {name: timm, params: {variant: test_resnet}}
recipe: {epochs: 1, precision: fp32}
threads: 1
clean_budget: 0.3
seeds: [0]
poison_ratios: [0.05, 0.2]
attacks: [clean, {name: corner, params: {target: 1}}]
defenses: [none, {name: jitter, params: {seconds: 0.01}}, {name: ft, params: {epochs: 1}}]
include:
  - {dataset: digits, model: resnet_small}
  - {dataset: imagefolder, attack: corner, model: resnet_small, poison_ratio: 0.2}
  - dataset: imagefolder
    attack: corner
    model: "timm:test_resnet"
    poison_ratio: 0.2
    defense: [none, ft]
exclude:
  - {attack: clean, defense: ft}
  - {attack: corner, poison_ratio: 0.05, defense: [jitter, ft]}
"""

EXPECTED = {
    ("digits", "resnet_small", "clean", 0.0): ["none", "jitter"],
    ("digits", "resnet_small", "corner", 0.05): ["none"],
    ("digits", "resnet_small", "corner", 0.2): ["none", "jitter", "ft"],
    ("imagefolder", "resnet_small", "corner", 0.2): ["none", "jitter", "ft"],
    ("imagefolder", "timm:test_resnet", "corner", 0.2): ["none", "ft"],
}
"""What the rules of the file let in, by hand."""

DIGITS, PHOTOGRAPHS = 1438, 60
"""Images in the two training sets."""


@pytest.fixture(scope="module")
def folder(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The results of the file, all stages run in this very process. Not to be changed."""
    folder = tmp_path_factory.mktemp("several")
    _photographs(folder / "photographs")
    (folder / "several.yaml").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with open_executor("inprocess", {}, Limits()) as session:
            _matrix(folder).run(session)
        yield folder


def test_what_the_rules_let_in_is_run_and_nothing_else(folder: Path) -> None:
    ran: dict[tuple[str, str, str, float], list[str]] = {}
    for cell in _matrix(folder).cells():
        assert cell.status.code == "ok" and cell.metrics is not None
        where, variant = cell.cell, cell.cell.model.params.get("variant")
        model = f"{where.model.name}:{variant}" if variant else where.model.name
        ran.setdefault(
            (where.dataset.name, model, where.attack.name, where.attack.params["poison_ratio"]), []
        ).append(where.defense.name)
    assert ran == EXPECTED


def test_ratios_and_parameters_are_what_was_asked_for(folder: Path) -> None:
    manifests = [json.loads(path.read_text()) for path in folder.glob("record/*/manifest.json")]
    poisoned = Counter((m["dataset"]["name"], m["counts"]["poisoned"]) for m in manifests)
    assert poisoned == {
        ("digits", 0): 1,
        ("digits", round(0.05 * DIGITS)): 1,
        ("digits", round(0.2 * DIGITS)): 1,
        ("imagefolder", round(0.2 * PHOTOGRAPHS)): 2,
    }
    assert {
        m["attack"]["params"]["target"] for m in manifests if m["attack"]["name"] == "corner"
    } == {1}
    cells = _matrix(folder).cells()
    assert {c.cell.defense.params["epochs"] for c in cells if c.cell.defense.name == "ft"} == {1}


def test_the_summary_tells_them_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    matrix = _matrix(folder)
    print_summary(matrix, matrix.cells())
    text = capsys.readouterr().out
    assert "clean, digits" in text and "corner (poison_ratio=0.05), digits" in text
    assert "corner (poison_ratio=0.2), imagefolder, timm:test_resnet" in text


def _matrix(folder: Path) -> Matrix:
    return Matrix(
        load_protocol(folder / "several.yaml"),
        results=folder / "results",
        records=folder / "record",
    )


def _photographs(folder: Path) -> None:
    """Three classes of 20 training and 6 test images, each class with a grey of its own."""
    import numpy
    from PIL import Image

    noise = numpy.random.default_rng(0)
    for split, count in (("train", PHOTOGRAPHS // 3), ("test", 6)):
        for label in range(3):
            (folder / split / f"class{label}").mkdir(parents=True)
            for number in range(count):
                pixels = (80 * label + noise.integers(0, 60, (8, 8, 3))).astype("uint8")
                Image.fromarray(pixels).save(folder / split / f"class{label}" / f"{number}.png")
