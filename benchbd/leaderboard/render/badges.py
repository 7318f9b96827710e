"""A badge for each ranked defense, as SVG, for the README of its authors."""

from __future__ import annotations

from html import escape

from benchbd.leaderboard.board.contents import Board, Section
from benchbd.leaderboard.board.overview import main_table
from benchbd.leaderboard.board.ranking import Rank
from benchbd.leaderboard.render.tables import ranks
from benchbd.measure.shares import percent
from benchbd.record.keys import safe_name

LETTER_PIXELS = 6.6
"""The approximate width of a letter of the font, in pixels."""


def badges(board: Board) -> dict[str, str]:
    """Return an SVG file, by its name, for each ranked defense of the first table of the board."""
    place = main_table(board.sections)
    if place is None:
        return {}
    section = board.sections[place]
    ranked = [s for s in section.ranking.standings if s.place == "ranked"]
    contending = {d.label for d in section.defenses if d.contends}
    return {
        f"{safe_name(s.defense)}.svg": _badge(section, s, len(ranked))
        for s in sorted(ranked, key=lambda s: s.defense)
        if s.defense in contending and "asr" in s.aggregates
    }


def _badge(section: Section, standing: Rank, of: int) -> str:
    asr, acc = (standing.aggregates[name].mean for name in ("asr", "acc"))
    left = f"backdoors: {section.dataset}"
    right = f"rank {ranks(standing)} of {of}, ASR {percent(asr)}, ACC {percent(acc)}"
    first, second = (round(LETTER_PIXELS * len(words)) + 14 for words in (left, right))
    title = f"{standing.defense}: {right}; {section.title}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{first + second}" height="20" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f'<rect width="{first}" height="20" fill="#444b55"/>'
        f'<rect x="{first}" width="{second}" height="20" fill="#0b5c94"/>'
        '<g fill="#ffffff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" '
        'text-anchor="middle">'
        f'<text x="{first / 2:g}" y="14">{escape(left)}</text>'
        f'<text x="{first + second / 2:g}" y="14">{escape(right)}</text></g></svg>\n'
    )
