"""TeCo: the first severity that changes a class, corruptions of the original, and a planted trigger
that most of them spare.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import Scorer
from benchbd.engine.hardware import default_precision
from benchbd.measure.detection import separation
from benchbd_zoo.defense import teco
from benchbd_zoo.defense.parts.corruption import brightness, contrast
from benchbd_zoo.defense.teco import TeCo, first_change
from support.planted_backdoor import budget, lit, quarters, stamped


@pytest.fixture(autouse=True)
def exact() -> Any:
    with default_precision("fp32"):
        yield


def scorer(model: nn.Module | None = None, **parameters: Any) -> Scorer:
    return TeCo(**parameters).fit(model or quarters(), budget(), torch.Generator().manual_seed(0))


def test_the_first_severity_counts() -> None:
    changed = torch.tensor([[0, 1, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0]]).bool()
    assert first_change(changed).tolist() == [3, 1, 4, 2]


class Brightness(nn.Module):
    """Class 0 to 3 by the mean pixel, in steps of a fourth."""

    def __init__(self) -> None:
        super().__init__()
        self.edges = nn.Parameter(torch.tensor([0.25, 0.5, 0.75]))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.one_hot((x.mean((1, 2, 3))[:, None] > self.edges).sum(1), 4).float()


def test_every_corruption_is_of_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errata: neither severities nor corruptions pile up. .1 + (.1 .2 ...) passes .25 at severity
    2, and .25 to .5 is one class; .04 passes it at 3, where a pile would at 2. Contrast never
    changes the mean.
    """
    levels = {brightness: (0.1, 0.2, 0.3, 0.4, 0.5), contrast: (0.6, 0.45, 0.3, 0.2, 0.1)}
    monkeypatch.setattr(teco, "SEVERITIES", levels)
    grey = torch.tensor([25, 10, 200], dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8)
    judge: Any = scorer(Brightness())
    with torch.inference_mode():
        endured = judge._endured(grey / 255)
    assert endured.tolist() == [[2, 6], [3, 6], [6, 6]]
    assert judge.score(grey).tolist() == [2.0, 1.5, 0.0]


def test_every_input_meets_75_corruptions_of_itself() -> None:
    seen: list[Tensor] = []
    model = quarters()
    model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    images = lit(4).images
    scorer(model).score(images)
    assert len(seen) == 76
    torch.testing.assert_close(seen[0], images / 255)
    assert all(float((step - seen[0]).abs().max()) > 0 for step in seen[1:])


class Gentle(nn.Module):
    """Clean classes survive all corruptions; a white pixel in the middle means class 0 as long as
    it is white.
    """

    def __init__(self, planted: bool) -> None:
        super().__init__()
        self.clean, self.planted = quarters(backdoor=0.0), planted

    def forward(self, x: Tensor) -> Tensor:
        white = (x[:, :, 4, 4].mean(1, keepdim=True) > 0.8) * self.planted
        return self.clean(x) + white * torch.tensor([900.0, 0, 0, 0])


def test_a_planted_trigger_falls_to_some_corruptions_and_stands_others() -> None:
    good = lit(40).images[torch.arange(40) % 4 != 0]
    bad = stamped(good)
    found = {planted: scorer(Gentle(planted)) for planted in (True, False)}
    told = separation(found[True].score(good), found[True].score(bad))["auroc"]
    untold = separation(found[False].score(good), found[False].score(bad))["auroc"]
    assert told is not None and told > 0.9
    assert untold is not None and untold < 0.75


def test_scores_depend_on_their_input_alone() -> None:
    images, judge = lit(13).images, scorer()
    whole = judge.score(images)
    assert whole.shape == (13,)
    torch.testing.assert_close(torch.cat([judge.score(part) for part in images.split(4)]), whole)
    torch.testing.assert_close(judge.score(images.flip(0)).flip(0), whole)
    torch.testing.assert_close(scorer(at_once=5).score(images), whole)
