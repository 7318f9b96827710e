"""`benchbd.run`: from names to measured cells, on digits of 8x8 pixels and a network of four
channels.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import benchbd
from benchbd.api import Repair
from benchbd.engine.inference import predict
from benchbd.errors import ConfigError, DataError, Diverged, PluginNotFound, RecordError
from benchbd.plugin.hooks import Observers
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd.record.claim import Busy
from benchbd.record.stored_seconds import StoredSeconds
from benchbd.running import attacking
from benchbd.running.attack_job import AttackJob
from benchbd.running.options import RunOptions
from benchbd.running.preparing import prepare
from benchbd.running.run import announce, execute

TINY = {
    "recipe.epochs": 2,
    "recipe.precision": "fp32",
    "model.width": 4,
    "dataset.size": 8,
    "attack.size": 2,
}
ANP = TINY | {"defense.nb_iter": 3, "defense.pruning_step": 0.3}
FT = TINY | {"defense.epochs": 1}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_long_work_is_announced_and_short_or_unknown_work_is_not() -> None:
    said: list[tuple[str, bool]] = []

    def say(line: str, always: bool = False) -> None:
        said.append((line, always))

    for known in (None, StoredSeconds(29.9, 4), StoredSeconds(90, 1), StoredSeconds(7200, 3)):
        announce("slow", known, say)
    assert said == [
        ("slow: about 2 min, judging by 1 stored result", True),
        ("slow: about 2.0 h, judging by 3 stored results", True),
    ]


@pytest.mark.slow
def test_a_run_is_announced_from_what_the_same_work_took_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchbd.running.run.LONG_SECONDS", 0.0)
    said: list[str] = []

    def say(line: str, always: bool = False) -> None:
        said.extend([line] if always else [])

    for seed in (0, 1):
        options = RunOptions(attack="badnet", defense="clp", seed=seed, settings=TINY)
        execute(prepare(options), Observers(), say)
    assert [line.partition(":")[0] for line in said] == ["badnet", "clp"]
    assert all(line.endswith(", judging by 1 stored result") for line in said)


@pytest.mark.slow
def test_the_whole_story_leaves_what_it_promises() -> None:
    run = benchbd.run("badnet", ["none", "ft", "anp"], settings=FT | ANP, name="story")
    assert not run.reused
    assert [cell.status.code for cell in run.cells] == ["ok", "ok", "ok"]
    untouched = run.cells[0]
    assert untouched.metrics is not None and untouched.baseline is not None
    assert (untouched.metrics.acc, untouched.metrics.asr) == (
        untouched.baseline.acc,
        untouched.baseline.asr,
    )
    assert untouched.metrics.der == 0.5
    folder = Path("record/story")
    for name in (
        "attack_result.pt",
        "images.png",
        "defense/anp/defense_result.pt",
        "defense/anp/curve.png",
        "defense/anp/curve.csv",
    ):
        assert (folder / name).is_file(), name
    stored = json.loads((folder / "defense/anp/cell.json").read_text())
    anp = run.cells[2]
    assert stored["metrics"] == anp.to_json()["metrics"]
    assert [point["value"] for point in stored["curves"][0]["points"]] == [0.0, 0.3, 0.6, 0.9]
    rows = (folder / "defense/anp/curve.csv").read_text().splitlines()
    assert rows[0] == "value,units,acc,asr,rc,validation_acc" and len(rows) == 5


@pytest.mark.slow
def test_the_reported_and_the_stored_model_are_one() -> None:
    run = benchbd.run("badnet", "anp", settings=ANP, name="one")
    attack = load_attack_result("one")
    content = torch.load("record/one/defense/anp/defense_result.pt", weights_only=True)
    attack.model.load_state_dict(content["model"])
    hits = int(
        (predict(attack.model, attack.test.images, precision="fp32") == attack.test.labels).sum()
    )
    assert run.cells[0].counts is not None and hits == run.cells[0].counts.clean_hits


@pytest.mark.slow
def test_same_seed_same_predictions_another_seed_others() -> None:
    first = benchbd.run("badnet", "anp", settings=ANP, name="first")
    again = benchbd.run("badnet", "anp", settings=ANP, name="again")
    other = benchbd.run("badnet", "anp", settings=ANP, name="other", seed=1)
    assert torch.equal(first.attack.clean_predictions, again.attack.clean_predictions)
    for file in ("first", "again", "other"):
        assert Path(f"record/{file}/defense/anp/predictions.safetensors").is_file()
    bytes_of = {
        f: Path(f"record/{f}/defense/anp/predictions.safetensors").read_bytes()
        for f in ("first", "again", "other")
    }
    assert bytes_of["first"] == bytes_of["again"] != bytes_of["other"]
    assert first.cells[0].key == again.cells[0].key != other.cells[0].key


@pytest.mark.slow
def test_a_stored_attack_result_is_used_again() -> None:
    made = benchbd.run("badnet", "none", settings=TINY, name="kept")
    before = made.attack.path.stat().st_mtime_ns
    assert benchbd.run("badnet", "ft", settings=FT, name="kept").reused
    by_name = benchbd.run(defense="ft", result_file="kept", settings={"defense.epochs": 1})
    assert by_name.reused and by_name.cells[0].status.code == "ok"
    assert made.attack.path.stat().st_mtime_ns == before
    with pytest.raises(RecordError, match="another job"):
        benchbd.run("badnet", "none", settings=TINY, name="kept", seed=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": 0}, "leave out --seed"),
        ({"attack": "badnet"}, "leave out --attack"),
        ({"settings": {"recipe.epochs": 3}}, "leave out --set recipe.epochs"),
        (
            {"model": "resnet9"},
            "made with the model 'resnet_small', not 'resnet9'; leave out --model",
        ),
        ({"model": "timm:resnet18"}, "made with the model 'resnet_small', not 'timm:resnet18'"),
        (
            {"dataset": "cifar10"},
            "made with the dataset 'digits', not 'cifar10'; leave out --dataset",
        ),
    ],
)
def test_a_stored_attack_result_is_what_it_is(arguments: dict[str, object], words: str) -> None:
    benchbd.run("badnet", "none", settings=TINY, name="kept")
    with pytest.raises(ConfigError, match=words):
        benchbd.run(defense="none", result_file="kept", **arguments)  # type: ignore[arg-type]
    same = benchbd.run(defense="none", result_file="kept", model="resnet_small", dataset="digits")
    assert same.cells[0].status.code == "ok"


@pytest.mark.slow
def test_no_result_of_a_defense_takes_the_place_of_another() -> None:
    """The first lies under its name, one of other parameters beside it, and a failure covers no
    numbers.
    """
    first = benchbd.run("badnet", "ft", settings=FT, name="kept")
    other = benchbd.run("badnet", "ft", settings=FT | {"defense.epochs": 2}, name="kept")
    broken = benchbd.run("badnet", "ft", settings=FT | {"defense.index": "nowhere"}, name="kept")
    benchbd.run("badnet", "ft", settings=FT, name="kept")
    assert (other.cells[0].status.code, broken.cells[0].status.code) == ("ok", "failed")
    keys = {
        path.parent.name: json.loads(path.read_text())["key"]
        for path in Path("record/kept/defense").glob("*/cell.json")
    }
    runs = {
        "ft": first,
        f"ft-{other.cells[0].key[:8]}": other,
        f"ft-{broken.cells[0].key[:8]}": broken,
    }
    assert keys == {name: run.cells[0].key for name, run in runs.items()}
    assert not Path(f"record/kept/defense/ft-{broken.cells[0].key[:8]}/defense_result.pt").exists()


@pytest.mark.slow
def test_a_failure_leaves_the_numbers_of_the_same_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    made = benchbd.run("badnet", "ft", settings=FT, name="kept")
    before = {path.name: path.read_bytes() for path in Path("record/kept/defense/ft").iterdir()}
    monkeypatch.setattr("benchbd.defense.repair.require_eval", lambda *_: 1 / 0)
    again = benchbd.run("badnet", "ft", settings=FT, name="kept", rerun="defense")
    assert (again.cells[0].status.code, again.cells[0].key) == ("failed", made.cells[0].key)
    assert {
        path.name: path.read_bytes() for path in Path("record/kept/defense/ft").iterdir()
    } == before


@pytest.mark.slow
def test_of_two_runs_at_once_under_one_name_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second finds the folder claimed while the first trains."""
    train, others = attacking.make, []

    def meanwhile(job: AttackJob, folder: Path, require: Any) -> AttackResult:
        if not others:
            others.append(seed := job.seed + 1)
            with pytest.raises(Busy, match="kept is being worked on by process"):
                benchbd.run("badnet", "none", settings=TINY, name="kept", seed=seed)
        return train(job, folder, require)

    monkeypatch.setattr(attacking, "make", meanwhile)
    run = benchbd.run("badnet", "none", settings=TINY, name="kept")
    assert (others, run.attack.seed, load_attack_result("kept").seed) == ([1], 0, 0)
    assert not Path("record/kept/.claim").exists()


