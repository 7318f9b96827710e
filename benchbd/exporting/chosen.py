"""The model that is exported: the backdoored one, the one that a defense gave back, or one that a sweep kept."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchbd.engine.classifier import Classifier
from benchbd.errors import ConfigError, RecordError, nearest
from benchbd.record.attack_result import AttackResult
from benchbd.record.defense_result import FILE, read_defense_result


@dataclass(frozen=True, eq=False)
class Chosen:
    """A model in eval mode, and what it is: architecture, outline, class names, how it was made."""

    model: Classifier
    about: dict[str, Any]
    name: str


def choose(attack: AttackResult, defense: str | None = None, kept: str | None = None, undefended: bool = False) -> Chosen:
    """The model of `defense`, by default of the only one that is stored. kept: one of the models that its sweep kept.

    Raises `ConfigError` for a choice that is none, `RecordError` for a result that cannot be read.
    """
    about = {name: attack.manifest[name] for name in ("model", "found_as", "outline", "class_names", "attack")}
    if undefended:
        return Chosen(_ready(attack.model), about | {"defense": None}, "undefended")
    folder = _folder(attack, defense)
    content = read_defense_result(folder / FILE)
    state = content["model"] if kept is None else _kept(content, kept, folder)
    model = copy.deepcopy(attack.model)
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise RecordError(f"{folder / FILE} holds another network than the attacked one and cannot be exported: {reason}") from None
    cell = content["cell"]
    metrics = cell.metrics.model_dump() if cell.metrics and kept is None else None
    name = folder.name if kept is None else f"{folder.name}-{kept.rstrip('%')}"
    return Chosen(
        _ready(model), about | {"defense": cell.cell.defense.model_dump(mode="json"), "kept": kept, "metrics": metrics}, name
    )


def _ready(model: Classifier) -> Classifier:
    """A copy on the CPU, in eval mode, that counts no passes."""
    ready = copy.deepcopy(model).cpu().eval()
    ready._forward_pre_hooks.clear()
    return ready


def _folder(attack: AttackResult, defense: str | None) -> Path:
    known = sorted(path.parent.name for path in attack.folder.glob(f"defense/*/{FILE}"))
    if defense is None and len(known) == 1:
        return attack.folder / "defense" / known[0]
    if defense in known:
        return attack.folder / "defense" / str(defense)
    stored = f"stored are: {', '.join(known) or 'none'}"
    if defense is None:
        raise ConfigError(f"name the model: --defense NAME ({stored}), or --undefended for the backdoored one")
    raise ConfigError(f"no result of the defense {defense!r}{nearest(defense, known, stored)}")


def _kept(content: dict[str, Any], kept: str, folder: Path) -> Any:
    known = content.get("kept", {})
    if kept not in known:
        raise ConfigError(f"{folder / FILE} keeps no model {kept!r}; kept are: {', '.join(known) or 'none'}")
    return known[kept]
