"""A defended model from another tool, measured and stored beside its attack result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from benchbd.importing.architecture import restored
from benchbd.importing.assemble import digest_of_tensors, in_role
from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult, rebuild
from benchbd.record.defense_result import DefenseResult
from benchbd.record.keys import safe_name
from benchbd.victim.model import Model


def keep_defended(
    attack: AttackResult, called: str, origin: str, state: Mapping[str, Tensor]
) -> DefenseResult:
    """Store the model with these parameters beside the results of our own defenses. Raises
    `RecordError`.
    """
    made = attack.manifest
    plugin = rebuild(Model, made.model, made.found_as)
    normalisation = made.outline.mean, made.outline.std
    model = restored(plugin, state, attack.train.clean, normalisation)
    parameters = {
        "called": called,
        "format": origin,
        "content": digest_of_tensors(model.state_dict()),
    }
    defense: Any = create("defense", in_role("defense"), parameters)
    folder = attack.folder / "defense" / imported_name(called, origin)
    return cast(
        DefenseResult, defense.holding(model).defense(attack.path, device="cpu", save_path=folder)
    )


def imported_name(called: str, origin: str) -> str:
    """Return the name of the folder for a defense that was run elsewhere. It differs from that of
    our own defense of the same name.
    """
    return safe_name(f"{origin}-{called}".lower())
