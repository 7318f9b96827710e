"""The writer and reader of a model as one safetensors file: parameters by name, and in its header
all that is needed to build the network again.
"""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import safetensors.torch
from safetensors import SafetensorError

from benchbd.engine.classifier import Classifier
from benchbd.errors import RecordError
from benchbd.exporting.chosen import ExportedModel
from benchbd.record.attack_result import rebuild, restore_network
from benchbd.record.defense_result import state
from benchbd.record.files import require_ordinary, write_bytes
from benchbd.record.manifest import Outline
from benchbd.record.plugin_record import PluginRecord
from benchbd.victim.model import Model

METADATA_KEY = "benchbd"
"""The entry of the header that describes the model."""


def write_weights(path: Path, chosen: ExportedModel) -> Path:
    """Store the model at `path`. Raises `Unwritable`."""
    header = {"format": "pt", METADATA_KEY: json.dumps(chosen.about, sort_keys=True)}
    return write_bytes(path, safetensors.torch.save(state(chosen.model), header))


def read_model(path: str | Path) -> Classifier:
    """Return the model that `benchbd export safetensors` wrote, in eval mode: images (N, C, H, W)
    in [0, 1] to logits (N, K).

    Raises `RecordError` for a file that is missing, damaged or not written by that command.
    """
    require_ordinary(Path(path))
    try:
        with safetensors.safe_open(path, "pt") as stored:
            about = json.loads((stored.metadata() or {})[METADATA_KEY])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - it is no dictionary
        outline = Outline.model_validate(about["outline"])
        if len(tensors["network.head.weight"]) != outline.num_classes:
            raise ValueError("its head is not made for the classes that it names")
        record = PluginRecord.model_validate(about["model"])
        model = restore_network(rebuild(Model, record, dict(about["found_as"])), outline)
        model.load_state_dict(tensors)
    except (
        SafetensorError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RuntimeError,
    ) as error:
        raise RecordError(
            f"{path} was not written by `benchbd export safetensors`, or is damaged: {error}"
        ) from None
    return model.eval()
