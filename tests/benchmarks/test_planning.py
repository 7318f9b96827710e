"""How long it takes to plan 100,000 cells, and to see how 20,000 finished ones stand. Run with
`--benchmark-only`.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchbd.cli.status import command
from benchbd.matrices.matrix import Matrix
from benchbd.matrices.plan import plan
from benchbd.measure.shares import Counts, Metrics
from benchbd.record.cell import Cell
from benchbd.record.cells import ResultStore
from benchbd.record.keys import SCHEMA
from benchbd.record.provenance import now, provenance
from benchbd.running.protocol import Protocol, parse_protocol

ATTACKS = [
    {"name": "badnet", "params": {"size": 1 + size % 8, "target": size // 8}} for size in range(40)
]
DEFENSES = [{"name": "ft", "params": {"epochs": epochs}} for epochs in range(1, 51)]


@pytest.fixture(scope="module")
def large() -> Protocol:
    """40 attacks x 50 defenses x 50 seeds."""
    content = {
        "name": "large",
        "dataset": "digits",
        "model": "resnet_small",
        "seeds": list(range(50)),
    }
    return parse_protocol(content | {"attacks": ATTACKS, "defenses": DEFENSES}, "a benchmark")


@pytest.fixture(scope="module")
def finished(large: Protocol, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 results with everything in them but curves."""
    store = ResultStore(tmp_path_factory.mktemp("results"))
    counts = Counts(clean=360, clean_hits=300, triggered=324, attack_hits=300, true_hits=10)
    for _, planned in zip(range(20_000), plan(large), strict=False):
        cell = Cell(
            schema=SCHEMA,
            key=planned.key,
            protocol=planned.protocol,
            cell=planned.coordinates,
            metrics=Metrics.from_counts(counts),
            counts=counts,
            provenance=provenance(planned.sources, now()),
        )
        path = store.path(planned.result_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(cell.sealed().model_dump_json(by_alias=True, indent=1))
    return store.folder


def test_planning_a_hundred_thousand_cells(benchmark: Any, large: Protocol, tmp_path: Path) -> None:
    tracemalloc.start()
    assert len(Matrix(large, results=tmp_path).todo()) == 100_000
    benchmark.extra_info["peak MiB"] = round(tracemalloc.get_traced_memory()[1] / 2**20)
    tracemalloc.stop()
    benchmark.pedantic(lambda: Matrix(large, results=tmp_path).todo(), rounds=3)


def test_status_of_twenty_thousand_cells(benchmark: Any, finished: Path) -> None:
    words = ["--results", str(finished), "--json"]
    result = benchmark.pedantic(lambda: CliRunner().invoke(command, words), rounds=3)
    assert result.stdout == '{"large": {"ok": 20000}}\n'


def test_checking_twenty_thousand_cells(benchmark: Any, large: Protocol, finished: Path) -> None:
    """What `plan` does beyond `status`: every digest is verified."""
    matrices = iter([Matrix(large, results=finished) for _ in range(2)])
    states = benchmark.pedantic(lambda: [s.state for s in next(matrices).standings], rounds=1)
    assert states.count("reused") == 20_000
