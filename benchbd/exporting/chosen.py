"""The choice of the model that is exported: the backdoored one, the one that a defense returned, or
one that a sweep kept.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchbd.engine.classifier import Classifier
from benchbd.engine.inference import predict
from benchbd.errors import ConfigError, RecordError, nearest
from benchbd.record.attack_result import AttackResult
from benchbd.record.cell import Cell
from benchbd.record.defense_result import DEFENSE_FILE, read_defense_result
from benchbd.record.predictions import read_predictions


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
    folder = _folder(attack, defense)
    content = read_defense_result(folder / DEFENSE_FILE)
    state = content["model"] if kept is None else _kept(content, kept, folder)
    cell = content["cell"]
    model, whole = (
        _rebuilt(attack, parameters, folder) for parameters in (state, content["model"])
    )
    require_same_answers(attack, whole, cell, folder)
    metrics = cell.metrics.model_dump() if cell.metrics and kept is None else None
    name = folder.name if kept is None else f"{folder.name}-{kept.rstrip('%')}"
    return ExportedModel(
        _ready(model),
        about
        | {"defense": cell.cell.defense.model_dump(mode="json"), "kept": kept, "metrics": metrics},
        name,
    )


def require_same_answers(attack: AttackResult, model: Classifier, cell: Cell, folder: Path) -> None:
    """Raise `RecordError` unless the model that is rebuilt from stored parameters gives the stored
    predictions of the defended one.

    A kept step of a sweep is rebuilt in the same way as the chosen one, whose predictions are
    stored.
    """
    stored = read_predictions(folder / DEFENSE_FILE, cell)
    precision = cell.cost.precision
    differing = asked = 0
    for images, known in zip((attack.test.images, attack.triggered.images), stored, strict=True):
        places = torch.arange(len(images))[:: max(1, -(-len(images) // SAMPLE))]
        if len(known) != len(images):
            raise RecordError(
                f"{folder / DEFENSE_FILE} has {len(known)} predictions of {len(images)} images; "
                "make it "
                "again"
            )
        now = predict(model, images[places], precision=precision)  # type: ignore[arg-type]
        differing += int((now != known[places]).sum())
        asked += len(places)
    if differing > ROUNDING_SHARE[precision] * asked:
        raise RecordError(
            f"{folder / DEFENSE_FILE} cannot be exported: rebuilt from its parameters, the model "
            "predicts "
            f"{differing} of {asked} "
            "test images otherwise than the defended model did, so the repair is not in them "
            "alone but in a hook or a wrapper; "
            "a repair that is to be exported changes parameters"
        )


SAMPLE = 256
"""Most clean and most triggered test images that are predicted."""

ROUNDING_SHARE = {"fp32": 0.0, "bf16": 0.02}
"""Share of predictions that may differ. In bfloat16, logits are often equal except for rounding,
which differs between machines.
"""


def _rebuilt(attack: AttackResult, state: Any, folder: Path) -> Classifier:
    """Return the attacked network with other parameters. Raises `RecordError` when they do
    not fit.
    """
    model = copy.deepcopy(attack.model)
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = _differences(state, model.state_dict()) or str(error).splitlines()[0]
        raise RecordError(
            f"{folder / DEFENSE_FILE} holds another network than the attacked one and cannot be "
            "exported: "
            f"{reason}"
        ) from None
    return model.eval()


def _differences(found: Any, wanted: Mapping[str, Tensor]) -> str:
    """Return which entries of a state the network lacks, has in addition, or has in another
    shape.
    """
    if not isinstance(found, Mapping):
        return ""
    shapes = {name: tuple(getattr(value, "shape", ())) for name, value in found.items()}
    other = [
        name for name in wanted if name in shapes and shapes[name] != tuple(wanted[name].shape)
    ]
    groups = {
        "missing": [name for name in wanted if name not in shapes],
        "not of the network": [name for name in shapes if name not in wanted],
        "of another shape": [
            f"{name} {shapes[name]} instead of {tuple(wanted[name].shape)}" for name in other
        ],
    }
    return "; ".join(f"{what}: {_few(names)}" for what, names in groups.items() if names)


def _few(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _ready(model: Classifier) -> Classifier:
    """Return a copy on the CPU, in eval mode."""
    return copy.deepcopy(model).cpu().eval()


def _folder(attack: AttackResult, defense: str | None) -> Path:
    known = sorted(path.parent.name for path in attack.folder.glob(f"defense/*/{DEFENSE_FILE}"))
    if defense is None and len(known) == 1:
        return attack.folder / "defense" / known[0]
    if defense in known:
        return attack.folder / "defense" / str(defense)
    stored = f"stored are: {', '.join(known) or 'none'}"
    if defense is None:
        raise ConfigError(
            f"name the model: --defense NAME ({stored}), or --undefended for the backdoored one"
        )
    raise ConfigError(f"no result of the defense {defense!r}{nearest(defense, known, stored)}")


def _kept(content: dict[str, Any], kept: str, folder: Path) -> Any:
    known = content.get("kept", {})
    if kept not in known:
        raise ConfigError(
            f"{folder / DEFENSE_FILE} keeps no model {kept!r}; kept are: "
            f"{', '.join(known) or 'none'}"
        )
    return known[kept]
