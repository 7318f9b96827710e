"""A graph in ONNX gives the same logits in another runtime."""

from __future__ import annotations

import numpy
import pytest
import torch

from benchbd.exporting.chosen import choose
from benchbd.record.attack_result import AttackResult
from support.command_line import told

RUNTIMES = ("onnx", "onnxscript", "onnxruntime")


@pytest.mark.slow
def test_onnx_runs_elsewhere_with_the_same_logits(defended: AttackResult) -> None:
    for package in RUNTIMES:
        pytest.importorskip(package)
    import onnxruntime

    told("export", "onnx", str(defended.folder))
    session = onnxruntime.InferenceSession(
        defended.folder / "fine_prune.onnx", providers=["CPUExecutionProvider"]
    )
    images = defended.test.images[:7].numpy().astype(numpy.float32) / 255
    (found,) = session.run(["logits"], {"images": images})
    with torch.no_grad():
        expected = choose(defended).model(torch.from_numpy(images)).numpy()
    numpy.testing.assert_allclose(found, expected, atol=1e-5)
