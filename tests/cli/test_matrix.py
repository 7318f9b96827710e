"""`benchbd matrix`, `plan` and `status`: options, exit codes, what is printed; stages run in this
very process.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

import benchbd
from benchbd.cli.main import benchbd as command_line
from benchbd.cli.matrix_view import LiveView, print_plan
from benchbd.errors import ConfigError
from benchbd.executing import executor as executors
from benchbd.executing.executor import Limits
from benchbd.executing.scheduler import Tally
from benchbd.matrices.matrix import Matrix, MatrixProgress
from benchbd.plugin.entry import PluginEntry
from benchbd.plugin.registry import forget
from benchbd.record.cells import ResultStore
from benchbd.running.protocol import load_protocol

PLUGINS = Path(__file__).parents[1] / "support" / "misbehaving"

PROTOCOL = {
    "name": "tiny",
    "about": "the least that can be run",
    "dataset": {"name": "digits", "params": {"size": 8}},
    "model": {"name": "resnet_small", "params": {"width": 4}},
    "recipe": {"epochs": 1, "precision": "fp32"},
    "threads": 1,
    "seeds": [0, 1],
    "attacks": ["badnet", "own_training"],
    "defenses": ["none", "moody", "retrains"],
}
SEED_0 = ["--seed", "0", "--attack", "badnet", "--defense", "none", "--defense", "moody"]

Run = Callable[..., Result]


@pytest.fixture(scope="module", autouse=True)
def _plugins() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PLUGINS)
        forget()
        yield
    forget()


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the protocol and what `SEED_0` and one refusal have left there. Not to be
    changed.
    """
    folder = tmp_path_factory.mktemp("matrix")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert _of_the_protocol()("matrix", *SEED_0).exit_code == 0
    return folder


