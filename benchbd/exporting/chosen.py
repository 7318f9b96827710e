"""The choice of the model that is exported: the backdoored one, the one that a defense returned, or
one that a sweep kept.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from benchbd.engine.classifier import Classifier
from benchbd.errors import ConfigError
from benchbd.record.attack_result import AttackResult
from benchbd.record.defended_model import stored_defense


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """A model in eval mode, and its description: architecture, outline, class names, and how it was
    made.
    """

    model: Classifier
    about: dict[str, Any]
    name: str


def choose(
    attack: AttackResult,
    defense: str | None = None,
    kept: str | None = None,
    undefended: bool = False,
) -> ExportedModel:
    """Return the model of `defense`, or of the only one that is stored. kept: one of the models
    that its sweep kept.

    Raises `ConfigError` for a choice that does not exist, and `RecordError` for a result that
    cannot be read.
    """
    told = {"model", "found_as", "outline", "class_names", "attack"}
    about = attack.manifest.model_dump(mode="json", include=told)
    if undefended and (defense is not None or kept is not None):
        raise ConfigError(
            "--undefended names the backdoored model, --defense and --kept name repaired ones; "
            "give one of them"
        )
    if undefended:
        return ExportedModel(_ready(attack.model), about | {"defense": None}, "undefended")
    stored = stored_defense(attack, defense)
    model, cell = stored.model(kept), stored.cell
    metrics = cell.metrics.model_dump() if cell.metrics and kept is None else None
    name = stored.folder.name if kept is None else f"{stored.folder.name}-{kept.rstrip('%')}"
    return ExportedModel(
        _ready(model),
        about
        | {"defense": cell.cell.defense.model_dump(mode="json"), "kept": kept, "metrics": metrics},
        name,
    )


def _ready(model: Classifier) -> Classifier:
    """Return a copy on the CPU, in eval mode."""
    return copy.deepcopy(model).cpu().eval()
