"""A stage under guard, for executors of clusters: what the cluster starts is a guard, and the guard
runs the stage.

The stage gets a process group of its own and its limits, as with the local executor, so a plugin
that kills its process or hangs takes nothing else with it. When the cluster ends the guard, the
stage ends with it.
"""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

from benchbd.api.executors import Ended, Limits, Session
from benchbd_zoo.executor.local import Local

PAUSE = 0.02


def run_guarded(spec: Path, limits: Limits) -> Ended:
    """Run a stage to its end, whichever that is."""
    session = _session(limits, os.environ.get("CUDA_VISIBLE_DEVICES"))
    stage = session.start(spec)
    while (ended := session.ended(stage)) is None:
        time.sleep(PAUSE)
    return ended


@cache
def _session(limits: Limits, devices: str | None) -> Session:
    """One for each set of GPUs that the cluster shows this process; kept, since what it has
    imported serves the next stage.
    """
    return Local(workers=1).open(limits)
