"""Verification of a real small result, and of lies about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image

from benchbd.attack.attack import Attack
from benchbd.audit.ground_truth import ImageLabels, NotRead, counts_of, registered
from benchbd.audit.reproduce import reproduce
from benchbd.audit.verify import verify
from benchbd.defense.defense import Defense
from benchbd.errors import RecordError
from benchbd.leaderboard.board.trust import read_ledger
from benchbd.measure.shares import Counts, Metrics
from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult
from benchbd.record.cell import Cell, Predictions
from benchbd.record.cells import ResultStore, read_cell
from benchbd.record.files import sha256, write_json
from benchbd.record.plugin_record import PluginRecord
from support.command_line import benchbd
from support.forged import PREDICTIONS, check, rewrite
from support.made_cells import provided

Change = Callable[[Cell], Cell]


def test_an_honest_cell_is_recomputed(path: Path) -> None:
    found = check(path)
    assert (found.faults, found.level) == ((), "recomputed")
    assert found.note() is not None


def test_a_changed_number_breaks_the_seal(path: Path) -> None:
    path.write_text(path.read_text().replace('"clean_samples": ', '"clean_samples": 1'))
    assert "was changed after it was written" in check(path).faults[0]


def test_better_numbers_than_the_predictions_give_are_found_out(path: Path) -> None:
    cell = read_cell(path)
    assert cell.counts is not None
    counts = cell.counts.model_copy(update={"attack_hits": cell.counts.attack_hits - 1})
    rewrite(path, counts=counts, metrics=Metrics.from_counts(counts, cell.baseline))
    assert "its predictions give" in check(path).faults[0]
    assert check(path).note() is None


def test_changed_predictions_are_found_out(path: Path) -> None:
    predictions = path.with_name(PREDICTIONS)
    predictions.write_bytes(predictions.read_bytes()[:-1] + b"\x07")
    assert "do not have the digest" in check(path).faults[0]
    predictions.unlink()
    assert "are missing" in check(path).faults[0]


def test_the_name_of_predictions_leads_nowhere_else(path: Path) -> None:
    stolen = Predictions(file=f"../../../{PREDICTIONS}", sha256=sha256(path.with_name(PREDICTIONS)))
    rewrite(path, predictions=stolen)
    assert check(path).level == "recomputed"


def test_a_key_that_is_not_its_own_is_found_out(path: Path) -> None:
    write_json(path, read_cell(path).model_copy(update={"key": "0" * 64}).sealed().to_json())
    assert "is not that of its coordinates" in check(path).faults[0]


def test_an_oracle_must_be_called_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(create("defense", "none")), "oracle", True)
    assert check(path).faults == ("none is an oracle, and the cell does not say so",)
    rewrite(path, flags=read_cell(path).flags.model_copy(update={"oracle": True}))
    assert check(path).faults == ()


def test_a_family_that_is_not_the_methods_is_found_out(path: Path) -> None:
    said = read_cell(path).provenance
    assert said["families"]["defense"] == "repair"
    rewrite(path, provenance=said | {"families": {"defense": "input-detector"}})
    assert check(path).faults == ("none is a repair, and the cell says input-detector",)


def test_impossible_counts_are_found_out(path: Path) -> None:
    rewrite(path, counts=Counts(clean=10, clean_hits=9, triggered=10, attack_hits=6, true_hits=6))
    assert "ASR + RC exceeds 1" in check(path).faults[0]


@pytest.fixture(scope="module")
def honest_store(stored: AttackResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two real cells of one attacked model, one of them without a defense."""
    folder = tmp_path_factory.mktemp("results")
    for name in ("clp", "none"):
        made = create(Defense, name).defense(stored.path, device="cpu", protocol="trial@1")
        ResultStore(folder).write(made.cell.place, made.cell, made.predictions())
    return folder


@pytest.fixture
def results(honest_store: Path, tmp_path: Path) -> Path:
    """A copy of the real store to change."""
    return Path(shutil.copytree(honest_store, tmp_path / "results"))


def faults_in(results: Path) -> dict[str, tuple[str, ...]]:
    """By the path inside of the folder; of files with faults alone."""
    found = verify([results])
    return {str(each.path.relative_to(results)): each.faults for each in found if each.faults}


