"""The step from the options of a command to the plan or the matrix that they describe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from benchbd.matrices.known_plugins import known_plugins
from benchbd.matrices.options import MatrixOptions, PlanOptions
from benchbd.matrices.plan import Selection
from benchbd.matrices.planned_matrix import PlannedMatrix
from benchbd.running.protocol import load_protocol

if TYPE_CHECKING:  # a plan is listed without importing torch
    from benchbd.executing.executor import Session
    from benchbd.matrices.matrix import Matrix


@contextmanager
def open_plan(options: PlanOptions) -> Iterator[PlannedMatrix]:
    """Give the plan that the options describe. What the classes of plugins had to be asked for is
    remembered beside the results.
    """
    with known_plugins(options.results) as known:
        yield PlannedMatrix(**_chosen(options), resolve=known.recall)


@contextmanager
def open_matrix(options: MatrixOptions) -> Iterator[Matrix]:
    """Give the matrix that the options describe, with the installed observers. What the classes of
    its plugins say is remembered for a later listing; a run always asks the classes.
    """
    from benchbd.matrices.matrix import Matrix
    from benchbd.plugin.hooks import Observers

    chosen, observers = _chosen(options), Observers.from_packages()
    with known_plugins(options.results) as known:
        yield Matrix(**chosen, resolve=known.learn, device=options.device, observers=observers)


def open_session(matrix: Matrix, options: MatrixOptions) -> AbstractContextManager[Session]:
    """Return the session in which the options let a matrix run. Raises `ConfigError`."""
    from benchbd.executing.executor import open_executor

    limits = matrix.limits(options.time_limit, options.memory_limit)
    return open_executor(options.executor, options.executor_settings(), limits)


def _chosen(options: PlanOptions) -> dict[str, Any]:
    """Return the arguments of a matrix that the options give."""
    return {
        "protocol": load_protocol(options.protocol),
        "selection": Selection(options.attacks, options.defenses, options.seeds),
        "rerun": frozenset(options.rerun),
        "results": options.results,
    }
