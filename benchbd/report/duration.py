"""Durations in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration as a person says it, in the largest unit that it fills.

    >>> duration(20.4), duration(90), duration(5400)
    ('20 s', '2 min', '1.5 h')
    """
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{minutes:.0f} min" if minutes >= 1 else f"{seconds:.0f} s"
