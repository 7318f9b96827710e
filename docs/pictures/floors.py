"""Draws docs/pictures/floors.svg: the floors of the core, from the tests' order of imports.

python docs/pictures/floors.py

Which parts there are and what they stand on is read from LAYERS in tests/test_architecture.py,
what is in them from the table in CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW, GAP, LEFT, WIDTH, MARGIN = 24, 4, 34, 690, 12
PLUGINS = 200
"""Width of the box of plugins, right of the core."""

STYLE = """
text { font: 13px "DejaVu Sans", Verdana, sans-serif; fill: #1b2733 }
.name { font-family: "DejaVu Sans Mono", Consolas, monospace; font-weight: bold }
.floor { fill: #e8eef5; stroke: #9fb3c8 } .door { fill: #fbe9c6; stroke: #c99a2e }
.zoo { fill: #e6f2e3; stroke: #86b07c } .arrow { stroke: #5a6b7b; stroke-width: 1.5; fill: none }
.head { fill: #5a6b7b } .page { fill: #ffffff }
"""


def floors() -> list[list[str]]:
    """Parts of the core from the ground up, those of one floor by name."""
    tree = ast.parse((ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    found = [n.value for n in tree.body if isinstance(n, ast.Assign) and is_called(n, "LAYERS")]
    return [sorted(parts) for parts in ast.literal_eval(found[0])]


def is_called(assignment: ast.Assign, name: str) -> bool:
    return [ast.unparse(target) for target in assignment.targets] == [name]


def contents() -> dict[str, str]:
    """What is in each part, in the words of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("<!-- floors -->")[2].partition("<!-- /floors -->")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, flags=re.M))


def svg(order: Sequence[Sequence[str]], words: dict[str, str]) -> str:
    """The picture: the command line at the top, the ground at the bottom, plugins at the door."""
    rows = [(part, floor) for floor, parts in enumerate(order) for part in parts]
    height = 2 * MARGIN + len(rows) * ROW + (len(order) - 1) * GAP
    tops = {
        part: height - MARGIN - (place + 1) * ROW - floor * GAP
        for place, (part, floor) in enumerate(rows)
    }
    width = LEFT + WIDTH + PLUGINS + 2 * MARGIN + 30
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img">',
            "<title>The floors of the core: each part imports from those below it</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{width}" height="{height}"/>',
            *(floor_box([tops[part] for part in parts], "api" in parts) for parts in order),
            *(row(part, top, words[part]) for part, top in tops.items()),
            *plugin_box(tops["api"]),
            *imports_arrow(height),
            "</svg>",
            "",
        ]
    )


def floor_box(tops: Sequence[int], door: bool) -> str:
    kind = "door" if door else "floor"
    return (
        f'<rect class="{kind}" x="{LEFT}" y="{min(tops)}" width="{WIDTH}" '
        f'height="{len(tops) * ROW}" rx="4"/>'
    )


def row(part: str, top: int, words: str) -> str:
    plain = escape(words.replace("`", ""))
    return (
        f'<text class="name" x="{LEFT + 10}" y="{top + 17}">{escape(part)}</text>'
        f'<text x="{LEFT + 125}" y="{top + 17}">{plain}</text>'
    )


def plugin_box(door: int) -> list[str]:
    """Plugins, from here and from elsewhere, which see the door and nothing behind it."""
    left, middle = LEFT + WIDTH + MARGIN + 30, door + ROW // 2
    lines = ("benchbd_zoo", "your package", "./my_defense.py")
    return [
        f'<rect class="zoo" x="{left}" y="{middle - 42}" width="{PLUGINS}" height="84" rx="4"/>',
        f'<text x="{left + 10}" y="{middle - 22}">plugins import only this</text>',
        *(
            f'<text class="name" x="{left + 10}" y="{middle - 2 + 18 * place}">{line}</text>'
            for place, line in enumerate(lines)
        ),
        *arrow((left, middle), (LEFT + WIDTH + 2, middle)),
    ]


def imports_arrow(height: int) -> list[str]:
    return arrow((LEFT // 2, MARGIN), (LEFT // 2, height - MARGIN))


def arrow(start: tuple[int, int], end: tuple[int, int]) -> list[str]:
    """A straight arrow, to the left or down."""
    (x, y), across = end, start[1] == end[1]
    head = f"{x},{y} {x + 9},{y - 5} {x + 9},{y + 5}" if across else ""
    head = head or f"{x},{y} {x - 5},{y - 9} {x + 5},{y - 9}"
    return [
        f'<path class="arrow" d="M{start[0]} {start[1]} L{x} {y}"/>',
        f'<polygon class="head" points="{head}"/>',
    ]


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(svg(floors(), contents()), encoding="utf-8")
