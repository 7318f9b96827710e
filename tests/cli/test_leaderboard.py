"""The commands around the leaderboard, as a person calls them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from benchbd.cli.main import benchbd
from benchbd.defense.defense import Defense
from benchbd.errors import RecordError
from benchbd.measure.shares import Metrics
from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult
from benchbd.record.cells import ResultStore
from support.made_cells import make_cell, store

ROOT = Path(__file__).parents[2]
FILES = {"LEADERBOARD.md", "index.html", "leaderboard.csv", "leaderboard.json"}


def call(*words: object) -> Result:
    return CliRunner().invoke(benchbd, [str(word) for word in words])


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    cells = [make_cell(a, d, s) for a in ("nothing", "a", "b") for d in ("x", "y") for s in (0, 1)]
    return store(
        [*cells, make_cell("b", "y", 2, code="timeout", reason="too slow")],
        tmp_path / "leaderboard" / "results",
    )


@pytest.mark.slow
def test_build_writes_four_files_and_check_agrees(results: Path, tmp_path: Path) -> None:
    assert call("leaderboard", "build", "--check").exit_code == 1
    assert call("leaderboard", "build").exit_code == 0
    assert {path.name for path in (tmp_path / "leaderboard").iterdir() if path.is_file()} == FILES
    assert call("leaderboard", "build", "--check").exit_code == 0


@pytest.mark.parametrize("name", sorted(FILES))
def test_check_notices_every_change_and_writes_nothing(
    results: Path, tmp_path: Path, name: str
) -> None:
    call("leaderboard", "build")
    file = tmp_path / "leaderboard" / name
    file.write_text(file.read_text() + " ")
    found = call("leaderboard", "build", "--check")
    assert (found.exit_code, "out of date" in found.stderr, name in found.stderr) == (1, True, True)
    assert file.read_text().endswith(" ")


@pytest.mark.slow
def test_a_new_result_puts_the_board_out_of_date(results: Path) -> None:
    call("leaderboard", "build")
    store([make_cell("c", "x")], results)
    assert call("leaderboard", "build", "--check").exit_code == 1


@pytest.mark.slow
def test_building_again_elsewhere_and_later_gives_the_same_bytes(
    results: Path, tmp_path: Path
) -> None:
    call("leaderboard", "build", "--out", tmp_path / "one")
    for path in results.rglob("*.json"):
        os.utime(path, (0, 0))
    call("leaderboard", "build", "--out", tmp_path / "two", "--results", results)
    assert {f: (tmp_path / "one" / f).read_bytes() for f in FILES} == {
        f: (tmp_path / "two" / f).read_bytes() for f in FILES
    }


def test_files_that_are_not_believed_are_named_and_the_rest_is_built(results: Path) -> None:
    (results / "broken.json").write_text('{"schema": 1')
    first = next(results.rglob("0*.json"))
    (results / "copy.json").write_text(first.read_text())
    found = call("leaderboard", "build")
    assert found.exit_code == 0
    assert "broken.json" in found.stderr
    assert "copy.json: it is not in its place" in found.stderr
    assert "2 files not believed" in Path("leaderboard/LEADERBOARD.md").read_text()


def test_without_results_there_is_a_word_on_how_to_get_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecordError, match="benchbd matrix"):
        raise call("leaderboard", "build").exception or AssertionError


def test_an_empty_folder_gives_an_empty_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaderboard" / "results").mkdir(parents=True)
    assert call("leaderboard", "build").exit_code == 0
    assert json.loads(Path("leaderboard/leaderboard.json").read_text())["sections"] == []


@pytest.mark.slow
def test_the_page_of_published_numbers_is_written_and_checked(
    results: Path, tmp_path: Path
) -> None:
    words = (
        "leaderboard",
        "reproduction",
        "--targets",
        ROOT / "leaderboard" / "published",
        "--out",
        tmp_path / "page.md",
    )
    assert call(*words, "--check").exit_code == 1
    assert not (tmp_path / "page.md").exists()
    assert call(*words).exit_code == 0
    assert call(*words, "--check").exit_code == 0
    (tmp_path / "page.md").write_text("changed by hand")
    found = call(*words, "--check")
    assert (found.exit_code, "page.md" in found.stderr) == (1, True)


@pytest.mark.slow
def test_the_committed_page_of_published_numbers_is_up_to_date(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    assert call("leaderboard", "reproduction", "--check").exit_code == 0, (
        "benchbd leaderboard reproduction"
    )


def test_show_prints_ranking_matrix_and_what_has_no_numbers(results: Path) -> None:
    shown = call("leaderboard", "show").stdout
    for words in (
        "Ranking of defenses",
        "ASR / ACC",
        "Cells without numbers",
        "too slow",
        "trial@1",
    ):
        assert words in shown
    assert "10.0 [" not in shown
    assert "10.0 and 10.0" in call("leaderboard", "show", "--attack", "a").stdout


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("csv", b"table,"),
        ("md", b"# Leaderboard"),
        ("latex", b"\\begin{table}"),
        ("json", b"{"),
        ("parquet", b"PAR1"),
    ],
)
def test_export_writes_every_form(results: Path, tmp_path: Path, form: str, start: bytes) -> None:
    assert call("leaderboard", "export", "--format", form).stdout_bytes.startswith(start)
    assert call("leaderboard", "export", "--format", form, "--out", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out").read_bytes().startswith(start)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "files"), [("hub", ["x.yaml", "y.yaml"]), ("badges", ["x.svg", "y.svg"])]
)
def test_export_writes_a_file_for_each_defense(
    results: Path, tmp_path: Path, form: str, files: list[str]
) -> None:
    assert call("leaderboard", "export", "--format", form, "--out", tmp_path / form).exit_code == 0
    assert sorted(path.name for path in (tmp_path / form).iterdir()) == files
    refused = call("leaderboard", "export", "--format", form)
    assert refused.exit_code == 2 and "--out FOLDER" in refused.stderr


@pytest.mark.slow
def test_diff_returns_one_when_something_changed(results: Path, tmp_path: Path) -> None:
    call("leaderboard", "build")
    assert call("leaderboard", "diff", "leaderboard", results).exit_code == 0
    store([make_cell("c", "x")], results)
    found = call("leaderboard", "diff", "leaderboard", results)
    assert (
        found.exit_code,
        found.stdout.startswith("new: trial@1 · pictures · net, c, x, seed 0: ACC 90.0"),
    ) == (1, True)


@pytest.mark.slow
def test_the_page_tells_what_is_new_since_the_version_that_was_remembered(
    results: Path, tmp_path: Path
) -> None:
    call("leaderboard", "build")
    assert call("leaderboard", "version", "1.0").exit_code == 0
    store([make_cell("c", "x")], results)
    call("leaderboard", "build")
    page = (tmp_path / "leaderboard" / "index.html").read_text()
    assert '"name":"1.0"' in page and '"total":[1,0,0]' in page
    assert call("leaderboard", "build", "--check").exit_code == 0


def test_a_strip_that_cannot_be_made_is_named_and_the_others_are_tried(results: Path) -> None:
    found = call("leaderboard", "strips")
    assert found.exit_code == 1 and found.stdout == ""
    for attack in ("a", "b", "nothing"):
        assert f"not made: leaderboard/results/trial/{attack}/images-pictures-" in found.stderr
    assert found.stderr.count("is provided by 'somebody', which is not installed here") == 3


@pytest.mark.slow
def test_what_was_checked_here_is_noted_and_shown(
    stored: AttackResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = create(Defense, "none").defense(stored.path, device="cpu", save_path=tmp_path / "made")
    folder, key = Path("leaderboard/results"), result.cell.key
    ResultStore(folder).write(
        f"none/badnet/none/0-{key[:12]}.json", result.cell, result.predictions()
    )

    def shown() -> str:
        return call("leaderboard", "show", "--attack", "badnet").stdout

    assert "as stated" in shown()
    assert "1 recomputed" in call("verify", folder, "--note", "leaderboard/trust.json").stdout
    assert "recomputed" in shown()
    again = call("reproduce", key[:12], "--device", "cpu", "--note", "leaderboard/trust.json")
    assert (again.exit_code, again.stdout.count("predictions that differ: 0 of")) == (0, 2)
    assert "reproduced by another" in shown()


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", [False, True], ids=["this processor", "another one"])
def test_shares_that_agree_where_predictions_do_not_are_enough_on_another_processor_alone(
    stored: AttackResult, tmp_path: Path, elsewhere: bool
) -> None:
    """Two clean images of one class, one right and one wrong, change places."""
    result = create(Defense, "none").defense(stored.path, device="cpu", save_path=tmp_path / "made")
    right = result.clean_predictions == stored.test.labels
    for label in range(stored.test.num_classes):
        mine = stored.test.labels == label
        if (mine & right).any() and (mine & ~right).any():
            pair = [int(torch.nonzero(mine & of)[0]) for of in (right, ~right)]
    swapped = result.clean_predictions.clone()
    swapped[pair] = result.clean_predictions[pair[::-1]]
    cell = result.cell
    if elsewhere:
        noted = cell.provenance | {"processor": "another"}
        cell = cell.model_copy(update={"provenance": noted})
    path = ResultStore(tmp_path).write(
        "swapped.json", cell, replace(result, clean_predictions=swapped).predictions()
    )
    found = call("reproduce", path, "--device", "cpu")
    assert found.exit_code == (0 if elsewhere else 1)
    said = "reproduced within the tolerance" if elsewhere else "the predictions of 2 images differ"
    assert said in found.stdout


@pytest.mark.slow
def test_what_came_out_otherwise_is_not_reproduced(stored: AttackResult, tmp_path: Path) -> None:
    result = create(Defense, "none").defense(stored.path, device="cpu", save_path=tmp_path / "made")
    cell = result.cell
    assert cell.counts is not None
    counts = cell.counts.model_copy(update={"clean_hits": cell.counts.clean_hits - 20})
    lie = cell.model_copy(
        update={"counts": counts, "metrics": Metrics.from_counts(counts, cell.baseline)}
    )
    path = ResultStore(tmp_path).write("lie.json", lie, result.predictions())
    found = call("reproduce", path, "--device", "cpu", "--note", tmp_path / "trust.json")
    assert found.exit_code == 1
    assert "not reproduced: every prediction is the same, but ACC" in found.stdout
    assert not (tmp_path / "trust.json").exists()


def test_verify_names_faults_and_returns_five(results: Path) -> None:
    found = call("verify", results)
    assert found.exit_code == 5
    assert "is provided by 'somebody', which is not installed here" in found.stdout
    assert "13 with faults" in found.stdout


def test_show_refuses_an_attack_that_is_not_there(results: Path) -> None:
    with pytest.raises(
        RecordError,
        match=r"the board has no attack 'nothin'; did you mean 'nothing'\? it has a, b, nothing",
    ):
        raise call("leaderboard", "show", "--attack", "nothin").exception or AssertionError


def test_compare_refuses_a_name_that_is_not_there(results: Path) -> None:
    with pytest.raises(RecordError, match="no defense 'z'"):
        raise call("leaderboard", "compare", "x", "z").exception or AssertionError


def test_compare_goes_on_where_the_images_of_a_table_are_not_at_hand(results: Path) -> None:
    """Nobody here has the data set of these cells; what the ranking says of them stands there all
    the same.
    """
    found = call("leaderboard", "compare", "x", "y")
    assert found.exit_code == 0
    assert "x before y by 0.0 DER over 2 attacks" in found.stdout
    assert "not compared image by image: " in found.stdout
