"""What a cell costs beyond its own computation: processes, files, digests. Run with
`--benchmark-only`.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from benchbd.executing.executor import Limits, open_executor
from benchbd.matrices.matrix import Matrix
from benchbd.running.protocol import parse_protocol

CELLS = 20


def _matrix(folder: Path, defenses: list[dict[str, Any]]) -> Matrix:
    content = {
        "name": "tiny",
        "dataset": {"name": "digits", "params": {"size": 8}},
        "model": {"name": "resnet_small", "params": {"width": 2}},
        "recipe": {"epochs": 1, "precision": "fp32"},
        "threads": 1,
        "seeds": [0],
        "attacks": ["badnet"],
        "defenses": defenses,
    }
    return Matrix(
        parse_protocol(content, "a benchmark"),
        results=folder / "results",
        records=folder / "record",
    )


@pytest.mark.parametrize(
    ("executor", "settings"),
    [
        ("local", {"executor.workers": "1"}),
        ("local", {"executor.workers": "1", "executor.reuse": "true"}),
        ("inprocess", {}),
    ],
    ids=["local", "reuse-worker", "inprocess"],
)
def test_cells_that_do_next_to_nothing(
    benchmark: Any, executor: str, settings: dict[str, str], tmp_path: Path
) -> None:
    """Defenses of no epochs over one attacked model that is there already; the workers' common
    imports are done, too.
    """
    matrix = _matrix(
        tmp_path,
        [{"name": "ft", "params": {"epochs": 0, "lr": (n + 1) / 100}} for n in range(CELLS)],
    )
    with open_executor(executor, settings, Limits(threads=1)) as session:
        _matrix(tmp_path, [{"name": "none"}]).run(session)
        benchmark.pedantic(lambda: matrix.run(session), rounds=1)
    cells = matrix.cells()
    assert [cell.status.code for cell in cells] == ["ok"] * CELLS
    own = sum(cell.cost.defense_seconds + cell.cost.evaluation_seconds for cell in cells)
    benchmark.extra_info["seconds a cell beyond its own"] = round(
        (benchmark.stats["total"] - own) / CELLS, 3
    )
    benchmark.extra_info["own seconds"] = round(own / CELLS, 3)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    benchmark.extra_info["CPU seconds of all workers so far"] = round(
        used.ru_utime + used.ru_stime, 1
    )
