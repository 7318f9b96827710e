"""STRIP in its data mode (Gao, Xu, Wang, Chen, Ranasinghe and Nepal, ACSAC 2019, 1902.06531):
training samples as inputs.

    1. the entropy H of every training sample under N clean images, as strip measures that of inputs
    2. samples whose H lies below that of nearly all clean validation images are removed

Departs from the paper: it judges inputs; what is said there of the superposition holds here too.
"""

from __future__ import annotations

from benchbd_zoo.defense.parts.sample_filter import SampleFilter
from benchbd_zoo.defense.strip import Overlaying


class STRIPFilter(Overlaying, SampleFilter):
    """Takes N passes over the training set."""

    api = 1
