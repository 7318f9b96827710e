"""torchvision, and timm on top of it, can be imported whether or not the compiled
extension loads.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from benchbd.errors import PluginError
from benchbd.victim import torchvision_import
from benchbd.victim.torchvision_import import prepare_torchvision

FRESH = """
import json
from benchbd.victim.torchvision_import import prepare_torchvision
found = [prepare_torchvision(), prepare_torchvision()]

import torch, torchvision, timm
import torchvision.datasets
from torchvision.transforms import v2

image = torch.arange(12.0).view(1, 3, 4)
with torch.no_grad():
    logits = [
        torchvision.models.resnet18(num_classes=5).eval()(torch.zeros(2, 3, 32, 32)),
        timm.create_model("test_resnet", num_classes=4).eval()(torch.zeros(2, 3, 32, 32)),
    ]

boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
scores = torch.tensor([0.5, 0.9, 0.1])
answers = []
for nms in (torchvision.ops.nms, torch.ops.torchvision.nms):
    try:
        answers.append(nms(boxes, scores, 0.5).tolist())
    except Exception as error:
        answers.append(f"{type(error).__name__}: {error}")
flipped = v2.functional.horizontal_flip(image)[0].tolist()
shapes = [list(x.shape) for x in logits]
print(json.dumps({"found": found, "shapes": shapes, "flipped": flipped, "nms": answers}))
"""


@pytest.fixture
def forgotten() -> Iterator[None]:
    """The cached answer is set aside before the test and not left behind after it."""
    prepare_torchvision.cache_clear()
    yield
    prepare_torchvision.cache_clear()


@pytest.mark.slow
def test_a_fresh_interpreter_imports_torchvision_and_timm() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FRESH], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["found"] in (["native"] * 2, ["schemas declared"] * 2)
    assert said["shapes"] == [[2, 5], [2, 4]]
    assert said["flipped"] == [[3, 2, 1, 0], [7, 6, 5, 4], [11, 10, 9, 8]]
    if said["found"][0] == "native":
        assert said["nms"] == [[1, 2], [1, 2]]  # box 0 overlaps the better box 1 by 90 %
    else:
        assert said["nms"][0].startswith("RuntimeError: Couldn't load custom C++ ops")
        assert said["nms"][1].startswith("NotImplementedError: Could not run 'torchvision::nms'")


def test_does_nothing_where_the_extension_loads(
    forgotten: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared: list[str] = []
    monkeypatch.setattr(torchvision_import, "_extension_loads", lambda package: True)
    monkeypatch.setattr(torch.library, "define", lambda name, schema: declared.append(name))
    assert prepare_torchvision() == "native"
    assert declared == []


def test_says_so_when_torchvision_is_not_installed(
    forgotten: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match="pip install torchvision"):
        prepare_torchvision()
