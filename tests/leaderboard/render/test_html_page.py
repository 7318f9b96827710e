"""The page as a file: whom it lets run, and that it is all on one page."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.render.html_page import RENDER_FOLDER, SCRIPTS, STYLES
from support.made_boards import page, with_curves


@pytest.fixture
def small() -> Board:
    return with_curves()


def test_only_its_own_scripts_may_run_and_nothing_be_fetched(small: Board) -> None:
    text = page(small)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    allowed = dict(part.split(" ", 1) for part in policy[1].replace("&#39;", "'").split("; "))
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    ]
    assert allowed["script-src"] == " ".join(f"'sha256-{digest}'" for digest in digests)
    assert (
        len(scripts) == 2 and allowed["default-src"] == "'none'" and allowed["img-src"] == "data:"
    )


def test_nothing_on_it_names_another_file(small: Board) -> None:
    text = page(small)
    assert "sourceMappingURL" not in text
    assert not re.search(
        r"\b(src|href)=|@import|url\(", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    )


def test_every_file_of_the_web_folder_is_on_the_page() -> None:
    assert {path.name for path in (RENDER_FOLDER / "web").iterdir()} == {
        f"{n}.js" for n in SCRIPTS
    } | {f"{n}.css" for n in STYLES}
    for path in (RENDER_FOLDER / "web").glob("*.js"):
        assert "innerHTML" not in path.read_text() and "</script" not in path.read_text().lower(), (
            path
        )
