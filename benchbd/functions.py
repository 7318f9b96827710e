"""The functions of the package: the commands of benchbd, and readers of what they store.

Defaults and meanings of `run` and `matrix` come from the declarations that the command line reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchbd.arguments import document_options
from benchbd.matrices.options import MatrixOptions
from benchbd.record.cells import RESULTS_FOLDER
from benchbd.running.options import AnalyzeOptions, RunOptions

if TYPE_CHECKING:
    from pandas import DataFrame

    from benchbd.engine.classifier import Classifier
    from benchbd.running.analyzing import Analyzed
    from benchbd.running.run import Run

RUN_DEFAULTS = RunOptions()
"""The options of a run to which nothing is given."""

ANALYZE_DEFAULTS = AnalyzeOptions(result="")
"""The options of an analysis to which nothing is given but its result, which has no default."""

MATRIX_DEFAULTS = MatrixOptions(protocol="")
"""The options of a matrix to which nothing is given but its protocol, which has no default."""


@document_options(RunOptions)
def run(
    attack: str | Sequence[str] | None = RUN_DEFAULTS.attack,
    defense: str | Sequence[str] = RUN_DEFAULTS.defense,
    *,
    model: str | None = RUN_DEFAULTS.model,
    dataset: str | None = RUN_DEFAULTS.dataset,
    seed: int | Sequence[int] | None = RUN_DEFAULTS.seed,
    device: str = RUN_DEFAULTS.device,
    threads: int | None = RUN_DEFAULTS.threads,
    settings: dict[str, Any] = RUN_DEFAULTS.settings,
    protocol: str | Path = RUN_DEFAULTS.protocol,
    name: str | None = RUN_DEFAULTS.name,
    result_file: str | Path | None = RUN_DEFAULTS.result_file,
    rerun: Literal["attack", "defense"] | None = RUN_DEFAULTS.rerun,
) -> Run:
    """Attack a model and defend it; the same as the command `benchbd run`.

    Settings are hyper-parameters by KIND.PARAM, such as `{"defense.anp_eps": 0.2,
    "recipe.epochs": 5}`. Results are stored under `record/`, and what is stored there already is
    used again.

    Returns each attack at each seed with one cell per defense. Raises `BenchbdError` with what to
    do about it; a defense that fails is a cell whose status says so, and so are the defenses of an
    attack that fails where there are several.

    >>> tiny = {"dataset.size": 8, "model.width": 2, "recipe.epochs": 1}
    >>> done = benchbd.run(attack="clean", defense="none", settings=tiny)
    >>> done.cells[0].status.code, 0 <= done.cells[0].metrics.acc <= 1
    ('ok', True)
    """
    options = RunOptions(**locals())
    from benchbd.plugin.hooks import Observers
    from benchbd.running.preparing import prepare
    from benchbd.running.run import execute

    return execute(prepare(options), Observers.from_packages())


@document_options(AnalyzeOptions)
def analyze(
    result: str | Path,
    *,
    defense: str | Sequence[str] = ANALYZE_DEFAULTS.defense,
    analyses: str | Sequence[str] | None = ANALYZE_DEFAULTS.analyses,
    device: str = ANALYZE_DEFAULTS.device,
    threads: int | None = ANALYZE_DEFAULTS.threads,
    settings: dict[str, Any] = ANALYZE_DEFAULTS.settings,
    protocol: str | Path = ANALYZE_DEFAULTS.protocol,
    rerun: bool = ANALYZE_DEFAULTS.rerun,
) -> tuple[Analyzed, ...]:
    """Look at the models of an attack result, before and after defenses; the same as the command
    `benchbd analyze`.

    Returns the findings of each analysis; their numbers, tables and pictures are stored beside the
    attack result. Raises `BenchbdError`.

    >>> tiny = {"dataset.size": 8, "model.width": 2, "recipe.epochs": 1}
    >>> done = benchbd.run(attack="badnet", settings=tiny)
    >>> (found,) = benchbd.analyze(done.attack.folder, analyses="confusion")
    >>> 0 <= found.findings.numbers["backdoored"]["target_recall"] <= 1
    True
    """
    options = AnalyzeOptions(**locals() | {"result": str(result)})
    from benchbd.plugin.hooks import Observers
    from benchbd.running.analyzing import analyze as look_at

    return look_at(options, Observers.from_packages())


@document_options(MatrixOptions)
def matrix(
    protocol: str | Path,
    *,
    attacks: str | Sequence[str] = MATRIX_DEFAULTS.attacks,
    defenses: str | Sequence[str] = MATRIX_DEFAULTS.defenses,
    seeds: int | Sequence[int] = MATRIX_DEFAULTS.seeds,
    rerun: str | Sequence[str] = MATRIX_DEFAULTS.rerun,
    results: str | Path = MATRIX_DEFAULTS.results,
    device: str = MATRIX_DEFAULTS.device,
    executor: str = MATRIX_DEFAULTS.executor,
    workers: int | None = MATRIX_DEFAULTS.workers,
    settings: dict[str, Any] = MATRIX_DEFAULTS.settings,
    time_limit: float | None = MATRIX_DEFAULTS.time_limit,
    memory_limit: float | None = MATRIX_DEFAULTS.memory_limit,
    reuse_worker: bool = MATRIX_DEFAULTS.reuse_worker,
    fail_fast: bool = MATRIX_DEFAULTS.fail_fast,
    analyze: str | Sequence[str] = MATRIX_DEFAULTS.analyze,
) -> DataFrame:
    """Run all cells of a protocol that are missing; the same as the command `benchbd matrix`.

    Attacks, defenses and seeds are all of the protocol's unless some are given. Settings are
    parameters of the executor, such as `{"executor.gpus": "0,1"}`.

    Returns one row per stored cell of the plan, as `load_results` does. Raises `BenchbdError`.

    >>> _ = Path("tiny.yaml").write_text('''
    ... name: tiny
    ... dataset: {name: digits, params: {size: 8}}
    ... model: {name: resnet_small, params: {width: 2}}
    ... recipe: {epochs: 1}
    ... seeds: [0]
    ... attacks: [clean]
    ... defenses: [none]
    ... ''')
    >>> table = benchbd.matrix("tiny.yaml", executor="inprocess")
    >>> table[["attack", "defense", "status"]].values.tolist()
    [['clean', 'none', 'ok']]
    """
    options = MatrixOptions(**locals())
    from benchbd.leaderboard.board.frame import labelled_frame
    from benchbd.matrices.opening import open_matrix, open_session

    with open_matrix(options) as table, open_session(table, options) as session:
        table.run(session, fail_fast=options.fail_fast)
    if options.analyze:
        from benchbd.matrices.findings import analyze_matrix
        from benchbd.running.analyzing import chosen_analyses

        analyze_matrix(table, chosen_analyses(options.analyze, {}))
    return labelled_frame(table.cells())


def load_model(path: str | Path) -> Classifier:
    """Return the model that `benchbd export safetensors` wrote to `path`, in eval mode. It takes
    images (N, C, H, W) in [0, 1] and gives logits (N, K).

    Raises `RecordError` for a file that is missing, damaged or not written by that command.

    >>> import subprocess, sys
    >>> tiny = {"dataset.size": 8, "model.width": 2, "recipe.epochs": 1}
    >>> done = benchbd.run(attack="clean", settings=tiny, name="mine")
    >>> words = "benchbd export safetensors mine --undefended --out mine.safetensors".split()
    >>> ended = subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)
    >>> benchbd.load_model("mine.safetensors")(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """
    from benchbd.exporting.weights import read_model

    return read_model(path)


def load_results(results: str | Path = RESULTS_FOLDER) -> DataFrame:
    """Return all stored cells that can be believed, one row each: coordinates, status, shares,
    counts, cost and parameters. `attack_label` and `defense_label` tell variants of a method apart;
    `b` stands where `benchbd verify --note` wrote it into the trust.json beside the folder.

    results: the folder that `benchbd.matrix` fills. Raises `RecordError` where there is no such
    folder.

    >>> Path("results").mkdir()
    >>> len(benchbd.load_results("results"))
    0
    """
    from benchbd.errors import RecordError
    from benchbd.leaderboard.board.frame import labelled_frame
    from benchbd.leaderboard.board.trust import read_ledger
    from benchbd.record.cells import ResultStore

    folder = Path(results)
    if not folder.is_dir():
        raise RecordError(
            f"no folder of results at {folder}; `benchbd.matrix` fills one, load_results(FOLDER) "
            "reads another"
        )
    return labelled_frame(list(ResultStore(folder)), read_ledger(folder.parent / "trust.json"))
