"""Whatever stands in the text fields of a result file, every output stays whole and runs none of
it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest

from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.render.csv_parquet import CSV_COLUMNS
from benchbd.leaderboard.render.files import publication
from benchbd.leaderboard.render.html_page import embedded, library_script, own_script
from benchbd.leaderboard.render.json_document import document
from benchbd.leaderboard.render.latex import to_latex
from benchbd.leaderboard.render.page_data import inline
from support.hostile_texts import HOSTILE, hostile_board


class Page(HTMLParser):
    """Counts elements, checks that they nest, and keeps what stands in scripts."""

    void = ("meta", "br", "link", "img", "hr", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        if tag == "script":
            self.scripts.append("")
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data


@pytest.fixture(params=list(HOSTILE), scope="module")
def hostile(request: pytest.FixtureRequest) -> Board:
    return hostile_board(HOSTILE[request.param])


@pytest.fixture(scope="module")
def files(hostile: Board) -> dict[str, str]:
    return publication(hostile)


def test_the_page_holds_its_data_and_no_script_but_its_own(
    files: dict[str, str], hostile: Board
) -> None:
    page = Page(files["index.html"])
    assert page.open == []
    facts, *scripts = page.scripts
    assert json.loads(facts) == json.loads(embedded(inline(hostile, document(hostile))))
    assert scripts == [library_script(), own_script()]
    assert not {
        name for name in page.attributes if name.startswith("on") or name in ("src", "href")
    }


def test_the_page_is_the_same_page_but_for_the_texts(files: dict[str, str]) -> None:
    tame = Page(publication(hostile_board("harmless"))["index.html"])
    assert len(tame.scripts) == 3
    assert files["index.html"].count("<td") == publication(hostile_board("harmless"))[
        "index.html"
    ].count("<td")


def test_markdown_tables_keep_their_columns_and_hold_no_elements(files: dict[str, str]) -> None:
    text = files["LEADERBOARD.md"]
    assert re.search(r"(?<!\\)<[a-zA-Z/!]", text) is None
    tables = re.findall(r"(?:^\|.*\|$\n)+", text, re.MULTILINE)
    assert len(tables) >= 4
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert sum(line.startswith("#") for line in text.splitlines()) == 9


def test_csv_keeps_its_columns_and_holds_no_formula(files: dict[str, str]) -> None:
    header, *rows = csv.reader(io.StringIO(files["leaderboard.csv"]))
    assert tuple(header) == CSV_COLUMNS
    assert [len(row) for row in rows] == [len(CSV_COLUMNS)]
    assert not [
        value for row in rows for value in row if value.startswith(("=", "+", "-", "@", "\t", "\r"))
    ]


def test_latex_keeps_its_columns(hostile: Board) -> None:
    text = to_latex(hostile)
    tables = re.findall(r"\\toprule\n(.*?)\\bottomrule\n\\end\{tabular\}\n", text, re.DOTALL)
    assert len(tables) == text.count(r"\begin{tabular}") >= 3
    for table in tables:
        assert (
            len(
                {
                    len(re.findall(r"(?<!\\)&", line))
                    for line in table.splitlines()
                    if line != r"\midrule"
                }
            )
            == 1
        )
    assert r"\input{" not in text


def test_no_output_holds_controls_or_endless_lines(files: dict[str, str]) -> None:
    for name, text in files.items():
        assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text) is None, name
        text.encode("utf-8")
    assert max(map(len, files["LEADERBOARD.md"].splitlines())) < 5000
