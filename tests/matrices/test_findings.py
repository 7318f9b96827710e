"""Analyses after a matrix: numbers of each attacked model, with the defended models beside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchbd.executing.executor import Limits, open_executor
from benchbd.matrices.findings import FINDINGS_FOLDER, analyze_matrix
from benchbd.record.files import read_json
from benchbd.running.analyzing import chosen_analyses


@pytest.mark.slow
def test_numbers_of_every_model_lie_beside_the_results(tiny: Any, matrix_in: Any) -> None:
    matrix = matrix_in(tiny(defenses=["none", "clp"]))
    with open_executor("inprocess", {}, Limits()) as session:
        matrix.run(session)
    (path,) = analyze_matrix(matrix, chosen_analyses(["confusion"], {}))
    key = matrix.standings[0].planned.job.key
    expected = matrix.results.parent / FINDINGS_FOLDER / f"tiny/badnet/0-{key[:12]}-confusion.json"
    assert path == expected
    found = read_json(path)
    assert list(found["numbers"]) == ["backdoored", "clp"]
    cells = {cell.cell.defense.name: cell for cell in matrix.cells()}
    asr = {"backdoored": cells["none"].metrics.asr, "clp": cells["clp"].metrics.asr}
    got = {model: numbers["to_target"] for model, numbers in found["numbers"].items()}
    assert got == pytest.approx(asr)
    assert found["defenses"] == {"clp": cells["clp"].key}


@pytest.mark.slow
def test_a_model_that_is_not_here_is_made(tiny: Any, matrix_in: Any) -> None:
    matrix = matrix_in(tiny())
    with open_executor("inprocess", {}, Limits()) as session:
        matrix.run(session)
    (first,) = analyze_matrix(matrix, chosen_analyses(["confusion"], {}))
    numbers = read_json(first)["numbers"]
    shutil.rmtree(matrix.records)
    (again,) = analyze_matrix(matrix_in(tiny()), chosen_analyses(["confusion"], {}))
    assert read_json(Path(again))["numbers"] == numbers
