from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from benchbd_zoo.model.torchvision import Torchvision


@pytest.mark.slow
def test_importing_the_plugins_imports_no_library() -> None:
    script = (
        "import sys, benchbd_zoo.model.timm, benchbd_zoo.model.torchvision; print({'timm', "
        "'torchvision'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.slow
@torch.no_grad()
def test_a_hook_on_a_norm_reads_what_the_norm_gave() -> None:
    """torchvision's ReLU writes over its input; then a hook would find no negative value."""
    network = Torchvision().build(4, (3, 32, 32)).eval()
    outputs: list[Tensor] = []
    network.body.bn1.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    network.features(torch.randn(2, 3, 32, 32))
    assert outputs[0].min() < 0


@pytest.mark.slow
def test_a_built_network_is_in_training_mode() -> None:
    assert all(module.training for module in Torchvision().build(4, (3, 32, 32)).modules())
