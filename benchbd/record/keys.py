"""The identity of a result: sha256 over canonical JSON."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

SCHEMA = 1
"""Version of everything stored on disk; part of every key."""

KEY_DIGITS = 12
"""Digits of a key in the names of files and in messages."""

MODEL_ONLY = "model-only"
"""The family of a result that was imported without its training set."""

UNDEFENDED = "none"
"""The defense that leaves everything as it is."""

OTHER_MODELS = "other_models"
"""The folder, beside the undefended cells of an attack, of those made on other processors."""

Identity = list[object]
"""The facts about a plugin that are part of a key: its name, the version of its results, its
parameters.
"""


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys, without spaces, in ASCII, and with integers as integers. Raises
    `ValueError` for NaN and infinity.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def key_of(*parts: Any) -> str:
    """Return 64 hexadecimal digits that stand for `parts` and nothing else."""
    return hashlib.sha256(canonical_json([SCHEMA, *parts]).encode()).hexdigest()


def attack_key(
    dataset: Identity, model: Identity, attack: Identity, recipe: dict[str, Any], seed: int
) -> str:
    """Return the key of an attack result, from the identities of its plugins."""
    return key_of("attack", dataset, model, attack, recipe, seed)


def cell_key(attack: str, defense: Identity, clean_budget: float, protocol: str) -> str:
    """Return the key of a cell: its attack result, the defense with its parameters, the budget, the
    protocol.
    """
    return key_of("cell", attack, defense, clean_budget, protocol)


def folder_name(attack: str, dataset: str, model: str, seed: int, key: str) -> str:
    """Return a folder name that tells a person what is inside, made unique by the key."""
    return safe_name("-".join((attack, dataset, model, f"seed{seed}", key[:8])))


def result_name(protocol: str, attack: str, defense: str, seed: int, key: str) -> str:
    """Return where the result of a cell stands under the results folder. protocol: with its
    version. attack, defense: their labels.

    >>> result_name("quick@2", "an_attack", "of:size", 3, "0123456789abcdef")
    'quick/an_attack/of_size/3-0123456789ab.json'
    """
    folders = (protocol.partition("@")[0], safe_name(attack), safe_name(defense))
    return "/".join((*folders, f"{seed}-{key[:KEY_DIGITS]}.json"))


def reference_name(result: str, attacked_model: str) -> str:
    """Return where the undefended cell of one attacked model stands whose key another cell has
    already, made on another processor. result: the name of that other cell.

    >>> reference_name("quick/an_attack/none/3-0123456789ab.json", "fedcba9876543210")
    'quick/an_attack/none/other_models/3-0123456789ab-fedcba987654.json'
    """
    folder, _, file = result.rpartition("/")
    return (
        f"{folder}/{OTHER_MODELS}/{file.removesuffix('.json')}-{attacked_model[:KEY_DIGITS]}.json"
    )


def findings_name(protocol: str, attack: str, seed: int, key: str, analysis: str) -> str:
    """Return where the findings of an analysis of one attacked model stand under the folder of
    findings. protocol: with its version. attack: its label. key: of the attacked model.

    >>> findings_name("quick@2", "an_attack", 3, "0123456789abcdef", "channels")
    'quick/an_attack/3-0123456789ab-channels.json'
    """
    folders = (protocol.partition("@")[0], safe_name(attack))
    return "/".join((*folders, f"{seed}-{key[:KEY_DIGITS]}-{safe_name(analysis)}.json"))


def safe_name(name: str) -> str:
    """Return a name that is one part of a path and stays inside its folder."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".") or "_"


def strip_name(dataset: str, *identities: str) -> str:
    """Return what the strip of an attack on this data set is called, beside the results.

    identities: of the data set and of the attack, with their parameters and versions, so that a
    strip of other ones has another name.

    >>> strip_name("pictures", '["home","pictures"]', '["home","an_attack"]')
    'images-pictures-fc86057386ce.png'
    """
    return f"images-{safe_name(dataset)}-{key_of('strip', *identities)[:KEY_DIGITS]}.png"
