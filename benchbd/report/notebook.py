"""The form in which a notebook shows a run: the table, and the pictures that the run has drawn."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from pathlib import Path

MAX_PICTURE_BYTES = 2**20
"""The most bytes of a picture that is shown, because a notebook keeps all pictures in its own file.
"""


def html_of(text: str, pictures: Iterable[Path]) -> str:
    """Return HTML with `text` as it stands, and below it each of the pictures that exist, under its
    name. The pictures are part of the HTML, so a notebook that is sent to somebody still shows
    them.
    """
    shown = [_figure(path) for path in pictures if _is_small(path)]
    return "\n".join([f"<pre>{html.escape(text)}</pre>", *shown])


def _is_small(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= MAX_PICTURE_BYTES


def _figure(path: Path) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    name = html.escape(f"{path.parent.name}/{path.name}")
    image = f'<img src="data:image/png;base64,{content}" alt="{name}" style="max-width: 100%">'
    return f"<figure>{image}<figcaption>{name}</figcaption></figure>"