BROKEN = """
from benchbd.api import ConfigError, Repair

class Broken(Repair):
    api = 1

    def repair(self, model, clean, rng):
        raise ConfigError("<b>not today</b>")
"""


@pytest.mark.slow
def test_a_run_shows_itself_as_its_table() -> None:
    Path("broken.py").write_text(BROKEN)
    run = benchbd.run("badnet", ["./broken.py"], settings=TINY, name="kept")
    shown = repr(run)
    assert (
        "badnet on digits, resnet_small, seed 0" in shown
        and "broken: failed: <b>not today</b>" in shown
    )
    assert len(shown) < 2000 and "\x1b" not in shown
    assert "<b>" not in run._repr_html_() and "&lt;b&gt;" in run._repr_html_()
    assert (
        repr(run.attack) == "<AttackResult: badnet on digits, resnet_small, seed 0, in record/kept>"
    )
    assert list(run.frame()["status"]) == ["failed"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"attack": "badnets"}, PluginNotFound, "did you mean 'badnet'"),
        ({"defense": "anpp"}, PluginNotFound, "did you mean 'anp'"),
        ({"settings": {"defense.anp_esp": "0.1"}}, ConfigError, "did you mean 'anp_eps'"),
        ({"settings": {"defence.anp_eps": "0.1"}}, ConfigError, "did you mean 'defense'"),
        ({"settings": {"attack.size": "0"}}, ConfigError, "expected size .* >= 1, got"),
        ({"settings": {"attack.poison_ratio": "0.95"}}, ConfigError, "only .* are eligible"),
        (
            {"settings": {"attack.target": "10"}},
            ConfigError,
            "target to be a class from 0 to 9, got 10",
        ),
        ({"protocol": "digits-quik"}, ConfigError, "did you mean 'digits-quick'"),
        ({"device": "cuda:99"}, ConfigError, "cannot use the device"),
        ({"attack": None}, ConfigError, "name an attack"),
        ({"seed": -1}, ConfigError, "a seed from 0 to 4294967295, got -1"),
        ({"seed": True}, ConfigError, "expected seed .* to be an? .*int.*, got True"),
        ({"seed": "0"}, ConfigError, "a seed from 0 to 4294967295, got '0'"),
        ({"seed": 1.5}, ConfigError, "a seed from 0 to 4294967295, got 1.5"),
        (
            {"defense": Repair},
            ConfigError,
            "expected the name of a plugin, .*save a class in a file",
        ),
        ({"defense": [3]}, ConfigError, "defense: expected the name of a plugin"),
        (
            {"attack": Repair},
            ConfigError,
            "attack: expected the name of a plugin, .*give './mine.py'",
        ),
        ({"attack": []}, ConfigError, "name an attack"),
        ({"name": "mine", "seed": [0, 1]}, ConfigError, "expected one attack and one seed"),
        ({"threads": 0}, ConfigError, "expected threads .* >= 1, got 0"),
        ({"rerun": "all"}, ConfigError, "expected rerun .*attack|defense or none, got"),
        ({"model": 3}, ConfigError, "model: expected one name, .* got 3"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(
    arguments: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        benchbd.run(**({"attack": "badnet", "defense": "anp"} | arguments))  # type: ignore[arg-type]
    assert not list(Path().glob("record/*/attack_result.pt"))


def test_what_fails_before_it_has_written_anything_leaves_no_folder() -> None:
    with pytest.raises(DataError):
        benchbd.run("badnet", "none", dataset="imagefolder", settings={"dataset.path": "nowhere"})
    assert not list(Path().glob("record/*"))


@pytest.mark.slow
def test_a_loss_that_is_no_number_is_told() -> None:
    with pytest.raises(Diverged, match="lower the learning rate"):
        benchbd.run("badnet", "none", settings=TINY | {"recipe.lr": 1e30})


@pytest.mark.slow
def test_a_defense_that_diverges_is_a_cell_that_says_so() -> None:
    run = benchbd.run("badnet", ["ft", "none"], settings=TINY | {"defense.lr": 1e30})
    assert [cell.status.code for cell in run.cells] == ["diverged", "ok"]
    assert run.cells[0].metrics is None and "learning rate" in run.cells[0].status.reason


@pytest.mark.slow
def test_each_attack_at_each_seed_is_an_attack_result_with_all_defenses() -> None:
    attacks = {"badnet": ["none", "ft"], "blended": ["none", "ft"]}
    plain = {name: value for name, value in FT.items() if name != "attack.size"}
    run = benchbd.run(list(attacks), ["none", "ft"], seed=[0, 1], settings=plain)
    rows = run.frame()
    assert list(zip(rows.attack, rows.seed, rows.defense, strict=True)) == [
        (attack, seed, defense)
        for attack, defenses in attacks.items()
        for seed in (0, 1)
        for defense in defenses
    ]
    assert set(rows.status) == {"ok"} and not run.reused
    with pytest.raises(ConfigError, match="this run has 4 attack results, not one"):
        _ = run.attack
    one = benchbd.run("blended", "ft", seed=1, settings=plain)
    assert one.reused and len(one.attacked[0].stored) == 1
    assert (one.cells[0].key, one.cells[0].metrics) == (run.cells[-1].key, run.cells[-1].metrics)
    assert one.attack.key == run.attacked[-1].attack.key


@pytest.mark.slow
def test_what_is_stored_is_computed_again_only_when_it_is_asked_for() -> None:
    """The numbers are those of before; files of what is computed again are new."""
    path = Path("record/kept/defense/none/defense_result.pt")

    def ran(**options: Any) -> tuple[bool, int, int]:
        run = benchbd.run("badnet", "none", settings=TINY, name="kept", **options)
        return run.reused, len(run.attacked[0].stored), path.stat().st_mtime_ns

    first, second = ran(), ran()
    assert (first[:2], second[:2]) == ((False, 0), (True, 1)) and first[2] == second[2]
    defense, attack = ran(rerun="defense"), ran(rerun="attack")
    assert (defense[:2], attack[:2]) == ((True, 0), (False, 0))
    assert first[2] < defense[2] < attack[2]
    assert ran()[:2] == (True, 1)


@pytest.mark.slow
def test_an_attack_that_fails_beside_others_is_rows_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make = attacking.make

    def unlucky(job: AttackJob, folder: Path, require: Any) -> AttackResult:
        if job.attack.name == "sig":
            raise DataError("not today")
        return make(job, folder, require)

    monkeypatch.setattr(attacking, "make", unlucky)
    plain = {name: value for name, value in FT.items() if name != "attack.size"}
    run = benchbd.run(["sig", "blended"], ["none", "ft"], settings=plain)
    assert [(cell.cell.attack.name, cell.status.code) for cell in run.cells] == [
        ("sig", "failed"),
        ("sig", "failed"),
        ("blended", "ok"),
        ("blended", "ok"),
    ]
    assert {(cell.status.stage, cell.status.reason) for cell in run.cells[:2]} == {
        ("attack", "not today")
    }
    assert "ft: failed: not today" in repr(run)
    with pytest.raises(ConfigError, match="this attack failed"):
        _ = run.attacked[0].attack
    with pytest.raises(DataError, match="not today"):
        benchbd.run("sig", "ft", settings=plain)


@pytest.mark.slow
def test_an_attack_result_of_other_sources_is_used_and_said_to_be_one() -> None:
    benchbd.run("badnet", [], settings=TINY, name="kept")
    result = load_attack_result("kept")
    other = result.manifest.provenance | {"sources": {"attack.badnet": "0" * 64}}
    manifest = result.manifest.model_copy(update={"provenance": other})
    dataclasses.replace(result, manifest=manifest).save()
    run = benchbd.run("badnet", [], settings=TINY, name="kept")
    (note,) = run.attacked[0].undefended.notes  # type: ignore[union-attr]
    assert run.reused and "made with another source of attack.badnet; --rerun attack" in note


@pytest.mark.slow
def test_threads_are_those_that_were_given() -> None:
    run = benchbd.run("badnet", "none", settings=TINY, threads=2)
    assert run.attack.manifest.provenance["threads"] == 2
    assert run.cells[0].provenance["threads"] == 2
