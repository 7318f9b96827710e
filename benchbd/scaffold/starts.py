"""The starts that `benchbd new` can write: for each kind of plugin, one for each family."""

from __future__ import annotations

from benchbd.plugin.entry import KINDS, PLURALS

OBSERVER = "observer"
"""An observer is no plugin of a family: it has no parameters and no card."""

STARTS = {
    "attack": {"data-poisoning": "data-poisoning", "training-controlled": "training-controlled"},
    "defense": {
        "repair": "repair",
        "training-set-repair": "repair",
        "robust-training": "robust-training",
        "data-filter": "data-filter",
        "input-detector": "input-detector",
        "model-detector": "model-detector",
    },
    "analysis": {"analysis": "features"},
    "model": {"model": "convolutional"},
    "dataset": {"dataset": "synthetic"},
    "executor": {"executor": "this machine"},
    OBSERVER: {OBSERVER: ""},
}
"""By kind: the name of each start, which is that of its templates, and the family on the card of
what it writes. The first is the one that is written unless another is asked for.
"""

STARTED_KINDS = (*KINDS, OBSERVER)

FAMILIES = "; ".join(
    f"of {PLURALS[kind]}: {', '.join(starts)}" for kind, starts in STARTS.items() if len(starts) > 1
)
"""The families that there are to choose from, in words."""
