"""How long 20,000 results take to become a board, and how much memory. Run with `pytest
tests/benchmarks --benchmark-only`.

40 attacks and 50 defenses with 10 seeds each; every tenth cell carries the curve of a sweep.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchbd.measure.shares import Curve, CurvePoint
from benchbd.record.cell import Cell
from benchbd.record.files import write_json
from support.made_cells import make_cell, provided

ATTACKS, DEFENSES, SEEDS = 40, 50, 10
SECONDS, BYTES = 30, 2 * 2**30

BUILD = """
import sys
from benchbd.cli.main import benchbd
words = ["leaderboard", "build", "--results", sys.argv[1], "--out", sys.argv[2]]
benchbd.main(words, standalone_mode=False)
"""


def cells() -> list[Cell]:
    rng = random.Random(0)
    curve = Curve(
        axis="threshold",
        points=tuple(CurvePoint(value=v / 20, acc=0.9, asr=0.1, rc=0.8) for v in range(20)),
    )
    names = [f"defense_{place}" for place in range(DEFENSES)]
    params: dict[str, Any] = {f"parameter_{place}": place / 10 for place in range(12)}
    return [
        make_cell(
            f"attack_{attack}" if attack else "nothing",
            provided(name, **params),
            seed,
            (rng.randint(700, 950), rng.randint(0, 400), rng.randint(0, 500)),
            curves=(curve,) if seed == 0 else (),
            provenance={
                "argv": ["benchbd"] * 10,
                "libraries": dict.fromkeys(("torch", "numpy", "timm"), "1.2.3"),
            },
        )
        for attack in range(ATTACKS)
        for name in names
        for seed in range(SEEDS)
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for cell in cells():
        write_json(folder / cell.place, cell.to_json())
    return folder


def test_20000_cells(benchmark: BenchmarkFixture, results: Path, tmp_path: Path) -> None:
    def build() -> None:
        subprocess.run([sys.executable, "-c", BUILD, str(results), str(tmp_path)], check=True)

    benchmark.pedantic(build, rounds=1)  # type: ignore[no-untyped-call]
    assert benchmark.stats is not None
    assert (tmp_path / "index.html").is_file()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    benchmark.extra_info["peak_bytes"] = peak
    print(
        f"\nbuilt in {benchmark.stats.stats.mean:.1f} s with at most {peak / 2**20:.0f} MiB"
    )  # a figure to write down
    assert peak < BYTES
    assert benchmark.stats.stats.mean < SECONDS
