"""Beatrix over a training set (Ma, Wang, Sun, Xue, Wen and Xiang, NDSS 2023, 2209.11715).

    1. the deviation of every training sample from the Gram matrices of clean images, as beatrix
       measures that of inputs
    2. samples that deviate more than nearly all clean validation images are removed

Departs from the paper: in what is said of beatrix, and: the class of a sample is the predicted one,
which for poison that was learned is the label it was given.
"""

from __future__ import annotations

from benchbd_zoo.defense.beatrix import Gramian
from benchbd_zoo.defense.parts.sample_filter import SampleFilter


class BeatrixFilter(Gramian, SampleFilter):
    """One pass over the training set."""

    api = 1
