"""Evaluations in the hub's form."""

from __future__ import annotations

import yaml

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.render.model_index import model_indices
from support.made_cells import make_cell


def test_a_file_for_each_defense_with_its_figures_in_percent() -> None:
    cells = [make_cell(hits=(900, 90, 720)), make_cell(defense="none", hits=(950, 900, 0))]
    cells += [make_cell(defense="slow", code="timeout", reason="too slow")]
    files = model_indices(board(map(row_of, cells)))
    assert list(files) == ["mend.yaml"]
    (model,) = yaml.safe_load(files["mend.yaml"])["model-index"]
    (result,) = model["results"]
    assert (model["name"], result["dataset"]["args"]) == ("mend", {"attack": "patch", "seeds": [0]})
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    # ASR falls from 100 to 10, ACC from 95 to 90
    assert values == {"acc": 90.0, "asr": 10.0, "rc": 80.0, "der": 92.5}
    assert not any(metric["verified"] for metric in result["metrics"])
