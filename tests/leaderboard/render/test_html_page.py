"""The page as a file: what it carries, whom it lets run, where its libraries come from."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.board.curves import MAX_CURVE_POINTS, thinned, traces
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.render import page_data as thinning
from benchbd.leaderboard.render.html_page import RENDER_FOLDER, SCRIPTS, STYLES, to_html
from benchbd.leaderboard.render.json_document import document
from benchbd.leaderboard.render.page_data import board_digest, inline
from benchbd.leaderboard.render.vendor.fetch import LIST, FetchRefused, check, main
from benchbd.measure.shares import Curve, CurvePoint, OperatingPoint
from support.made_cells import make_cell

POINT = CurvePoint(value=0.5, acc=0.9, asr=0.2, rc=0.7)


def curve(count: int, chosen: int | None = None) -> Curve:
    return Curve(
        axis="threshold",
        chosen=chosen,
        points=tuple(POINT.model_copy(update={"value": v / count}) for v in range(count)),
    )


@pytest.fixture
def small() -> Board:
    cells = [
        make_cell(a, d, s, (900, 90 + s, 720), curves=(curve(5, 2),))
        for a in "ab"
        for d in ("x", "y")
        for s in range(3)
    ]
    return board(map(row_of, cells))


def page(of: Board) -> str:
    return to_html(of, document(of))


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


def test_it_carries_the_figures_of_the_board(small: Board) -> None:
    carried = json.loads(json.dumps(inline(small, document(small))))
    section, stated = carried["sections"][0], document(small)["sections"][0]
    assert len(section["entries"]) == len(stated["entries"]) == 4
    for entry, facts in zip(section["entries"], stated["entries"], strict=True):
        for place, name in enumerate(carried["figures"][:4]):
            assert entry[1][place] == [
                facts["metrics"][name][part] for part in ("mean", "low", "high")
            ]
        assert [cell[2] for cell in entry[6]] == [key[:12] for key in facts["cells"]]
        assert [cell[3][1] for cell in entry[6]] == facts["metrics"]["asr"]["values"]


def test_each_defense_is_compared_with_the_first(small: Board) -> None:
    (section,) = inline(small, document(small))["sections"]
    assert section["against"] == {"y": {"than": "x", "difference": 0.0, "p": 1.0, "adjusted": 1.0}}


def test_a_board_has_digits_that_change_with_its_facts(small: Board) -> None:
    other = board([row_of(make_cell())])
    assert re.fullmatch("[0-9a-f]{12}", board_digest(document(small)))
    assert board_digest(document(small)) != board_digest(document(other))
    assert board_digest(document(small)) in page(small)


def test_many_curves_are_thinned_to_one_seed(small: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_curves() -> list[int]:
        (section,) = inline(small, document(small))["sections"]
        return [sum(bool(cell[10]) for cell in entry[6]) for entry in section["entries"]]

    assert with_curves() == [3] * 4
    monkeypatch.setattr(thinning, "MAX_PAGE_POINTS", 10)
    assert with_curves() == [1] * 4
    assert '"every_seed":false' in page(small)


@pytest.mark.parametrize(
    ("count", "chosen"), [(1, None), (60, 7), (61, 33), (512, 511), (513, 100)]
)
def test_long_curves_keep_ends_and_choice(count: int, chosen: int | None) -> None:
    places = thinned(count, chosen)
    assert places[0] == 0 and places[-1] == count - 1
    assert chosen is None or chosen in places
    assert len(places) <= MAX_CURVE_POINTS + 2
    assert list(places) == sorted(set(places))


def test_traces_hold_what_was_measured() -> None:
    kept = OperatingPoint(
        name="last_within", value=0.4, units=3, validation_acc=0.9, acc=0.9, asr=None, rc=None
    )
    (trace,) = traces(make_cell(curves=(curve(4, 3),), operating_points=(kept,)))
    assert (trace.axis, trace.chosen, trace.points[3]) == ("threshold", 3, (0.75, 0.9, 0.2, 0.7))
    assert trace.kept == (("last_within", (0.4, 0.9, None, None)),)


def test_a_curve_whose_choice_is_nowhere_has_none() -> None:
    (trace,) = traces(make_cell(curves=(curve(4, 99),)))
    assert trace.chosen is None


def packages() -> list[dict[str, Any]]:
    return list(json.loads(LIST.read_text()))


def test_libraries_are_those_that_were_noted() -> None:
    assert main(["--check"]) == 0
    for package in packages():
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"]) and package[
            "integrity"
        ].startswith("sha512-")
        licence = next(f["name"] for f in package["files"] if f["name"].endswith("LICENSE"))
        assert package["licence"] in (LIST.parent / licence).read_text()
    noted = {file["name"] for package in packages() for file in package["files"]}
    assert {
        path.name for path in LIST.parent.iterdir() if path.suffix in (".js", ".css", ".LICENSE")
    } == noted


def test_a_changed_library_is_noticed(tmp_path: Path) -> None:
    (package,) = packages()
    for file in package["files"]:
        (tmp_path / file["name"]).write_bytes((LIST.parent / file["name"]).read_bytes())
    check(package, tmp_path)
    (tmp_path / "tabulator.min.js").write_bytes(b"alert(1)")
    with pytest.raises(FetchRefused, match="is not the file of tabulator-tables"):
        check(package, tmp_path)


def test_a_missing_client_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main([]) == 1
    assert "no npm on the path" in capsys.readouterr().err
