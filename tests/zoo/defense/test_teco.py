"""TeCo: the first severity that changes a class, corruptions that pile up, and a planted trigger
that is lost in between.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import Scorer
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense import teco
from benchbd_zoo.defense.parts.corruption import (
    SEVERITIES,
    brightness,
    contrast,
    defocus_blur,
)
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


def test_corruptions_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """.1 + .1 + .2 and .04 + .1 + .2 pass .25 at severity 2, where .04 alone would at 3. Contrast
    never changes the mean, but finds the first two images already bright.
    """
    levels = {corruption: SEVERITIES[corruption] for corruption in (brightness, contrast)}
    monkeypatch.setattr(teco, "SEVERITIES", levels)
    grey = torch.tensor([25, 10, 200], dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8)
    judge: Any = scorer(Brightness())
    with torch.inference_mode():
        endured = judge._endured(grey / 255)
    assert endured.tolist() == [[2, 1], [2, 1], [6, 6]]
    assert judge.score(grey).tolist() == [0.5, 0.5, 0.0]


def test_every_input_meets_75_corruptions() -> None:
    seen: list[Tensor] = []
    model = quarters()
    model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    images = lit(4).images
    scorer(model).score(images)
    assert len(seen) == 76
    torch.testing.assert_close(seen[0], images / 255)
    assert all(float((step - seen[0]).abs().max()) > 0 for step in seen[1:])


class Deaf(nn.Module):
    """Class 1 whatever it sees; a pixel in the middle that stands out means class 0."""

    def __init__(self) -> None:
        super().__init__()
        self.far = nn.Parameter(torch.tensor(0.4))

    def forward(self, x: Tensor) -> Tensor:
        outstanding = x[:, :, 4, 4].mean(1) - x.mean((1, 2, 3))
        return torch.stack([outstanding, self.far.expand_as(outstanding)], 1)


def test_a_trigger_that_falls_has_a_high_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """In grey, a white pixel on a mean of .18 stands out until .1 + .2 + .3 have been added to the
    rest, and is gone from then on; without it all is endured.
    """
    levels = {one: SEVERITIES[one] for one in (brightness, defocus_blur, contrast)}
    monkeypatch.setattr(teco, "SEVERITIES", levels)
    good, judge = lit(8).images[:, :1].expand(-1, 3, -1, -1), scorer(Deaf())
    assert judge.score(good).tolist() == [0.0] * 8
    expected = np.std([3, 1, 1])
    assert judge.score(stamped(good)).tolist() == pytest.approx([expected] * 8)


def test_scores_depend_on_their_input_alone() -> None:
    images, judge = lit(13).images, scorer()
    whole = judge.score(images)
    assert whole.shape == (13,)
    torch.testing.assert_close(torch.cat([judge.score(part) for part in images.split(4)]), whole)
    torch.testing.assert_close(judge.score(images.flip(0)).flip(0), whole)
    torch.testing.assert_close(scorer(at_once=5).score(images), whole)