def of_defense(results: Path, name: str) -> Path:
    (path,) = results.glob(f"trial/*/{name}/*.json")
    return path


def test_a_store_of_honest_cells_has_no_faults_nor_have_its_parts(results: Path) -> None:
    assert faults_in(results) == faults_in(of_defense(results, "clp").parent) == {}
    assert {each.level for each in verify([results])} == {"recomputed"}


def test_what_predictions_tell_beside_the_metrics_is_counted(results: Path) -> None:
    found = {each.cell.cell.defense.name: each for each in verify([results]) if each.cell}
    none, alone = found["none"].utility, verify([of_defense(results, "clp")])[0].utility
    assert none is not None and alone is not None
    assert none.agreement == 1.0
    assert none.target_rate == none.target_rate_before
    assert alone.agreement is None and alone.target_rate is not None
    note = found["clp"].note()
    assert note is not None and note[1].utility == found["clp"].utility


def test_a_network_that_says_the_attacked_label_anyway_is_doubtful(results: Path) -> None:
    path = of_defense(results, "clp")
    (found,) = verify([path])
    assert found.utility is not None and found.cell is not None and found.cell.metrics is not None
    asr = found.cell.metrics.model_copy(update={"asr": 0.9})
    ruined = replace(
        found,
        cell=found.cell.model_copy(update={"metrics": asr}),
        utility=found.utility.model_copy(update={"target_rate": 0.9}),
    )
    assert "not the trigger's doing" in ruined.doubt()


def test_a_copy_in_another_place_is_at_fault_and_the_honest_file_is_not(results: Path) -> None:
    honest = of_defense(results, "clp")
    for copy in ("0-aaaaaaaaaaaa", "9-zzz"):
        shutil.copy(honest, honest.with_name(f"{copy}.json"))
    shutil.copytree(results / "trial", results / "a" / "trial")
    wrong = faults_in(results)
    assert len(wrong) == 6 and str(honest.relative_to(results)) not in wrong
    assert all("it is not in its place, which is trial/" in faults[0] for faults in wrong.values())


def test_files_with_one_cell_that_are_named_themselves_count_once(results: Path) -> None:
    honest = of_defense(results, "clp")
    copy = shutil.copy(honest, honest.with_name("copy.json"))
    faults = [each.faults for each in verify([honest, copy, honest])]
    assert faults == [(), (f"it holds the same cell as {honest}",), ()]


def test_a_forged_baseline_convicts_nobody_else(results: Path) -> None:
    """DER grows with a baseline that is better than what the undefended cell measured."""
    path = of_defense(results, "clp")
    cell = read_cell(path)
    assert cell.baseline is not None and cell.counts is not None
    baseline = cell.baseline.model_copy(update={"acc": 0.0})
    rewrite(path, baseline=baseline, metrics=Metrics.from_counts(cell.counts, baseline), doubts=())
    wrong = faults_in(results)
    assert set(wrong) == {str(path.relative_to(results))}
    assert "is not what the cell without a defense measured" in wrong.popitem()[1][-1]


OTHER_WEIGHTS = "ab" * 32
"""As a model that was trained on another processor has."""


def other_machine(results: Path) -> Path:
    """The cell of clp as if it had been made on another processor: other weights, and 5 fewer hits
    of the attack before the defense.
    """
    path = of_defense(results, "clp")
    cell, undefended = read_cell(path), read_cell(of_defense(results, "none"))
    assert cell.counts is not None and undefended.counts is not None
    hits = undefended.counts.attack_hits - 5
    baseline = Metrics.from_counts(undefended.counts.model_copy(update={"attack_hits": hits}))
    metrics = Metrics.from_counts(cell.counts, baseline)
    return rewrite(path, attacked_model=OTHER_WEIGHTS, baseline=baseline, metrics=metrics)


def test_a_cell_of_other_weights_is_not_held_against_this_machines_baseline(results: Path) -> None:
    path = other_machine(results)
    assert faults_in(results) == {}
    (found,) = [each for each in verify([results]) if each.path == path]
    assert found.level == "as stated"
    assert "nothing to hold its baseline against" in found.obstacle


