"""Texts from result files, which may hold anything. They are shown on one line, without control
characters, and cut at a greatest length.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

LONGEST_LABEL = 80
LONGEST_TEXT = 2000

_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\s]+"
)


def one_line(value: Any, longest: int = LONGEST_TEXT) -> str:
    """Return the text of a value, with every run of blanks, line ends and control characters as one
    blank; its end cut off.
    """
    return cut(_CONTROLS.sub(" ", str(value)[: 10 * longest]).strip(), longest)


def cut(text: str, longest: int) -> str:
    """Return the text with at most `longest` characters, the last of which is then an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def label(value: Any) -> str:
    """Return a short name. Two long names that differ have short names that differ, too."""
    text = one_line(value)
    if len(text) <= LONGEST_LABEL and text == value:
        return text
    return f"{cut(text, LONGEST_LABEL - 9)} {hashlib.sha256(repr(value).encode()).hexdigest()[:8]}"
