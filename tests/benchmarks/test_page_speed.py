"""How soon the page of 40 attacks x 50 defenses x 3 seeds is seen, and how long sorting it takes.

Run with `pytest tests/benchmarks/test_page_speed.py --benchmark-only -s`, on a machine that does
nothing else.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.render.files import publish
from benchbd.measure.shares import Curve, CurvePoint
from support.browser import Visit, started, visit
from support.made_cells import make_cell, provided

ATTACKS, DEFENSES, SEEDS = 40, 50, 3
FIRST_PAINT, SORT = 2.0, 0.3
"""Seconds until something is seen, and from a click to the frame that shows the rows in their new
order.
"""

CLICKS = """async selector => {
  const found = [];
  for (const target of [...document.querySelectorAll(selector)].slice(1, 10)) {
    const start = performance.now();
    target.click();
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    found.push((performance.now() - start) / 1000);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, folder = random.Random(0), tmp_path_factory.mktemp("board")
    curve = Curve(
        axis="threshold",
        chosen=9,
        points=tuple(CurvePoint(value=v / 20, acc=0.9, asr=0.1, rc=0.8) for v in range(20)),
    )
    cells = (
        make_cell(
            f"attack_{attack}" if attack else "nothing",
            provided(f"defense_{defense}", rate=0.1, steps=defense),
            seed,
            (rng.randint(700, 950), rng.randint(0, 400), rng.randint(0, 500)),
            curves=(curve,) if defense % 3 == 0 else (),
            provenance={"stages": {"defense": "repair"}, "python": "3.11"},
        )
        for attack in range(ATTACKS)
        for defense in range(DEFENSES)
        for seed in range(SEEDS)
    )
    publish(board(map(row_of, cells)), folder)
    return folder / "index.html"


@pytest.fixture
def seen(file: Path) -> Iterator[Visit]:
    with (
        started() as browser,
        visit(browser, file, viewport={"width": 1440, "height": 900}) as found,
    ):
        yield found


def test_first_paint(benchmark: BenchmarkFixture, seen: Visit, file: Path) -> None:
    paints = []

    def look() -> None:
        paints.append(
            seen.open().evaluate(
                "performance.getEntriesByName('first-contentful-paint')[0].startTime"
            )
            / 1000
        )

    benchmark.pedantic(look, rounds=5)  # type: ignore[no-untyped-call]
    drawn = (
        seen.page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive") / 1000
    )
    print(
        f"\nfirst paint after {statistics.median(paints):.2f} s, all drawn after {drawn:.2f} s, "
        f"{file.stat().st_size:,} bytes"
    )
    assert max(paints) < FIRST_PAINT


@pytest.mark.parametrize(
    ("fragment", "titles"),
    [("", ".matrix thead .sort"), ("#view=cells", ".tabulator-sortable .tabulator-col-content")],
)
def test_sorting(benchmark: BenchmarkFixture, seen: Visit, fragment: str, titles: str) -> None:
    page: Any = seen.open(fragment)
    taken: list[float] = benchmark.pedantic(lambda: page.evaluate(CLICKS, titles), rounds=1)  # type: ignore[no-untyped-call]
    print(f"\nsorted in {statistics.median(taken):.3f} s (median), {max(taken):.3f} s at most")
    assert statistics.median(taken) < SORT
