"""A way to import torchvision beside a torch for which its compiled extension was not built.

torchvision's published wheels link against CUDA. Beside a CPU-only torch the extension does not
load, and `import torchvision` stops with "operator torchvision::nms does not exist": it describes
operators that only the extension declares. Declared here, without a kernel, they let the import
pass; all that is written in Python works (models, data sets, transforms, and timm), and the
operators themselves still refuse.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from pathlib import Path

import torch

from benchbd.errors import PluginError

DESCRIBED = ("nms", "qnms")
"""Operators of the namespace `torchvision` that its Python code describes whether or not they
exist.
"""

NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@cache
def prepare_torchvision() -> str:
    """Make `import torchvision` and `import timm` work beside a torch without CUDA. Call it before
    importing them.

    It does nothing where the compiled part of torchvision can be loaded. It returns what it found,
    "native" or "schemas declared", and raises `PluginError` when torchvision is not installed.

    >>> prepare_torchvision() in ("native", "schemas declared")
    True
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise PluginError(
            "torchvision: expected the package to be installed, found none; `pip install "
            "torchvision`"
        )
    if _extension_loads(Path(spec.origin).parent):
        return "native"
    for operator in DESCRIBED:
        if not hasattr(torch.ops.torchvision, operator):
            torch.library.define(f"torchvision::{operator}", NMS_SCHEMA)
    return "schemas declared"


def _extension_loads(package: Path) -> bool:
    """Return whether the compiled part loads, and load it as torchvision itself does. Loading it
    again is harmless.
    """
    found = FileFinder(str(package), (ExtensionFileLoader, EXTENSION_SUFFIXES)).find_spec("_C")
    if found is None or found.origin is None:
        return False
    try:
        torch.ops.load_library(found.origin)
    except (ImportError, OSError):
        return False
    return True
