"""Runs stages as tasks of a Ray cluster: many machines, shares of GPUs, and nodes that may be lost.

A stage asks for CPUs, for a share of a GPU and, under a memory limit, for memory; Ray finds a node
that has them. A stage whose node is lost is started again on another one. Nodes that see the
folders of this machine under the same paths work in them; for nodes that do not (`shared=false`)
the attack result travels to the stage, and what the stage has made travels back, through Ray's
object store, and is written here.

benchbd, and the packages of all plugins in the plan, must be installed on every node.
"""

from __future__ import annotations

import math
import os
import socket
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchbd.api import ConfigError, global_random_state, param
from benchbd.api.executors import (
    Busy,
    Ended,
    Executor,
    Limits,
    RecordError,
    Session,
    Unwritable,
    attack_folder,
    bring_home,
    claimed,
    files_made,
    pack_attack,
    settle,
    usable_cores,
)
from benchbd_zoo.executor.parts.guarded_stage import run_guarded

PATIENCE = 10.0
"""Seconds in which a cluster must answer."""

LOOK = 1.0
"""Seconds between two looks at how large the cluster is."""

JOINING = 300.0
"""Seconds without a node that could run a stage after which none is expected any more; a cluster
may be growing.
"""

UNPATCHED = {"RAY_TQDM_PATCH_PRINT": "0"}
"""Keeps Ray from putting a function of its own in the place of `print`, which would stay there for
all that this process does after the matrix.
"""

ASKED_BY = {"CPU": "executor.cpus", "GPU": "executor.gpus", "memory": "the memory limit"}
"""What says how much of a resource a stage asks for."""


class Ray(Executor):
    """The engine for more than one machine. On one machine `local` does the same with less."""

    api = 1

    address: str = param(
        "",
        "address of the cluster; empty: that of RAY_ADDRESS, else one on this machine for this "
        "matrix alone",
    )
    cpus: float | None = param(None, "CPUs of a stage; unset: as many as it has threads", gt=0)
    gpus: float = param(0.0, "GPUs of a stage; 0.25 lets four stages share one", ge=0)
    shared: bool = param(
        True,
        "whether all nodes see this machine's folders under the same paths; if not, files travel",
    )
    retries: int = param(
        3, "times that a stage is started again whose node or process was lost", ge=0
    )

    def open(self, limits: Limits) -> Session:
        try:
            import ray
        except ImportError:
            raise ConfigError(
                "the executor ray needs the package ray; pip install 'benchbd[ray]'"
            ) from None
        for name, value in UNPATCHED.items():
            os.environ.setdefault(name, value)
        return _Session(ray, self, limits)


@dataclass(frozen=True)
class _Order:
    """What every task of a matrix is told: where to work (None: in a folder of its own), its limits
    and its environment.
    """

    folder: str | None
    limits: Limits
    environment: dict[str, str]


@dataclass(eq=False)
class _Stage:
    """A stage under way. attack, attack_at: the attack result in the object store, and where it
    lies here.
    """

    spec: Path
    task: Any = None
    attack: Any = None
    attack_at: Path | None = None
    held: ExitStack = field(default_factory=ExitStack)


class _Session(Session):
    def __init__(self, ray: Any, settings: Ray, limits: Limits) -> None:
        self.ray, self.settings, self.retries = ray, settings, settings.retries
        self.connected, self.patience = not ray.is_initialized(), JOINING
        if self.connected:
            with global_random_state(0):  # Ray draws from `random`
                if _connect(ray, settings.address):
                    self.patience = 0.0  # nobody joins a cluster that only this process knows
        cpus = settings.cpus or limits.threads or 1
        self.order = _Order(
            str(Path.cwd()) if settings.shared else None,
            Limits(limits.seconds, limits.memory, limits.threads or max(1, int(cpus))),
            {name: value for name, value in os.environ.items() if name.startswith("BENCHBD_")},
        )
        needs = {"CPU": cpus, "GPU": settings.gpus, "memory": limits.memory or 0}
        self.needs = {name: need for name, need in needs.items() if need}
        self.run = ray.remote(
            max_retries=0, num_cpus=cpus, num_gpus=settings.gpus, memory=limits.memory
        )(_run)
        self.running: set[_Stage] = set()
        self.looked, self.room, self.deadline = -math.inf, 0, math.inf
        try:
            self._look()
        except ConfigError:
            self.close()
            raise

    @property
    def capacity(self) -> int:
        """As many as the cluster carries now; it may grow and shrink."""
        self._look()
        return self.settings.workers or max(
            1, self.room
        )  # one that waits tells a cluster that grows what to grow by

    def start(self, spec: Path) -> _Stage | Ended:
        stage = _Stage(spec.absolute())
        if self.settings.shared:
            stage.task = self.run.remote(self.order, str(stage.spec), None, {})
        else:
            try:
                stage.held.enter_context(claimed(spec))
            except Busy as error:
                return Ended(code="busy", reason=str(error))
            self._put_attack(stage)
            stage.task = self.run.remote(self.order, spec.name, spec.read_bytes(), stage.attack)
        self.running.add(stage)
        return stage

    def ended(self, handle: _Stage | Ended) -> Ended | None:
        if isinstance(handle, Ended):
            return handle
        if not self.ray.wait([handle.task], timeout=0)[0]:
            self._look()
            return None
        self.running.discard(handle)
        with handle.held:
            try:
                told, files = self.ray.get(handle.task)
            except self.ray.exceptions.RayError as error:
                return _lost(self.ray, error)
            return _at_home(handle.spec, Ended.model_validate(told), files)

    def close(self) -> None:
        for stage in self.running:
            with suppress(self.ray.exceptions.RayError):
                self.ray.cancel(stage.task, force=True)
            stage.held.close()
        self.running.clear()
        if self.connected:
            self.ray.shutdown()

    def _look(self) -> None:
        """See how many stages the nodes have room for. Raises `ConfigError` when for too long no
        node had room for one.

        Ray itself would wait for ever, without a word. Where no living node has room, no stage is
        running either.
        """
        now = time.monotonic()
        if now - self.looked < LOOK:
            return
        self.looked = now
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        self.room = sum(
            min(int(node.get(name, 0) / need) for name, need in self.needs.items())
            for node in nodes
        )
        self.deadline = math.inf if self.room else min(self.deadline, now + self.patience)
        if now >= self.deadline:
            raise ConfigError(_no_room(self.needs, nodes))

    def _put_attack(self, stage: _Stage) -> None:
        """The attack result that a stage starts from into the object store, unless another stage
        has put it there.
        """
        stage.attack_at = attack_folder(stage.spec)
        same = (other.attack for other in self.running if other.attack_at == stage.attack_at)
        stage.attack = next(same, None) or self.ray.put(
            pack_attack(stage.attack_at) if stage.attack_at else {}
        )