@pytest.fixture
def run(attacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Calls the command line in a copy of that folder."""
    shutil.copytree(attacked, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return _of_the_protocol()


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Calls the command line in a folder with the protocol alone."""
    monkeypatch.chdir(tmp_path)
    return _of_the_protocol()


def _of_the_protocol() -> Run:
    """The command line about the protocol, which is written to the current folder."""
    Path("tiny.yaml").write_text(yaml.safe_dump(PROTOCOL))

    def invoked(command: str, *words: str) -> Result:
        return CliRunner().invoke(
            command_line,
            [command, "tiny.yaml", *(["--executor", "inprocess"] * (command == "matrix")), *words],
        )

    return invoked


def _plan(result: Result) -> list[dict[str, Any]]:
    return json.loads(result.stdout)["cells"]


@pytest.mark.slow
def test_the_plan_says_what_is_there_and_what_is_not(run: Run) -> None:
    text = run("plan").stdout
    assert "2 cells stored already, from 20" in text
    assert "8 cells to run" in text and "2 cells do not apply" in text
    assert "2 x own_training controls training itself" in text
    assert "4 attacked models: 1 stored already, 3 to train" in text
    assert "of work, judging by stored results" in text
    assert (
        "4 x attack own_training" not in text
        and "2 x attack own_training: its card names no cost" in text
    )
    assert "2 x defense retrains: its card names no cost" in text and "defense moody" not in text, (
        "which has been timed"
    )
    cells = _plan(run("plan", "--json"))
    assert Counter(cell["state"] for cell in cells) == {"reused": 2, "missing": 8, "excluded": 2}
    assert _plan(run("matrix", "--dry-run", "--json")) == cells
    assert not list(Path().glob("leaderboard/results/tiny/own_training/*"))


@pytest.mark.slow
def test_what_nobody_has_timed_is_judged_by_its_card(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = {"cost": "M", "trains": ["surrogate"]}
    monkeypatch.setattr(
        "benchbd.cli.matrix_view.find", lambda kind, name: PluginEntry(kind, name, "", "", "", card)
    )
    text = run("plan").stdout
    assert "4 stages of which nothing is stored yet" in text
    assert "2 x attack own_training: cost M, a twentieth to half of a training" in text
    assert "; trains first: surrogate" in text
    plan = json.loads(run("plan", "--json").stdout)
    assert (
        plan["unknown"] == {"attack own_training": 2, "defense retrains": 2} and plan["seconds"] > 0
    )


@pytest.mark.slow
def test_the_live_view_counts_and_foretells(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBD_TEST_MOOD", "bad")
    lines = run(
        "matrix", "--attack", "badnet", "--defense", "none", "--defense", "moody", "--rerun", "ok"
    ).stderr.splitlines()
    assert [line.split(" cells")[0] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    assert all(" left" in line for line in lines) and "2 failed" in lines[-1]


def test_the_live_view_names_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveView() as view:
        view.update(
            MatrixProgress(
                total=9,
                reused=2,
                ended=Counter(ok=3, failed=1),
                tally=Tally(waiting=1, running=("a, b", "c, d")),
            )
        )
    assert re.fullmatch(
        r"6/9 cells, 1 failed \d+ s left  2 running: a, b; c, d\n", capsys.readouterr().err
    )


@pytest.mark.slow
def test_the_summary_is_in_the_order_of_the_board(run: Run) -> None:
    told = run("matrix", "--attack", "badnet", "--defense", "none", *SEED_0).stdout
    (cell,) = [
        cell
        for cell in ResultStore(Path("leaderboard/results"))
        if cell.cell.defense.name == "none"
    ]
    assert cell.metrics is not None and cell.metrics.asr is not None
    assert (
        told.startswith("ASR / ACC %")
        and f"{100 * cell.metrics.asr:.1f} / {100 * cell.metrics.acc:.1f}" in told
    )


@pytest.mark.slow
def test_a_summary_of_many_attacks_is_cut_into_tables_that_fit(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heads() -> list[list[str]]:
        told = run("matrix", "--defense", "none", "--seed", "0").stdout
        assert "…" not in told
        return [re.findall(r"\w+", line) for line in told.splitlines() if "defense" in line]

    assert heads() == [["defense", "badnet", "own_training"]]
    monkeypatch.setattr("rich.console.Console.width", 30)
    assert heads() == [["defense", "badnet"], ["defense", "own_training"]]


@pytest.mark.slow
def test_the_order_of_words_changes_nothing(run: Run) -> None:
    words = [
        ("--seed", "0"),
        ("--attack", "badnet"),
        ("--attack", "own_training"),
        ("--defense", "none"),
        ("--defense", "moody"),
    ]
    plans = [
        _plan(run("plan", "--json", *[w for pair in order for w in pair]))
        for order in (words, words[::-1])
    ]
    assert plans[0] == plans[1] and len(plans[0]) == 4


@pytest.mark.slow
def test_json_is_the_cells_and_nothing_else(run: Run) -> None:
    result = run("matrix", "--json", *SEED_0)
    cells = json.loads(result.stdout)["cells"]
    assert result.exit_code == 0
    assert [
        (c["cell"]["attack"]["name"], c["cell"]["defense"]["name"], c["status"]["code"])
        for c in cells
    ] == [
        ("badnet", "none", "ok"),
        ("badnet", "moody", "ok"),
    ]


@pytest.mark.slow
def test_rerun_does_again_what_ended_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout and a source that has changed are written by hand; the failure is a real one."""
    store = ResultStore(Path("leaderboard/results"))
    names = {
        cell["result"].split("/")[2]: cell["result"]
        for cell in _plan(run("plan", "--json", *SEED_0))
    }
    plain, moody = store.read(names["none"]), store.read(names["moody"])
    assert plain and moody
    late = plain.status.model_copy(update={"code": "timeout", "reason": "too late"})
    store.write(names["none"], plain.model_copy(update={"status": late}))
    old = moody.provenance | {"sources": moody.provenance["sources"] | {"defense.moody": "0" * 64}}
    store.write(names["moody"], moody.model_copy(update={"provenance": old}))

    def states(*words: str) -> dict[str, str]:
        return {
            cell["result"].split("/")[2]: cell["state"]
            for cell in _plan(run("plan", "--json", *SEED_0, *words))
        }

    assert states() == {"none": "reused", "moody": "stale"}
    assert states("--rerun", "failed") == states()
    assert states("--rerun", "timeout") == {"none": "again", "moody": "stale"}
    assert states("--rerun", "timeout,stale") == {"none": "again", "moody": "again"}
    assert "made with another source of defense.moody" in run("plan", *SEED_0).stdout

    monkeypatch.setenv("BENCHBD_TEST_MOOD", "bad")
    failed = run("matrix", *SEED_0, "--rerun", "timeout,stale")
    assert failed.exit_code == 1 and "failed: badnet, moody, seed 0: not today" in failed.stdout
    assert states() == {"none": "reused", "moody": "reused"}
    monkeypatch.delenv("BENCHBD_TEST_MOOD")
    assert "does it again" not in failed.stdout, "it was done just now"
    again = run("matrix", *SEED_0)
    assert again.exit_code == 1, "a failure is stored like a result"
    assert "\n1 stored cell ended failed; --rerun failed does it again\n" in again.stdout
    assert run("matrix", *SEED_0, "--rerun", "failed").exit_code == 0
    mended = store.read(names["none"])
    assert mended and mended.metrics == plain.metrics and mended.status.code == "ok"


@pytest.mark.slow
def test_what_is_made_again_lies_there_until_it_is_replaced(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interruption of --rerun costs none of the results that it has not come to."""
    store = ResultStore(Path("leaderboard/results"))
    before = {cell.key: cell.digest for cell in store}

    def interrupted(self: Any, spec: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("benchbd_zoo.executor.inprocess._Session.start", interrupted)
        run("matrix", *SEED_0, "--rerun", "ok")
    assert {cell.key: cell.digest for cell in store} == before
    assert run("matrix", *SEED_0, "--rerun", "ok").exit_code == 0
    assert before.keys() == {cell.key for cell in store} and not set(before.values()) & {
        cell.digest for cell in store
    }


@pytest.mark.slow
def test_a_stale_attack_is_said_to_be_one_and_made_again(run: Run) -> None:
    (manifest,) = Path("record").glob("badnet-*/manifest.json")
    content = json.loads(manifest.read_text())
    content["provenance"]["sources"]["attack.badnet"] = "0" * 64
    manifest.write_text(json.dumps(content))
    for cell in ResultStore(Path("leaderboard/results")):
        sources = cell.provenance["sources"] | {"attack.badnet": "0" * 64}
        (path,) = Path("leaderboard/results").rglob(f"*{cell.key[:12]}.json")
        path.write_text(
            json.dumps(
                cell.model_copy(update={"provenance": cell.provenance | {"sources": sources}})
                .sealed()
                .to_json()
            )
        )
    told = run("plan", *SEED_0, "--defense", "retrains").stdout
    assert (
        "made with another source of attack.badnet; used as it is; --rerun stale makes it again"
        in " ".join(told.split())
    )
    assert (
        "1 attacked models: 0 stored already, 1 to train"
        in run("plan", *SEED_0, "--rerun", "stale").stdout
    )
    assert run("matrix", *SEED_0, "--rerun", "stale").exit_code == 0
    assert json.loads(manifest.read_text())["provenance"]["sources"]["attack.badnet"] != "0" * 64
    assert {cell["state"] for cell in _plan(run("plan", "--json", *SEED_0))} == {"reused"}


@pytest.mark.slow
def test_numbers_that_are_stored_outlive_a_stage_that_fails_after(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: Any) -> None:
        raise RuntimeError("no picture today")

    monkeypatch.setattr("benchbd.executing.stage.DefenseSpec._keep_images", failing)
    done = run("matrix", *SEED_0, "--rerun", "ok")
    assert done.exit_code == 0 and {
        cell.status.code for cell in ResultStore(Path("leaderboard/results"))
    } == {"ok"}


@pytest.mark.slow
def test_what_cannot_be_believed_is_named_before_it_is_made_again(run: Run) -> None:
    (edited,) = Path().glob("leaderboard/results/tiny/badnet/none/*.json")
    edited.write_text(edited.read_text().replace('"seed": 0', '"seed": 0 '))
    edited.write_text(json.dumps(json.loads(edited.read_text()) | {"protocol": "mine"}))
    told = " ".join(run("matrix", *SEED_0).stderr.split())
    assert f"1 x broken: {edited} was changed after it was written" in told
    assert {cell["state"] for cell in _plan(run("plan", "--json", *SEED_0))} == {"reused"}


@pytest.mark.slow
def test_methods_that_differ_in_a_parameter_have_rows_of_their_own(run: Run) -> None:
    two = [{"name": "clp", "params": {"u": u}} for u in (2.0, 5.0)]
    Path("two.yaml").write_text(
        yaml.safe_dump(
            PROTOCOL | {"name": "two", "attacks": ["badnet"], "defenses": two, "seeds": [0]}
        )
    )
    told = (
        CliRunner().invoke(command_line, ["matrix", "two.yaml", "--executor", "inprocess"]).stdout
    )
    assert re.findall(r"clp \(u=([\d.]+)\)", told) == ["2.0", "5.0"]


@pytest.mark.slow
def test_fail_fast_starts_nothing_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBD_TEST_MOOD", "bad")
    words = ["--attack", "badnet", "--defense", "moody", "--seed", "0", "--seed", "1"]
    result = run("matrix", "--rerun", "ok", "--fail-fast", *words)
    assert result.exit_code == 1
    assert [cell["state"] for cell in _plan(run("plan", "--json", *words))] == ["reused", "missing"]


@pytest.mark.slow
def test_limits_reach_the_executor(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, str], Limits]] = []
    real = executors.open_executor
    monkeypatch.setattr(
        executors,
        "open_executor",
        lambda *given: asked.append(given) or real("inprocess", {}, Limits()),
    )
    words = [
        "--time-limit",
        "7",
        "--memory-limit",
        "0.5",
        "--workers",
        "3",
        "--reuse-worker",
        "--set",
        "executor.grace=1",
    ]
    assert run("matrix", *SEED_0, *words).exit_code == 0
    settings = {"executor.workers": "3", "executor.reuse": "true", "executor.grace": "1"}
    assert asked == [
        ("inprocess", settings, Limits(seconds=7.0, memory=2**29, threads=1, device="auto"))
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--attack", "badnets"], r"no attack named 'badnets'; did you mean 'badnet'\?"),
        (["--defense", "no"], "no defense named 'no'"),
        (["--seed", "7"], "tiny has no seed 7; it has 0, 1"),
        (["--rerun", "failed,late"], "expected some of failed, .*got late"),
        (["--set", "defense.ratio=1"], "expected executor.PARAM=VALUE, got 'defense.ratio'"),
        (["--set", "executor.speed=1"], "inprocess has no parameter 'speed'"),
        (["--set", "executor.worker=1"], "did you mean 'workers'"),
    ],
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "plan"])
def test_slips_on_the_command_line_are_named(
    fresh: Run, words: list[str], message: str, dry: tuple[str, ...]
) -> None:
    error = fresh("matrix", *words, *dry).exception
    assert isinstance(error, ConfigError)
    with pytest.raises(ConfigError, match=message):
        raise error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--time-limit", "0"], "0.0 is not in the range x>0"),
        (["--memory-limit", "-1"], "-1.0 is not in the range x>0"),
        (["--seed", "-1"], "-1 is not in the range 0<=x<=4294967295"),
        (["--set", "executor.gpus"], "expected KIND.PARAM=VALUE, got 'executor.gpus'"),
        (
            ["--set", "executor.gpus=0", "--set", "executor.gpus=1"],
            "executor.gpus is given twice, as 0 and as 1",
        ),
    ],
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "plan"])
def test_options_that_mean_nothing_are_refused(
    fresh: Run, words: list[str], message: str, dry: tuple[str, ...]
) -> None:
    refused = fresh("matrix", *words, *dry)
    assert (refused.exit_code, message in refused.stderr) == (2, True)


