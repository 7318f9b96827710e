"""Images that lie beside the result that they belong to, in `train.safetensors` and
`test.safetensors`.

`benchbd import` writes them, for a result that was made elsewhere names no data set that could load
its images again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import PrivateAttr

from benchbd.api import DataError, DataSet, ImageSet, Split, param, read_images


class Stored(DataSet):
    """Read for a result only, from the folder of that result: the result cannot say
    where they lie.
    """

    api = 1

    images: str = param("", "what stands for the images of both splits, 64 hexadecimal digits")

    _folder: Path | None = PrivateAttr(None)

    def beside(self, folder: Path) -> Self:
        placed = self.model_copy()
        placed._folder = folder
        return placed

    def load(self, split: Split) -> ImageSet:
        if self._folder is None:
            raise DataError(
                "stored: these images lie with an imported result and are read with it alone; "
                "give --result-file"
            )
        return read_images(self._folder, split)
