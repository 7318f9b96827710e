"""Curves and final numbers of every cell for TensorBoard; needs the extra `benchbd[tensorboard]`.

BENCHBD_TENSORBOARD=runs benchbd run --attack badnet --defense anp && tensorboard --logdir runs
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from benchbd.api import PluginError, hookimpl

MEASURES = ("acc", "asr", "rc", "der")


class TensorBoard:
    """One run of TensorBoard per cell: final metrics at step 0, each curve by the place of its
    points.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @hookimpl
    def cell_finished(self, cell: dict[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        about = cell["cell"]
        names = f"{about['attack']['name']}-{about['defense']['name']}"
        name = f"{names}-seed{about['seed']}-{cell['key'][:8]}"
        with SummaryWriter(str(self.folder / name)) as writer:
            for title, step, value in scalars(cell):
                writer.add_scalar(title, value, step)


def scalars(cell: dict[str, Any]) -> list[tuple[str, int, float]]:
    """Title, step and value of everything in a cell that was measured."""
    found = [
        (f"final/{name}", 0, value)
        for name, value in (cell["metrics"] or {}).items()
        if name in MEASURES
    ]
    for curve in cell["curves"]:
        for step, point in enumerate(curve["points"]):
            found += [
                (f"{curve['name']}/{name}", step, point[name]) for name in MEASURES if name in point
            ]
    return [(title, step, value) for title, step, value in found if value is not None]


def observer() -> TensorBoard | None:
    """Watches when `BENCHBD_TENSORBOARD` names a folder."""
    folder = os.environ.get("BENCHBD_TENSORBOARD")
    if not folder:
        return None
    if importlib.util.find_spec("tensorboard") is None:
        raise PluginError(
            "BENCHBD_TENSORBOARD asks for tensorboard; install it with `pip install "
            "benchbd[tensorboard]`"
        )
    return TensorBoard(Path(folder))