@pytest.mark.slow
def test_status_counts_and_names_what_failed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBD_TEST_MOOD", "bad")
    run("matrix", *SEED_0, "--rerun", "ok")
    (damaged,) = Path().glob("leaderboard/results/tiny/badnet/none/*.json")
    damaged.write_text("{")
    runner = CliRunner()
    assert json.loads(runner.invoke(command_line, ["status", "--json"]).stdout) == {
        "tiny": {"failed": 1, "unreadable": 1}
    }
    text = runner.invoke(command_line, ["status", "tiny"]).stdout
    assert "tiny: 1 failed, 1 unreadable" in text and "not today" in text
    text = runner.invoke(command_line, ["status", "tiny.yaml"]).stdout
    assert "tiny: 2 of 12 cells (1 failed, 1 unreadable), 10 missing" in text


@pytest.mark.slow
def test_a_damaged_attack_result_is_in_the_plan(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (attacked,) = Path().glob("record/badnet-*/attack_result.pt")
    attacked.write_bytes(attacked.read_bytes()[:1000])
    print_plan(Matrix(load_protocol("tiny.yaml"), rerun=frozenset({"ok"})))
    text = " ".join(capsys.readouterr().out.split())
    assert f"broken: {attacked.parent} is not what its manifest says; to train again" in text


@pytest.mark.slow
def test_the_same_from_python(run: Run) -> None:
    table = benchbd.matrix(
        "tiny.yaml", seeds=[0], attacks=["badnet", "own_training"], executor="inprocess"
    )
    codes = {(row.attack, row.defense): row.status for row in table.itertuples()}
    assert codes == {
        ("badnet", "none"): "ok",
        ("badnet", "moody"): "ok",
        ("badnet", "retrains"): "ok",
        ("own_training", "none"): "ok",
        ("own_training", "moody"): "ok",
        ("own_training", "retrains"): "n/a",
    }
    measured = table[table.status == "ok"]
    assert ((measured.asr + measured.rc) <= 1).all() and measured.acc.between(0, 1).all()
    assert (
        measured[measured.defense == "none"].acc
        == measured[measured.defense == "none"].baseline_acc
    ).all()
    loaded = benchbd.load_results()
    assert sorted(loaded.key) == sorted(table.key)
    assert loaded.set_index("key").loc[table.key].acc.tolist() == pytest.approx(
        table.acc.tolist(), nan_ok=True
    )
