"""An observer: one line on stderr for each cell that ends."""

from __future__ import annotations

import sys
from typing import Any

from benchbd.api import hookimpl


class Scoreboard:
    """Only the arguments that are needed have to be named."""

    @hookimpl
    def cell_finished(self, cell: dict[str, Any]) -> None:
        about, metrics = cell["cell"], cell["metrics"]
        score = (
            f"DER {metrics['der']:.2f}"
            if metrics and metrics["der"] is not None
            else cell["status"]["code"]
        )
        sys.stderr.write(
            f"scoreboard: {about['attack']['name']} against {about['defense']['name']}: {score}\n"
        )