@pytest.mark.parametrize("honest", [True, False])
def test_its_own_undefended_cell_is_its_reference(results: Path, honest: bool) -> None:
    path = other_machine(results)
    usual = of_defense(results, "none")
    undefended = read_cell(usual).model_copy(update={"attacked_model": OTHER_WEIGHTS})
    counts = undefended.counts
    assert counts is not None and undefended.metrics is not None
    baseline = read_cell(path).baseline
    assert baseline is not None
    predictions = safetensors.torch.load_file(beside(usual, read_cell(usual)))
    if honest:  # 5 triggered images fewer are taken for the attacked label, and for no other one
        _, triggered = ImageLabels().of(undefended)
        classes = predictions["triggered"].long()
        fooled = torch.nonzero(classes == triggered.attacked_labels)[:5, 0]
        wrong = (triggered.attacked_labels[fooled] + 1) % 10
        wrong[wrong == triggered.true_labels[fooled]] += 1
        classes[fooled] = wrong % 10
        predictions["triggered"] = classes.to(torch.uint16)
        counts = counts.model_copy(update={"attack_hits": counts.attack_hits - 5})
        undefended = undefended.model_copy(
            update={"counts": counts, "metrics": Metrics.from_counts(counts), "baseline": baseline}
        )
        metrics = Metrics.from_counts(counts, baseline)
        undefended = undefended.model_copy(update={"metrics": metrics})
    place = undefended.reference_place
    ResultStore(results).write(place, undefended, safetensors.torch.save(predictions))
    wrong_files = faults_in(results)
    if honest:
        assert wrong_files == {}
        assert {each.level for each in verify([results])} == {"recomputed"}
    else:
        assert list(wrong_files) == [str(path.relative_to(results))]
        assert "is not what the cell without a defense measured" in wrong_files.popitem()[1][0]


def test_a_reference_stands_for_one_attacked_model_alone(results: Path) -> None:
    """Twice the same weights are twice the same cell."""
    cell = read_cell(of_defense(results, "none"))
    predictions = beside(of_defense(results, "none"), cell).read_bytes()
    place = cell.reference_place
    ResultStore(results).write(place, cell, predictions)
    assert list(faults_in(results)) == [place]
    assert "it holds the same cell as" in faults_in(results)[place][0]


def beside(path: Path, cell: Cell) -> Path:
    """The predictions of a stored cell."""
    assert cell.predictions is not None
    return path.with_name(cell.predictions.file)


@pytest.mark.parametrize("said", [(), ("all is well",)], ids=["left out", "made up"])
def test_doubts_must_be_those_that_the_numbers_give(path: Path, said: tuple[str, ...]) -> None:
    """A model that predicts one class for everything: its ACC is that of guessing."""
    ones = safetensors.torch.load_file(path.with_name(PREDICTIONS))
    path.with_name(PREDICTIONS).write_bytes(
        safetensors.torch.save({name: torch.ones_like(each) for name, each in ones.items()})
    )
    test, triggered = ImageLabels().of(read_cell(path))
    predicted = (torch.ones(len(test)).long(), torch.ones(len(triggered)).long())
    counts = counts_of(predicted, test, triggered)
    rewrite(
        path,
        counts=counts,
        metrics=Metrics.from_counts(counts, read_cell(path).baseline),
        predictions=Predictions(file=PREDICTIONS, sha256=sha256(path.with_name(PREDICTIONS))),
        doubts=said,
    )
    faults = check(path).faults
    assert any("leaves out a doubt: the defended model predicts one class" in f for f in faults)
    assert ("nothing gives rise to its doubt: all is well" in faults) == bool(said)


def test_predictions_of_classes_that_there_are_not_are_found_out(path: Path) -> None:
    given = safetensors.torch.load_file(path.with_name(PREDICTIONS))
    given["clean"][0] = 4711
    path.with_name(PREDICTIONS).write_bytes(safetensors.torch.save(given))
    rewrite(
        path, predictions=Predictions(file=PREDICTIONS, sha256=sha256(path.with_name(PREDICTIONS)))
    )
    assert "name other classes than the 10 of the data set" in check(path).faults[0]