def _connect(ray: Any, address: str) -> bool:
    """Join the cluster, or start one with the cores that this process may really use; whether it
    was started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    given = address or os.environ.get("RAY_ADDRESS")
    _require_answer(given or "")
    size = (
        {"address": given}
        if given
        else {"address": "local", "num_cpus": usable_cores(), "include_dashboard": False}
    )
    try:
        ray.init(**size, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"the executor ray cannot join a cluster at {given or 'this machine'}: {error}"
        ) from None
    return given in (None, "", "local")


def _require_answer(address: str) -> None:
    """Raise `ConfigError` when nothing listens at HOST:PORT, for which Ray itself waits for many
    minutes.
    """
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdecimal() and "/" not in host):
        return
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except OSError as error:
        raise ConfigError(
            f"no Ray cluster answers at {address}: {error}; `ray start --head` prints its address"
        ) from None


def _no_room(needs: dict[str, float], nodes: list[dict[str, float]]) -> str:
    """What a stage needs and no node has, and what to do."""
    most = {name: max((node.get(name, 0) for node in nodes), default=0) for name in needs}
    lacking = [name for name, need in needs.items() if most[name] < need] or list(needs)
    return (
        f"the executor ray finds no node with the {' and '.join(lacking)} of a stage: it asks for "
        f"{_amounts(needs)} "
        f"on one node, and a node has at most {_amounts(most)}; ask for less "
        f"({', '.join(ASKED_BY[name] for name in lacking)}), "
        "or run this again when the cluster has such a node: what is done is kept"
    )


def _amounts(resources: dict[str, float]) -> str:
    return ", ".join(
        f"{amount / 2**30:.2f} GiB of memory" if name == "memory" else f"{amount:g} {name}"
        for name, amount in resources.items()
    )


def _run(
    order: _Order, name: str, content: bytes | None, attack: dict[str, bytes]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A stage on a node: how it ended, and what it has made if that has to travel."""
    os.environ.update(order.environment)
    if order.folder is not None:
        os.chdir(order.folder)
        return run_guarded(Path(name), order.limits).model_dump(), {}
    assert content is not None
    with tempfile.TemporaryDirectory(prefix="benchbd-") as place:
        spec = settle(Path(place), name, content, attack)
        return run_guarded(spec, order.limits).model_dump(), files_made(Path(place))


def _at_home(spec: Path, told: Ended, files: dict[str, bytes]) -> Ended:
    """How a stage ended once what it has made elsewhere is written here."""
    try:
        bring_home(spec, files)
    except Unwritable as error:
        return Ended(code="unwritable", reason=str(error))
    except RecordError as error:
        return Ended(code="failed", reason=str(error))
    return told


def _lost(ray: Any, error: Exception) -> Ended:
    """What is known of a stage whose task gave no answer. What its node could not even begin is not
    tried again.
    """
    reason, kinds = str(error).partition("\n")[0], ray.exceptions
    if isinstance(
        error, kinds.RayTaskError | kinds.RuntimeEnvSetupError | kinds.TaskUnschedulableError
    ):
        return Ended(
            code="crashed",
            reason=f"its node could not run it: {str(error).splitlines()[-1]}",
            traceback=str(error)[-4000:],
        )
    code: Literal["oom", "crashed"] = (
        "oom" if isinstance(error, kinds.OutOfMemoryError) else "crashed"
    )
    return Ended(
        code=code, killed=True, reason=f"it was lost with its node or its process: {reason}"
    )
