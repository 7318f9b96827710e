"""Each defense as a file of evaluations in the form that model cards on the Hugging Face hub have,
`model-index` (https://huggingface.co/docs/hub/model-cards#evaluation-results).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from benchbd.leaderboard.board.contents import Board, DefenseFacts, Pairing, Section
from benchbd.record.keys import safe_name

HUB_METRICS = {
    "acc": "ACC: clean test images recognised",
    "asr": "ASR: triggered images taken for the attacked label",
    "rc": "RC: triggered images recognised",
    "b": "b: clean images of other classes taken for the attacked label",
    "der": "DER: defense effectiveness, of ASR above b",
}


def model_indices(board: Board) -> dict[str, str]:
    """Return a YAML file for each defense of the board, by its name. Shares are in percent."""
    results: dict[str, list[dict[str, Any]]] = {}
    for section in board.sections:
        for defense in section.defenses:
            if defense.contends:
                mine = results.setdefault(defense.label, [])
                mine += _results(section, defense)
    return {
        f"{safe_name(label)}.yaml": yaml.safe_dump(
            {"model-index": [{"name": label, "results": found}]}, sort_keys=False
        )
        for label, found in sorted(results.items())
        if found
    }


def _results(section: Section, defense: DefenseFacts) -> Iterator[dict[str, Any]]:
    for attack, entries in section.by_attack():
        entry = next(e for e in entries if e.defense == defense.label)
        if entry.measured:
            yield {
                "task": {
                    "type": "image-classification",
                    "name": f"{section.model} attacked by {attack.label}",
                },
                "dataset": {
                    "type": section.dataset,
                    "name": section.title,
                    "split": "test",
                    "args": {"attack": attack.label, "seeds": list(entry.seeds)},
                },
                "metrics": list(_metrics(entry)),
            }


def _metrics(entry: Pairing) -> Iterator[dict[str, Any]]:
    for name, words in HUB_METRICS.items():
        summary = entry.metrics.get(name)
        if summary is not None:
            yield {
                "type": name,
                "name": words,
                "value": round(100 * summary.mean, 4),
                "verified": entry.trust != "as stated",
            }
