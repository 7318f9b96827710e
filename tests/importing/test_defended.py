"""A defended model from elsewhere lies beside the results of our own defenses and is measured like
them.
"""

from __future__ import annotations

import pytest
import torch

from benchbd.errors import RecordError
from benchbd.importing.defended import imported_name, keep_defended
from benchbd.record.attack_result import AttackResult, load_attack_result
from support.defenses import wipe


@pytest.fixture
def attack(result_file: object) -> AttackResult:
    return load_attack_result(str(result_file))


def test_its_numbers_are_measured_here(attack: AttackResult) -> None:
    wiped = wipe(load_attack_result(attack.path).model.network)
    result = keep_defended(attack, "Fine-Pruning", "theirs", wiped.state_dict())
    assert result.folder == attack.folder / "defense" / "theirs-fine-pruning"
    # all logits are equal, so every image is taken for class 0, the target
    share = float((attack.test.labels == 0).double().mean())
    assert (result.metrics.acc, result.metrics.asr) == (share, 1.0)
    assert result.cell.cell.defense.params["called"] == "Fine-Pruning"


def test_parameters_of_another_network_are_refused(attack: AttackResult) -> None:
    with pytest.raises(RecordError, match="unknown are weight"):
        keep_defended(attack, "ft", "theirs", {"weight": torch.zeros(2)})
    assert not (attack.folder / "defense").exists()


@pytest.mark.parametrize(
    ("called", "folder"), [("FT", "theirs-ft"), ("../../ft", "theirs-.._.._ft")]
)
def test_its_folder_is_apart_from_our_own(called: str, folder: str) -> None:
    assert imported_name(called, "theirs") == folder
