"""The writer of a model as an ONNX graph, for every runtime that reads ONNX: it takes `images` (N,
C, H, W) in [0, 1] and gives `logits` (N, K).
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchbd.errors import ConfigError
from benchbd.exporting.chosen import ExportedModel
from benchbd.record.files import write_bytes


def write_graph(path: Path, chosen: ExportedModel) -> Path:
    """Store the model at `path`, with its normalisation. Raises `ConfigError` without the packages
    that it needs.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - what torch translates with
    except ImportError:
        raise ConfigError(
            "ONNX files need onnx and onnxscript, which are not installed; `pip install "
            "'benchbd[onnx]'`"
        ) from None
    shape = chosen.about["outline"]["image_shape"]
    example = torch.zeros(2, *shape)
    with _quiet():
        program = torch.onnx.export(
            chosen.model,
            (example,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    onnx.helper.set_model_props(graph, {"benchbd": json.dumps(chosen.about, sort_keys=True)})
    return write_bytes(path, graph.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress what the exporter logs about its own work."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)
