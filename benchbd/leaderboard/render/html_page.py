"""The board as one HTML page that opens from disk and makes no request.

Its parts lie beside this file: `page.html.jinja`, own scripts and styles under `web/`, libraries
under `vendor/`. They are joined as they are, and the facts stand among them as data. The policy in
the page's head lets no script run but these, by their digests, and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.render.page_data import inline
from benchbd.leaderboard.render.tables import (
    METRICS_EXPLAINED,
    attack_tables,
    headline_tables,
    summary_line,
)

RENDER_FOLDER = Path(__file__).parent
TEMPLATE = "page.html.jinja"
LIBRARY = "tabulator"
SCRIPTS = (
    *(
        "draw",
        "facts",
        "words",
        "colour",
        "state",
        "filters",
        "tooltip",
        "matrix",
        "grid",
        "rankings",
        "families",
    ),
    *("plot", "scatter", "seeds", "curve", "cell", "download", "overview", "across", "page"),
)
"""Own scripts in the order in which they stand on the page; together they are one function."""
STYLES = ("page", "filters", "overview", "matrix", "grid", "plots", "cell")

_SOURCE_MAP = re.compile(r"^(//# sourceMappingURL=.*|/\*# sourceMappingURL=.*\*/)$", re.MULTILINE)


def to_html(board: Board, facts: dict[str, Any]) -> str:
    """Return the page of a board and its document. Everything from result files goes through
    autoescape, or through `embedded`.
    """
    folder = FileSystemLoader(RENDER_FOLDER)
    environment = Environment(
        loader=folder,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = (library_script(), own_script())
    return environment.get_template(TEMPLATE).render(
        summary=summary_line(board),
        about=METRICS_EXPLAINED,
        sections=[
            (section.title, list(headline_tables(section)), list(attack_tables(section)))
            for section in board.sections
        ],
        faults=board.faults,
        facts=Markup(embedded(inline(board, facts))),  # noqa: S704 - `embedded` leaves nothing that ends the element
        styles=Markup(styles()),  # noqa: S704 - files of this package
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - files of this package
        digests=" ".join(f"'{digest_of_script(script)}'" for script in scripts),
    )


def embedded(value: Any) -> str:
    """Return JSON for a script element: without `<`, so that nothing inside can end the element or
    open another.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).replace(
        "<", "\\u003c"
    )


@cache
def library_script() -> str:
    """Return the script of the charting library, as it stands in the page."""
    return _without_source_map(
        (RENDER_FOLDER / "vendor" / f"{LIBRARY}.min.js").read_text(encoding="utf-8")
    )


@cache
def own_script() -> str:
    """Return all own scripts as one function that sees nothing of the rest of the page's names."""
    parts = [(RENDER_FOLDER / "web" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


@cache
def styles() -> str:
    """Return the style sheets of the page, the charting library's first, as one."""
    library = _without_source_map(
        (RENDER_FOLDER / "vendor" / f"{LIBRARY}_simple.min.css").read_text(encoding="utf-8")
    )
    return "\n".join(
        [
            library,
            *(
                (RENDER_FOLDER / "web" / f"{name}.css").read_text(encoding="utf-8")
                for name in STYLES
            ),
        ]
    )


def digest_of_script(script: str) -> str:
    """Return the digest by which the page's policy knows a script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _without_source_map(text: str) -> str:
    return _SOURCE_MAP.sub("", text)
