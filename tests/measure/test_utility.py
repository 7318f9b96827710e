"""What predictions tell beside ACC and ASR, by hand."""

from __future__ import annotations

import torch
from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.measure.utility import CleanAnswers, utility

LABELS = torch.tensor([0, 0, 1, 1, 1, 2])
TURNED_AWAY = 65535


def answers(predictions: Tensor, bystander: list[bool] | None = None) -> CleanAnswers:
    """Three classes; all images that are not of class 0 are triggered to become it."""
    images = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    places = torch.arange(2, 6)
    triggered = TriggeredSet(
        places,
        images[places],
        LABELS[places],
        torch.zeros(4, dtype=torch.int64),
        torch.tensor(bystander or [False] * 4),
    )
    return CleanAnswers(predictions, ImageSet(images, LABELS, ("a", "b", "c")), triggered)


def test_figures_by_hand() -> None:
    before = torch.tensor([0, 0, 1, 1, 1, 0])
    after = torch.tensor([0, 1, 0, 0, 1, TURNED_AWAY])
    found = utility(answers(after), before)
    # of the four images of other classes two are called 0, before the defense one
    assert (found.target_rate, found.target_rate_before) == (0.5, 0.25)
    # class 2 was turned away
    assert (found.least_class, found.least_accuracy) == (2, 0.0)
    assert (found.attacked_recall, found.attacked_recall_before) == (0.5, 1.0)
    assert found.agreement == round(2 / 6, 6)


def test_bystanders_do_not_count_for_the_rate() -> None:
    said = answers(torch.tensor([0, 0, 0, 0, 1, 2]), [True, False, False, False])
    assert said.target_rate() == round(1 / 3, 6)


def test_without_the_undefended_model_nothing_is_said_of_it() -> None:
    found = utility(answers(LABELS), None)
    assert (found.agreement, found.target_rate_before, found.attacked_recall_before) == (None,) * 3
    assert (found.target_rate, found.attacked_recall, found.least_accuracy) == (0.0, 1.0, 1.0)
