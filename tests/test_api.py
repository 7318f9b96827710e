"""The functions of `import benchbd`: what they refuse, and what their tables tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import benchbd
import benchbd.api.executors
from benchbd.errors import ConfigError, RecordError
from benchbd.executing import executor as executors
from benchbd.executing.executor import Limits
from benchbd.matrices.matrix import Matrix
from support.made_cells import make_cell, provided, store

PROTOCOL = {
    "name": "tiny",
    "dataset": {"name": "digits", "params": {"size": 8}},
    "model": "resnet_small",
    "time_limit": 60,
    "threads": 1,
    "seeds": [0, 1],
    "attacks": ["badnet"],
    "defenses": ["none"],
}


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(yaml.safe_dump(PROTOCOL))
    return "tiny.yaml"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rerun": ["foo"]}, "rerun: expected some of failed, .*, stale, got foo"),
        ({"rerun": "late"}, "expected some of failed, .* got late"),
        ({"rerun": 3}, "rerun: expected words, separated by commas or in a list, got 3"),
        ({"attacks": "badnets"}, "did you mean 'badnet'"),
        (
            {"defenses": [int]},
            "defenses: expected the name of a plugin, .*got .<class 'int'>.*'./mine.py'",
        ),
        ({"seeds": 7}, "tiny has no seed 7; it has 0, 1"),
        ({"seeds": "0"}, "seeds: expected a seed from 0 to 4294967295, got '0'"),
        ({"seeds": True}, "expected seeds .* to be a list of int, got True"),
        ({"seeds": None}, "seeds: expected a seed from 0 to 4294967295, got None"),
        ({"workers": 0}, r"workers \(stages at a time.* >= 1, got 0"),
        ({"time_limit": 0}, r"expected time_limit \(seconds .* to be a float or none > 0, got 0"),
        (
            {"memory_limit": "8"},
            r'expected memory_limit \(GiB .* to be a float or none > 0, got "8"',
        ),
        ({"memory_limit": float("inf")}, "memory_limit .*got Infinity"),
        ({"settings": {"executor.gpu": 0}}, "did you mean 'gpus'"),
        ({"settings": {"defense.epochs": 1}}, "expected executor.PARAM=VALUE, got 'defense.epoch"),
        (
            {"workers": 2, "settings": {"executor.workers": 3}},
            "executor.workers is given twice",
        ),
    ],
)
def test_slips_in_what_a_matrix_is_told_are_named(
    tiny: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        benchbd.matrix(tiny, **given)
    assert not Path("record").exists()


def test_one_stands_for_a_list_of_one_and_limits_arrive(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []
    real = executors.open_executor
    monkeypatch.setattr(
        executors,
        "open_executor",
        lambda *given: asked.append(given) or real("inprocess", {}, Limits()),
    )
    monkeypatch.setattr(
        Matrix, "run", lambda self, session, fail_fast: asked.append((self.selection, self.rerun))
    )
    told: dict[str, Any] = {
        "workers": 2,
        "reuse_worker": True,
        "settings": {"executor.gpus": 0},
        "memory_limit": 0.5,
    }
    assert benchbd.matrix(
        tiny, attacks="badnet", defenses="none", seeds=0, rerun="failed", **told
    ).empty
    (name, settings, limits), (selection, rerun) = asked
    spelt = {"executor.gpus": "0", "executor.workers": "2", "executor.reuse": "true"}
    assert (name, settings) == ("local", spelt)
    assert limits == Limits(seconds=60.0, memory=2**29, threads=1, device="auto")
    assert (selection.attacks, selection.defenses, selection.seeds, rerun) == (
        ("badnet",),
        ("none",),
        (0,),
        {"failed"},
    )


def test_stored_results_tell_variants_apart(tmp_path: Path) -> None:
    cells = [make_cell(defense=provided("mend", epochs=epochs, lr=0.1)) for epochs in (1, 2, 3)]
    found = benchbd.load_results(store(cells, tmp_path))
    table = found.sort_values("defense_label", ignore_index=True)
    assert list(table.defense) == ["mend"] * 3
    labels = dict(zip(table.defense_label, table.defense_params, strict=True))
    assert labels == {
        f"mend (epochs={epochs})": f'{{"epochs":{epochs},"lr":0.1}}' for epochs in (1, 2, 3)
    }
    assert list(table.attack_label) == ["patch"] * 3


def test_a_folder_without_results_is_an_empty_table_and_no_folder_is_an_error(
    tmp_path: Path,
) -> None:
    empty = benchbd.load_results(tmp_path)
    assert empty.empty and {"asr", "defense_label", "recipe"} <= set(empty.columns)
    with pytest.raises(RecordError, match=r"no folder of results at nosuch; .* fills one"):
        benchbd.load_results("nosuch")


def test_a_name_of_the_door_for_executors_is_still_found_in_the_one_for_methods() -> None:
    with pytest.warns(DeprecationWarning, match=r"import it from benchbd\.api\.executors"):
        from benchbd.api import run_stage  # type: ignore[attr-defined]
    assert run_stage is benchbd.api.executors.run_stage


def test_other_names_are_no_part_of_the_door() -> None:
    with pytest.raises(ImportError, match="cannot import name 'run_stages'"):
        from benchbd.api import run_stages  # type: ignore[attr-defined]  # noqa: F401
