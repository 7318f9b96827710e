"""The notebook of the docs runs from its first cell to its last, and shows what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


@pytest.mark.slow
def test_the_tutorial_runs_and_shows_its_table_and_its_pictures(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (shown,) = [output.data for output in code[0].outputs if output.output_type == "execute_result"]
    assert "anp" in shown["text/plain"]
    assert shown["text/html"].count("<figure>") == 2, "the images, and the curve of anp"


def test_it_is_stored_without_outputs() -> None:
    """What it shows depends on the machine, and would be old at the next change."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
