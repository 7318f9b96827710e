"""The number of cores that a process may use. It is found out without torch, whose import takes
seconds.
"""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Return the number of cores that this process may really use, judging by its affinity and by
    the quota of its container.

    >>> usable_cores() >= 1
    True
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))