def test_a_missing_data_set_leaves_a_cell_as_stated(path: Path, tmp_path: Path) -> None:
    dataset = provided("imagefolder", provider="benchbd")
    params = create("dataset", "imagefolder", {"path": str(tmp_path / "nowhere")})
    about = read_cell(path).cell
    absent = dataset.model_copy(
        update={
            "params": params.params,
            "aside": params.aside,
            "results_version": params.results_version,
        }
    )
    rewrite(path, cell=about.model_copy(update={"dataset": absent}))
    found = check(path)
    assert (found.faults, found.level) == ((), "as stated")
    assert "nowhere" in found.obstacle


def with_dataset(path: Path, name: str, params: dict[str, Any]) -> Path:
    """The cell as if it were of that data set with these parameters beside its defaults."""
    plugin = create("dataset", name)
    record = PluginRecord.of(plugin)
    about = read_cell(path).cell
    record = record.model_copy(update={"params": record.params | params})
    return rewrite(path, cell=about.model_copy(update={"dataset": record}))


def test_a_result_does_not_choose_the_folder_that_is_read(path: Path, tmp_path: Path) -> None:
    """A folder of pictures that is there: without a word of who verifies it is not looked at."""
    pictures = tmp_path / "pictures"
    for number in range(10):
        for place in range(5):
            file = pictures / f"class{number}" / f"{place}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(file)
    with_dataset(path, "imagefolder", {"path": str(pictures)})
    found = check(path)
    assert (found.faults, found.level) == ((), "as stated")
    assert "`--at dataset.path=PATH`" in found.obstacle
    with pytest.raises(NotRead, match="a result must not choose what is read"):
        reproduce(path, tmp_path / "again")
    (allowed,) = verify([path], {"dataset.path": pictures})
    assert "clean and triggered images, the data set gives (10, 9)" in allowed.faults[0]


def test_a_result_neither_fetches_data_nor_says_where_they_lie(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a data set puts aside is not taken from a result: the standard folder is looked at."""
    monkeypatch.setenv("BENCHBD_DATA", str(tmp_path / "standard"))
    with_dataset(path, "cifar10", {"path": str(tmp_path / "elsewhere"), "download": True})
    found = check(path)
    assert (found.faults, found.level) == ((), "as stated")
    assert "standard" in found.obstacle and "elsewhere" not in found.obstacle
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_an_attack_names_is_read_where_the_verifier_says(
    path: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "trigger.png"
    Image.new("RGB", (8, 8)).save(picture)
    record = PluginRecord.of(create("attack", "blended", {"image": str(picture)}))
    elsewhere = record.model_copy(update={"params": record.params | {"image": "/nowhere.png"}})
    with pytest.raises(NotRead, match=r"`--at attack\.image=PATH`"):
        registered(Attack, elsewhere)
    assert registered(Attack, elsewhere, {"attack.image": picture}).params["image"] == str(picture)
    Image.new("RGB", (8, 8), "red").save(picture)
    with pytest.raises(RecordError, match="another one here"):
        registered(Attack, elsewhere, {"attack.image": picture})


@pytest.mark.slow
def test_a_sample_of_a_store_is_run_again_and_noted(results: Path, tmp_path: Path) -> None:
    words = ("--results", "results", "--device", "cpu", "--note", "trust.json")
    ended = benchbd("reproduce", "--sample", "2", "--seed", "1", *words, cwd=tmp_path)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "2 of 2 reproduced")
    levels = {key: note.level for key, note in read_ledger(tmp_path / "trust.json").items()}
    assert levels == {each.key: "reproduced by another" for each in ResultStore(results)}


def test_what_is_no_result_is_a_fault_and_what_is_nowhere_an_error(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"a": NaN}')
    assert "is not the result of a cell" in check(other).faults[0]
    with pytest.raises(RecordError, match="no file or folder"):
        verify([tmp_path / "nowhere"])


def test_not_a_number_is_not_believed(path: Path) -> None:
    path.write_text(path.read_text().replace('"notes": {}', '"notes": {"loss": NaN}'))
    assert len(check(path).faults) == 1
