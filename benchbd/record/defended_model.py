"""The defended model, rebuilt from what a defense result holds of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
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
from benchbd.record.predictions import Predicted, read_predictions

SAMPLE_IMAGES = 256
"""Most clean and most triggered test images that are predicted."""

ROUNDING_SHARE = {"fp32": 0.0, "bf16": 0.02}
"""Share of predictions that may differ. In bfloat16, logits are often equal except for rounding,
which differs between machines.
"""


@dataclass(frozen=True, eq=False)
class StoredDefense:
    """The result of a defense in `folder`, beside the attack result that it started from."""

    attack: AttackResult
    folder: Path

    @property
    def path(self) -> Path:
        """The file of the result."""
        return self.folder / DEFENSE_FILE

    @cached_property
    def content(self) -> dict[str, Any]:
        """What the file holds. Raises `RecordError`."""
        return read_defense_result(self.path)

    @property
    def cell(self) -> Cell:
        """What was measured. Raises `RecordError`."""
        cell: Cell = self.content["cell"]
        return cell

    def predictions(self) -> Predicted:
        """Return the predicted classes of the clean (N,) and the triggered (M,) test images. Raises
        `RecordError`.
        """
        found = read_predictions(self.path, self.cell)
        wanted = (len(self.attack.test), len(self.attack.triggered))
        for known, count in zip(found, wanted, strict=True):
            if len(known) != count:
                raise RecordError(
                    f"{self.path} has {len(known)} predictions of {count} images; make it again"
                )
        return found

    def model(self, kept: str | None = None) -> Classifier:
        """Return the defended model in eval mode, or one that its sweep kept.

        Raises `ConfigError` for a kept one that does not exist, and `RecordError` where the model
        cannot be rebuilt from its parameters.
        """
        whole = self._rebuilt(self.content["model"])
        self._require_same_answers(whole)
        return whole if kept is None else self._rebuilt(self._kept(kept))

    def _kept(self, name: str) -> Any:
        known = self.content.get("kept", {})
        if name not in known:
            raise ConfigError(
                f"{self.path} keeps no model {name!r}; kept are: {', '.join(known) or 'none'}"
            )
        return known[name]

    def _rebuilt(self, state: Any) -> Classifier:
        """Return the attacked network with other parameters. Raises `RecordError` when they do not
        fit.
        """
        model = copy.deepcopy(self.attack.model)
        try:
            model.load_state_dict(state)
        except (RuntimeError, TypeError, AttributeError) as error:
            reason = _differences(state, model.state_dict()) or str(error).splitlines()[0]
            raise RecordError(
                f"{self.path} holds another network than the attacked one, which cannot be rebuilt "
                f"from it: {reason}"
            ) from None
        return model.eval()

    def _require_same_answers(self, model: Classifier) -> None:
        """Raise `RecordError` unless the model that is rebuilt from stored parameters gives the
        stored predictions of the defended one.

        A kept step of a sweep is rebuilt in the same way as the chosen one, whose predictions are
        stored.
        """
        precision = self.cell.cost.precision
        differing = asked = 0
        sets = (self.attack.test.images, self.attack.triggered.images)
        for images, known in zip(sets, self.predictions(), strict=True):
            places = torch.arange(len(images))[:: max(1, -(-len(images) // SAMPLE_IMAGES))]
            now = predict(model, images[places], precision=precision)  # type: ignore[arg-type]
            differing += int((now != known[places]).sum())
            asked += len(places)
        if differing > ROUNDING_SHARE[precision] * asked:
            raise RecordError(
                f"{self.path} cannot be used as a model: rebuilt from its parameters, it predicts "
                f"{differing} of {asked} test images otherwise than the defended model did, so the "
                "repair is not in them alone but in a hook or a wrapper; a repair that is to be "
                "rebuilt changes parameters"
            )


def stored_defense(attack: AttackResult, name: str | None) -> StoredDefense:
    """Return the stored result of the defense `name`, or the only one that is stored. Raises
    `ConfigError` where there is none of that name, or several and none is named.
    """
    known = sorted(path.parent.name for path in attack.folder.glob(f"defense/*/{DEFENSE_FILE}"))
    if name is None and len(known) == 1:
        name = known[0]
    if name in known:
        return StoredDefense(attack, attack.folder / "defense" / str(name))
    stored = f"stored are: {', '.join(known) or 'none'}"
    if name is None:
        raise ConfigError(
            f"name the model: --defense NAME ({stored}), or --undefended for the backdoored one"
        )
    raise ConfigError(f"no result of the defense {name!r}{nearest(name, known, stored)}")


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
