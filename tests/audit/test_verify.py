"""Verification of a real small result, of lies about it, and its reproduction."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from benchbd.audit import reproduce as reproducing
from benchbd.audit.reproduce import find_result, reproduce
from benchbd.audit.verify import Verified, verify
from benchbd.defense.defense import Defense
from benchbd.errors import RecordError
from benchbd.measure.shares import Counts, Metrics
from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult
from benchbd.record.cell import Cell, Predictions
from benchbd.record.cells import read_cell
from benchbd.record.files import sha256, write_json
from support.made_cells import make_cell, provided, store

PREDICTIONS = "predictions.safetensors"
Change = Callable[[Cell], Cell]


@pytest.fixture(scope="module")
def honest(stored: AttackResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real cell and its predictions."""
    folder = tmp_path_factory.mktemp("defense")
    create(Defense, "none").defense(stored.path, device="cpu", save_path=folder)
    return folder


@pytest.fixture
def path(honest: Path, tmp_path: Path) -> Path:
    """A copy of the real cell to change."""
    for name in ("cell.json", PREDICTIONS):
        shutil.copy(honest / name, tmp_path / name)
    return tmp_path / "cell.json"


def rewrite(path: Path, **changed: Any) -> Path:
    """The cell with other content, its key and seal made right again."""
    cell = read_cell(path).model_copy(update=changed)
    cell = cell.model_copy(update={"key": cell.cell.key(cell.protocol)}).sealed()
    return write_json(path, cell.to_json())


def check(path: Path) -> Verified:
    (found,) = verify([path])
    return found


def with_defense(path: Path, **changed: Any) -> Path:
    about = read_cell(path).cell
    return rewrite(
        path, cell=about.model_copy(update={"defense": about.defense.model_copy(update=changed)})
    )


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


def test_predictions_of_other_images_are_found_out(path: Path) -> None:
    few = {name: torch.zeros(3, dtype=torch.uint16) for name in ("clean", "triggered")}
    path.with_name(PREDICTIONS).write_bytes(safetensors.torch.save(few))
    rewrite(
        path, predictions=Predictions(file=PREDICTIONS, sha256=sha256(path.with_name(PREDICTIONS)))
    )
    assert "are of (3, 3) clean and triggered images" in check(path).faults[0]


def test_the_name_of_predictions_leads_nowhere_else(path: Path) -> None:
    stolen = Predictions(file=f"../../../{PREDICTIONS}", sha256=sha256(path.with_name(PREDICTIONS)))
    rewrite(path, predictions=stolen)
    assert check(path).level == "recomputed"


def test_a_key_that_is_not_its_own_is_found_out(path: Path) -> None:
    write_json(path, read_cell(path).model_copy(update={"key": "0" * 64}).sealed().to_json())
    assert "is not that of its coordinates" in check(path).faults[0]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"provider": "nobody"}, "is provided by 'nobody', which is not installed here"),
        ({"name": "no_such_defense"}, "which is not installed here"),
        ({"results_version": 99}, "is another one here"),
        ({"params": {"colour": "red"}}, "cannot be built here"),
    ],
)
def test_plugins_must_be_known_as_they_are_named(
    path: Path, changed: dict[str, Any], words: str
) -> None:
    assert words in check(with_defense(path, **changed)).faults[0]


def test_a_parameter_put_aside_that_is_not_is_found_out(path: Path) -> None:
    about = read_cell(path).cell
    attack = about.attack.model_copy(update={"aside": ("poison_ratio",)})
    rewrite(path, cell=about.model_copy(update={"attack": attack}))
    assert "its attack is another one here" in check(path).faults[0]


def test_a_result_does_not_run_the_file_that_it_names(path: Path) -> None:
    planted = path.with_name("evil.py")
    planted.write_text(f"open({str(path.with_name('ran'))!r}, 'w')")
    found = check(with_defense(path, name=str(planted), provider="local file"))
    assert "came from a local file" in found.faults[0]
    with pytest.raises(
        RecordError, match=r"once the plugin is packaged; docs/package_and_publish\.md says how"
    ):
        reproduce(path, path.parent / "again")
    assert not path.with_name("ran").exists()


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


def test_cells_of_one_attacked_model_must_agree_on_it(tmp_path: Path) -> None:
    other = Metrics(acc=0.5, asr=1.0, rc=0.0)
    folder = store(
        [make_cell(defense="x"), make_cell(defense="y", baseline=other), make_cell(defense="z")],
        tmp_path,
    )
    disagreeing = [
        any("its baseline is not the one" in fault for fault in each.faults)
        for each in verify([folder])
    ]
    assert disagreeing == [False, True, False]


def test_a_missing_data_set_leaves_a_cell_self_reported(path: Path, tmp_path: Path) -> None:
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
    assert (found.faults, found.level) == ((), "self-reported")
    assert "nowhere" in found.obstacle


def test_what_is_no_result_is_a_fault_and_what_is_nowhere_an_error(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"a": NaN}')
    assert "is not the result of a cell" in check(other).faults[0]
    with pytest.raises(RecordError, match="no file or folder"):
        verify([tmp_path / "nowhere"])


def test_not_a_number_is_not_believed(path: Path) -> None:
    path.write_text(path.read_text().replace('"notes": {}', '"notes": {"loss": NaN}'))
    assert len(check(path).faults) == 1


def test_a_cell_made_again_is_the_same_to_the_last_prediction(path: Path, tmp_path: Path) -> None:
    found = reproduce(path, tmp_path / "again", "cpu")
    assert (found.differing_clean, found.differing_triggered, found.difference()) == (0, 0, 0.0)
    assert found.note().level == "reproduced"


@pytest.mark.parametrize(
    ("noted", "used"),
    [(3, 3), (None, 1), (10**9, 1), ("2", 1)],
    ids=["noted", "not noted", "absurd", "text"],
)
def test_a_cell_is_made_again_with_as_many_threads(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: Any, used: int
) -> None:
    """What does not say, or says nonsense, is made with those of its protocol."""
    provenance = read_cell(path).provenance
    assert provenance["threads"] == torch.get_num_threads()
    rewrite(path, protocol="digits-quick@2", provenance=provenance | {"threads": noted})
    asked = []

    def watched(count: int | None) -> AbstractContextManager[None]:
        asked.append(count)
        return nullcontext()

    monkeypatch.setattr(reproducing, "use_threads", watched)
    reproduce(path, tmp_path / "again", "cpu")
    assert asked == [used]


def test_a_failure_cannot_be_reproduced(tmp_path: Path) -> None:
    folder = store([make_cell(code="failed", reason="boom")], tmp_path / "results")
    with pytest.raises(RecordError, match="ended failed"):
        reproduce(next(folder.rglob("*.json")), tmp_path / "again")


def test_results_are_found_by_the_first_digits_of_their_key(tmp_path: Path) -> None:
    cell = make_cell()
    path = write_json(tmp_path / "trial" / f"0-{cell.key[:12]}.json", cell.to_json())
    write_json(tmp_path / "trial" / "0-ffffffffffff.json", make_cell(seed=1).to_json())
    for name in (cell.key, cell.key[:12], cell.key[:7], str(path)):
        assert find_result(name, tmp_path) == path
    with pytest.raises(RecordError, match="no result has a key"):
        find_result("0123456789", tmp_path)
    with pytest.raises(RecordError, match="at least 6 digits"):
        find_result(cell.key[:3], tmp_path)
