"""What people call the splits of a data set, in any case and with any usual word around it."""

from __future__ import annotations

import re
from typing import NamedTuple

from benchbd.api import Split

TRAIN = ("train", "training", "trainval")
TEST = ("test", "testing", "val", "valid", "validation", "eval", "evaluation", "dev")
"""Words for each split; of several test splits the first of these counts."""

FILLERS = frozenset(
    {"set", "sets", "data", "dataset", "image", "images", "img", "imgs", "split", "folder", "of"}
)
"""Words around them that mean nothing of their own."""

_ENDING = re.compile(rf"({'|'.join(sorted((*TRAIN, *TEST), key=len, reverse=True))})(set|data)")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


class SplitName(NamedTuple):
    """What a name says: the split, how early its word stands among those for it, and the words in
    front, by which two splits belong together.
    """

    split: Split
    rank: int
    prefix: str


def split_name(name: str) -> SplitName | None:
    """The split that a folder or a file of that name holds; None for a name of something else.

    >>> split_name("Training"), split_name("cats")
    (SplitName(split='train', rank=1, prefix=''), None)
    """
    words = [_ENDING.sub(r"\1", word.lower()) for word in _WORD.findall(name)]
    words = [word for word in words if word not in FILLERS]
    place = next((k for k, word in enumerate(words) if word in (*TRAIN, *TEST)), None)
    if place is None:
        return None
    split: Split = "train" if words[place] in TRAIN else "test"
    rank = (TRAIN if split == "train" else TEST).index(words[place])
    return SplitName(split, rank, " ".join(words[:place]))
