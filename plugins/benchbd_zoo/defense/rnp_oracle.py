"""Reconstructive Neuron Pruning with the threshold chosen by the test set, as some reference code
does.

The masks are those of `rnp`; of all thresholds that lose at most the share `acc_ratio` of accuracy
on the clean test set, the one at which fewest triggered test images succeed. No defender can do
this: it shows how much of a published number is the choice. The value that the honest rule would
have taken is in the notes.
"""

from __future__ import annotations

from benchbd.api import OracleSelection
from benchbd_zoo.defense.rnp import RNP


class RNPOracle(OracleSelection, RNP):
    """Not a defense; never ranked."""

    api = 1
    results_version = 2
