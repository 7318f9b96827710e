"""benchbd: a benchmark of backdoor attacks on image classifiers and of the defenses against them.

import benchbd
result = benchbd.run(attack="badnet", defense="anp")
print(result.cells[0].metrics)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

    from benchbd.engine.classifier import Classifier
    from benchbd.running.run import Run

__all__ = ["__version__", "load_model", "load_results", "matrix", "run"]

__version__ = version("benchbd")

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # read when torch starts: threads that wait busily starve their neighbours


def run(
    attack: str | None = None,
    defense: str | Sequence[str] = "none",
    *,
    model: str | None = None,
    dataset: str | None = None,
    seed: int | None = None,
    protocol: str | Path = "digits-quick",
    settings: dict[str, Any] | None = None,
    device: str = "auto",
    name: str | None = None,
    result_file: str | Path | None = None,
) -> Run:
    """Attack a model and defend it; the same as the command `benchbd run`.

    attack: the name of an attack, unless `result_file` is the path of a stored attack result.
    defense: one name or several. model, dataset: names; without one, those of the protocol. seed:
    that of every random draw; without one, 0 or that of `result_file`. protocol: the name or the
    file of a protocol, from which everything comes that is not given. settings: hyper-parameters by
    KIND.PARAM, such as `{"defense.anp_eps": 0.2, "recipe.epochs": 5}`. device: "auto", "cpu",
    "cuda" or "cuda:1". name: that of the folder under `record/` in which the results are stored.

    Returns the attack result and one cell per defense. Raises `BenchbdError` with what to do about
    it; a defense that fails is a cell whose status says so.

    >>> tiny = {"dataset.size": 8, "model.width": 2, "recipe.epochs": 1}
    >>> done = benchbd.run(attack="clean", defense="none", settings=tiny)
    >>> done.cells[0].status.code, 0 <= done.cells[0].metrics.acc <= 1
    ('ok', True)
    """
    from benchbd.arguments import defense_names, require_names
    from benchbd.plugin.hooks import Observers
    from benchbd.running.protocol import load_protocol
    from benchbd.running.run import Request, execute, prepare

    require_names(attack=attack, model=model, dataset=dataset)
    request = Request(
        protocol=load_protocol(protocol),
        attack=attack,
        defenses=defense_names(defense),
        model=model,
        dataset=dataset,
        seed=seed,
        device=device,
        settings=settings or {},
        name=name,
        result_file=result_file,
    )
    return execute(prepare(request), Observers.installed())


def matrix(
    protocol: str | Path,
    *,
    attacks: str | Sequence[str] = (),
    defenses: str | Sequence[str] = (),
    seeds: int | Sequence[int] = (),
    rerun: str | Sequence[str] = (),
    executor: str = "local",
    workers: int | None = None,
    settings: dict[str, Any] | None = None,
    results: str | Path = "leaderboard/results",
    device: str = "auto",
    time_limit: float | None = None,
    memory_limit: float | None = None,
    fail_fast: bool = False,
) -> DataFrame:
    """Run all cells of a protocol that are missing; the same as the command `benchbd matrix`.

    protocol: a name or a file. attacks, defenses, seeds: one or several; without them, all of the
    protocol. rerun: also do again the cells that ended so, such as "failed", or that are "stale".
    executor: the name of an executor. workers: stages at a time. settings: parameters of the
    executor, such as `{"executor.gpus": "0,1"}`. results: the folder of results. time_limit:
    seconds that a stage may take. memory_limit: GiB that it may use. fail_fast: stop at the first
    cell that fails.

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
    from benchbd.arguments import several
    from benchbd.executing.executor import open_executor
    from benchbd.leaderboard.board.frame import labelled_frame
    from benchbd.matrices.matrix import Matrix
    from benchbd.matrices.plan import Selection
    from benchbd.plugin.hooks import Observers
    from benchbd.running.protocol import load_protocol

    table = Matrix(
        load_protocol(protocol),
        Selection(
            several("attacks", attacks, str),
            several("defenses", defenses, str),
            several("seeds", seeds, int),
        ),
        frozenset(several("rerun", rerun, str)),
        results=Path(results),
        device=device,
        observers=Observers.installed(),
    )
    told = (settings or {}) | ({} if workers is None else {"executor.workers": workers})
    texts = {name: str(value) for name, value in told.items()}
    with open_executor(executor, texts, table.limits(time_limit, memory_limit)) as session:
        table.run(session, fail_fast=fail_fast)
    return labelled_frame(table.cells())


def load_model(path: str | Path) -> Classifier:
    """The model that `benchbd export safetensors` wrote to `path`, in eval mode. It takes images
    (N, C, H, W) in [0, 1] and gives logits (N, K).

    Raises `RecordError` for a file that is missing, damaged or not written by that command.

    >>> import subprocess, sys
    >>> tiny = {"dataset.size": 8, "model.width": 2, "recipe.epochs": 1}
    >>> done = benchbd.run(attack="clean", settings=tiny, name="mine")
    >>> words = "benchbd export safetensors mine --undefended --out mine.safetensors".split()
    >>> ended = subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)
    >>> benchbd.load_model("mine.safetensors")(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """
    from benchbd.exporting.weights import load_model

    return load_model(path)


def load_results(results: str | Path = "leaderboard/results") -> DataFrame:
    """All stored cells that can be believed, one row each: coordinates, status, shares, counts,
    cost and parameters. `attack_label` and `defense_label` tell variants of a method apart.

    results: the folder that `benchbd.matrix` fills. Raises `RecordError` where there is no such
    folder.

    >>> Path("results").mkdir()
    >>> len(benchbd.load_results("results"))
    0
    """
    from benchbd.errors import RecordError
    from benchbd.leaderboard.board.frame import labelled_frame
    from benchbd.record.cells import ResultStore

    folder = Path(results)
    if not folder.is_dir():
        raise RecordError(
            f"no folder of results at {folder}; `benchbd.matrix` fills one, load_results(FOLDER) "
            "reads another"
        )
    return labelled_frame(list(ResultStore(folder)))
