"""benchbd: a benchmark of backdoor attacks on image classifiers and of the defenses against them.

import benchbd
result = benchbd.run(attack="badnet", defense="anp")
print(result.cells[0].metrics)
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchbd.functions import analyze, load_model, load_results, matrix, run

__all__ = ["__version__", "analyze", "load_model", "load_results", "matrix", "run"]

__version__ = version("benchbd")

# read when torch starts: threads that wait busily starve their neighbours
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    """Return a function of `benchbd.functions`, which is imported only when one is asked for, so
    that the command line is quick.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from benchbd import functions

    return getattr(functions, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
