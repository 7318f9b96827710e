"""The page in a real browser without a network: it asks for nothing, complains of nothing, and does
what it offers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.board.last_version import LastVersion, nested
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.board.sensitivity import study_of
from benchbd.leaderboard.render.files import publish
from benchbd.measure.shares import Curve, CurvePoint
from benchbd.record.cell import Cell
from support.browser import Visit, started, visit
from support.hostile_texts import HOSTILE, hostile_board
from support.made_cells import make_cell, provided

pytestmark = pytest.mark.slow

VIEWS = (
    *("overview", "matrix", "defenses", "attacks", "families"),
    *("tradeoffs", "seeds", "across", "cells"),
)
MATRIX = "#view=matrix"
DETECTED = {"auroc": 0.9, "tpr_at_1_fpr": 0.5, "tpr_at_5_fpr": 0.7, "tpr": 0.8, "fpr": 0.06}
CURVE = Curve(
    axis="threshold",
    chosen=1,
    points=tuple(CurvePoint(value=v / 4, acc=0.9, asr=1 - v / 4, rc=v / 5) for v in range(5)),
)

FAMILIES = {
    "mend": "repair",
    "watch": "input-detector",
    "slow": "repair",
    "knows": "model-detector",
    "odd": "robust-training",
}
ASR = {
    "patch": {"mend": 90, "watch": 450, "knows": 0, "odd": 881},
    "blend": {"mend": 270, "watch": 9, "knows": 0, "odd": 12},
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with started() as browser:
        yield browser


def cells() -> list[Cell]:
    """Five defenses of four families against two attacks and none, with an oracle, an n/a, a
    timeout and a cell never run.
    """
    found = []
    for attack in ("nothing", "patch", "blend"):
        for defense, family in FAMILIES.items():
            for seed in range(3):
                families = {"attack": "data-poisoning", "defense": family}
                more: dict[str, Any] = {"provenance": {"families": families, "python": "3.11"}}
                more |= {
                    "oracle": defense == "knows",
                    "defense": provided(
                        defense, provider="else" if defense == "odd" else "somebody"
                    ),
                }
                more |= (
                    {"detection": DETECTED}
                    if defense == "watch"
                    else {"curves": (CURVE,)}
                    if defense == "mend"
                    else {}
                )
                hits = (900 + seed, ASR.get(attack, {}).get(defense, 9) + seed, 8)
                if defense == "slow":
                    if attack == "blend" or seed == 2:
                        continue
                    code, reason = (
                        ("n/a", "no convolution")
                        if attack == "nothing"
                        else ("timeout", "too slow")
                    )
                    found.append(make_cell(attack, seed=seed, code=code, reason=reason, **more))  # type: ignore[arg-type]
                else:
                    found.append(make_cell(attack, seed=seed, hits=hits, **more))
    return found


def studied_board() -> Board:
    """The same with a study of one defense, and the version before, in which `odd` was missing and
    `mend` did worse.
    """
    made = cells()
    own = next(cell for cell in made if cell.cell.defense.name == "mend")
    earlier = [
        make_cell(cell.cell.attack, cell.cell.defense, cell.cell.seed, hits=(900, 800, 8))
        if cell.cell.defense.name == "mend"
        else cell
        for cell in made
        if cell.cell.defense.name != "odd"
    ]
    found = board(
        map(row_of, made), studies=study_of([own], own, {"number_of_rounds": 0.125, "rate": 0.025})
    )
    before = nested(board(map(row_of, earlier)).outcomes)
    return replace(
        found, last_version=LastVersion(name="1.0", board="0" * 12, newest="", tables=before)
    )


def published(of: Board, folder: Path) -> Path:
    publish(of, folder)
    return folder / "index.html"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(studied_board(), tmp_path_factory.mktemp("board"))


@pytest.fixture
def seen(chromium: Any, file: Path) -> Iterator[Visit]:
    with visit(chromium, file, viewport={"width": 1300, "height": 900}) as found:
        yield found


def column(page: Any, place: int) -> list[str]:
    """ASR of one column of the matrix."""
    return list(page.locator(f".matrix tbody tr td:nth-child({place + 1}) b").all_text_contents())


def rows(page: Any) -> list[str]:
    return list(page.locator(".matrix tbody .sort").all_text_contents())


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_asks_for_nothing_and_complains_of_nothing(seen: Visit, view: str) -> None:
    page = seen.open(f"#view={view}")
    assert page.locator(f"[role=tab][data-view={view}]").get_attribute("aria-selected") == "true"
    assert page.locator("#view h2, #view .tabulator").first.is_visible()
    assert page.locator("#plain").is_hidden()
    seen.require_quiet()
    assert [url for url in seen.requests if url != "about:blank"] == [seen.file.as_uri()]


def test_the_matrix_says_what_the_other_files_say(seen: Visit) -> None:
    page = seen.open(MATRIX)
    lines = (
        (seen.file.parent / "LEADERBOARD.md")
        .read_text()
        .partition("### ASR / ACC")[2]
        .partition("###")[0]
        .splitlines()
    )
    split = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    table = {name: shares for name, *shares in split}
    for name, row in zip(rows(page), page.locator(".matrix tbody tr").all(), strict=True):
        for stated, td in zip(
            table[f"{name} (oracle)" if name == "knows" else name],
            row.locator("td").all(),
            strict=True,
        ):
            shown = re.findall(r"\d+\.\d", td.text_content())[:2]
            assert shown == re.findall(r"\d+\.\d", stated)


def test_the_entrance_says_what_the_board_says(seen: Visit) -> None:
    page = seen.open()
    words = page.locator(".overview").inner_text()
    for question in ("Which defense?", "Against what?", "At what price?"):
        assert question in words
    assert "comes first" in words
    assert page.locator("svg.price .dot").count() == page.locator("svg.price .to-worst").count() / 2
    for term in ("ACC", "ASR", "RC", "b", "DER"):
        assert page.locator(".terms dt", has_text=re.compile(f"^{term}$")).count() == 1
    page.locator(".tables .link").first.click()
    assert page.locator(".matrix").count() == 1
    page.go_back()
    assert page.locator(".overview").is_visible()


def test_a_link_by_key_opens_the_cell_and_back_goes_back(seen: Visit) -> None:
    cell = next(c for c in cells() if (c.cell.attack.name, c.cell.defense.name) == ("patch", "odd"))
    page = seen.open(f"#view=defenses&key={cell.key}")
    assert page.locator("#cell h2").inner_text() == "odd against patch"
    assert page.get_by_role("dialog", name="odd against patch").is_visible()
    page = seen.open(MATRIX)
    page.locator(".matrix tbody tr", has_text="odd").locator("td").nth(2).click()
    assert re.search(r"key=[0-9a-f]{12}$", seen.fragment)
    page.go_back()
    page.locator("#cell").wait_for(state="hidden")
    assert seen.fragment == MATRIX
    page.locator("[role=tab][data-view=seeds]").click()
    page.go_back()
    assert page.locator(".matrix").is_visible()


def test_where_nothing_is_poisoned_acc_stands_without_a_colour(seen: Visit) -> None:
    page = seen.open(MATRIX)
    sound = page.locator(".matrix tbody tr", has_text="mend").locator("td").first
    assert sound.get_attribute("class") == "sound"
    assert re.fullmatch(r"\d+\.\dACC", sound.text_content())


@pytest.mark.parametrize("view", VIEWS)
def test_no_table_runs_out_of_a_window_of_1280(chromium: Any, file: Path, view: str) -> None:
    with visit(chromium, file, viewport={"width": 1280, "height": 900}) as seen:
        page = seen.open(f"#view={view}")
        page.wait_for_timeout(300)
        too_wide = page.evaluate(
            "[...document.querySelectorAll('.tabulator-tableholder, .matrix-frame')]"
            ".filter(e => e.scrollWidth > e.clientWidth + 1).length"
        )
        assert too_wide == 0


def test_the_browsers_own_search_finds_every_row(seen: Visit) -> None:
    """What is in the document and not hidden is found, wherever it is scrolled to."""
    page = seen.open("#view=cells")
    page.locator(".tabulator-row").first.wait_for()
    rows = len(FAMILIES) * 3
    assert page.locator(".tabulator-row").count() == rows
    assert page.evaluate(
        "[...document.querySelectorAll('.tabulator-row')].every(row => row.innerText.trim())"
    )


def test_paper_has_all_rows(chromium: Any, file: Path, tmp_path: Path) -> None:
    with visit(chromium, file, viewport={"width": 1280, "height": 300}) as seen:
        page = seen.open("#view=cells")
        page.locator(".tabulator-row").first.wait_for()
        page.evaluate(
            "addEventListener('beforeprint', () => { window.printed = "
            "[...document.querySelectorAll('table.tabulator-print-table')].map(t => t.innerText) })"
        )
        assert page.pdf(path=tmp_path / "page.pdf").startswith(b"%PDF")
        (printed,) = page.evaluate("window.printed")
        for name in FAMILIES:
            assert printed.count(name) == 3


def test_what_changed_since_the_last_version_stands_on_the_page(seen: Visit) -> None:
    page = seen.open()
    # `odd` met three attacks with three seeds; `mend` was other against two of them
    said = "9 cells came, 0 went, 9 changed"
    assert f"Since 1.0: {said}" in page.locator("#summary").inner_text()
    page.locator("#news summary").click()
    news = page.locator("#news").inner_text()
    assert "trial@1 · pictures · net" in news and news.count(said) == 2
    assert "mend against patch" in news and "odd against" not in news


def test_sensitivity_is_a_column_and_stands_in_the_sheet(seen: Visit) -> None:
    page = seen.open("#view=defenses")
    row = page.locator("[data-grid=defenses0] .tabulator-row", has_text="mend")
    assert re.search(r"7\.5\s+number_of_rounds 12\.5", row.inner_text())
    page = seen.open(MATRIX)
    page.locator(".matrix tbody tr", has_text="mend").locator("td").nth(2).click()
    assert "number_of_rounds 12.5, rate 2.5; mean 7.5" in page.locator("#cell").inner_text()


def test_figures_are_saved_as_svg(seen: Visit) -> None:
    page = seen.open("#view=tradeoffs")
    with page.expect_download() as caught:
        page.locator("[data-export=svg]").first.click()
    drawn = Path(caught.value.path()).read_text()
    assert drawn.startswith("<svg") and 'xmlns="http://www.w3.org/2000/svg"' in drawn
    assert "var(--" not in drawn and "fill: rgb" in drawn


def test_the_view_is_saved_as_latex(seen: Visit) -> None:
    page = seen.open(f"{MATRIX}&family=input+detector")
    with page.expect_download() as caught:
        page.locator("#latex").click()
    lines = Path(caught.value.path()).read_text().splitlines()
    assert r"\begin{tabular}{lrrr}" in lines
    (row,) = [line for line in lines if line.startswith("watch")]
    assert row.endswith(r"\\") and row.count("&") == 3


def test_statuses_are_seen_as_what_they_are(seen: Visit) -> None:
    page = seen.open(MATRIX)
    row = page.locator(".matrix tbody tr", has_text="slow")
    assert row.locator("td").all_text_contents() == ["n/a", "missing", "timeout"]
    assert "0/9 cells" in row.locator("th").text_content()
    assert page.locator(".matrix .badge.oracle").count() == 1
    row.locator("td").nth(2).hover()
    tip = page.locator("#tip").inner_text()
    assert "timeout" in tip and "too slow" in tip


def test_a_tooltip_has_interval_seeds_status_and_cost(seen: Visit) -> None:
    page = seen.open(MATRIX)
    page.locator(".matrix tbody tr", has_text="mend").locator("td").nth(2).hover()
    tip = page.locator("#tip").inner_text()
    # ASR of 90, 91, 92 of 900: mean 0.10111, deviation 0.00111, half width 4.3027 * 0.00111 /
    # sqrt(3)
    assert re.search(r"ASR\s+10\.1 \[9\.8, 10\.4\]\s+10\.0\s+10\.1\s+10\.2", tip)
    assert "ok · 3 of 3 seeds" in tip and "3.0 s · 100 MB · 50 clean samples" in tip


def test_sorting_by_an_attack_and_back(seen: Visit) -> None:
    page = seen.open(MATRIX)
    before = rows(page)
    title = page.locator(".matrix thead .sort", has_text="patch")
    title.click()
    assert rows(page) == ["knows", "mend", "watch", "odd", "slow"]
    title.click()
    assert rows(page) == ["odd", "watch", "mend", "knows", "slow"]
    assert column(page, 3)[0] == "98.0"
    page.reload()
    assert rows(page) == ["odd", "watch", "mend", "knows", "slow"]
    title.click()
    assert rows(page) == before
    assert seen.fragment == MATRIX


def test_columns_are_sorted_by_a_defense(seen: Visit) -> None:
    page = seen.open(MATRIX)
    page.locator(".matrix tbody .sort", has_text="odd").click()
    assert page.locator(".matrix thead .sort").all_text_contents() == ["nothing", "blend", "patch"]


def test_filters_hide_rows_and_come_back_with_the_address(seen: Visit) -> None:
    page = seen.open(MATRIX)
    page.locator("[data-filter=family] summary").click()
    page.get_by_label("repair").check()
    assert rows(page) == ["mend", "slow"]
    assert seen.fragment == f"{MATRIX}&family=repair"
    page.reload()
    assert rows(page) == ["mend", "slow"]
    page.locator("#find").fill("slow")
    assert rows(page) == ["slow"]
    page.locator("#reset").click()
    assert len(rows(page)) == 5


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        ("&oracle=oracle", {"knows"}),
        ("&images=1+to+100", {"mend", "watch", "knows", "odd"}),
        ("&year=not+stated", {"mend", "watch", "slow", "knows", "odd"}),
        ("&trust=nothing+to+recompute", {"slow"}),
        ("&in=none+such", set()),
        ("&provider=else", {"odd"}),
        ("&clean=not+needed", set()),
        ("&status=timeout", {"slow"}),
        ("&ratio=0+%25", {"mend", "watch", "knows", "odd", "slow"}),
        ("&protocol=none+such", set()),
    ],
)
def test_each_filter_filters(seen: Visit, chosen: str, wanted: set[str]) -> None:
    assert set(rows(seen.open(MATRIX + chosen))) == wanted


def test_filters_do_not_rank_again(seen: Visit) -> None:
    def groups(fragment: str) -> dict[str, str]:
        seen.open(MATRIX + fragment)
        return dict(
            zip(
                rows(seen.page),
                seen.page.locator(".matrix tbody .place").all_text_contents(),
                strict=True,
            )
        )

    assert groups("&family=robust+training") == {
        name: group for name, group in groups("").items() if name == "odd"
    }


def test_a_cell_opens_copies_its_command_and_comes_back(seen: Visit) -> None:
    seen.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = seen.open(MATRIX)
    page.locator(".matrix tbody tr", has_text="mend").locator("td").nth(2).click()
    sheet = page.locator("#cell")
    assert sheet.locator("h2").inner_text() == "mend against patch"
    for words in (
        "Every seed",
        "Curves",
        "Parameters",
        "Provenance",
        "poison_ratio",
        "as stated",
    ):
        assert words in sheet.inner_text()
    assert sheet.locator("svg polyline").count() >= 3
    command = sheet.locator(".command code").inner_text()
    sheet.locator(".command button").click()
    assert page.evaluate("navigator.clipboard.readText()") == command
    keys = {
        cell.key[:12]
        for cell in cells()
        if cell.cell.attack.name == "patch" and cell.cell.defense.name == "mend"
    }
    assert re.fullmatch(r"benchbd reproduce ([0-9a-f]{12})", command)[1] in keys  # type: ignore[index]
    page.reload()
    assert page.locator("#cell h2").inner_text() == "mend against patch"
    page.keyboard.press("Escape")
    page.wait_for_url(
        lambda url: url.endswith(MATRIX), timeout=5000
    )  # a dialog says that it closed only after it did
    assert page.locator("#cell").is_hidden()


def test_two_seeds_show_both_values(chromium: Any, tmp_path: Path) -> None:
    file = published(
        board([row_of(make_cell(seed=seed, hits=(900, 90 * (seed + 1), 0))) for seed in range(2)]),
        tmp_path,
    )
    with visit(chromium, file) as seen:
        page = seen.open("#view=cells")
        assert "10.0, 20.0" in page.locator(".tabulator-row").inner_text()
        page.locator(".tabulator-row button").click()
        assert "[" not in page.locator("#cell tr.mean").inner_text()


def test_a_failed_cell_says_why(seen: Visit) -> None:
    page = seen.open(MATRIX)
    page.locator(".matrix tbody tr", has_text="slow").locator("td").nth(2).click()
    assert "too slow" in page.locator("#cell").inner_text()
    assert "no numbers to reproduce" in page.locator("#cell").inner_text()


def test_the_keyboard_alone_is_enough(seen: Visit) -> None:
    page = seen.open(MATRIX)
    page.locator(".matrix td[tabindex='0']").focus()
    for key in ("ArrowRight", "ArrowDown", "End", "Home", "ArrowRight"):
        page.keyboard.press(key)
    wanted = f"{rows(page)[1]} against blend"
    page.keyboard.press("Enter")
    assert page.locator("#cell h2").inner_text() == wanted
    page.keyboard.press("Escape")
    page.locator("[role=tab][aria-selected=true]").focus()
    page.keyboard.press("ArrowRight")
    assert seen.fragment == "#view=defenses"
    header = page.locator(".tabulator-col[tabindex='0']", has_text="ASR mean").first
    header.focus()
    page.keyboard.press("Enter")
    page.locator("[data-grid=defenses0] [aria-sort=ascending]").wait_for()
    shown = page.locator("[data-grid=defenses0] .tabulator-row .barred.asr").all_inner_texts()
    assert shown == sorted(shown, key=float) and len(shown) == 4


def test_sorting_the_matrix_leaves_the_keyboard_where_it_was(seen: Visit) -> None:
    page = seen.open(MATRIX)
    title = page.locator(".matrix tbody .sort", has_text="odd")
    title.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "odd"
    assert page.locator(".matrix tbody th[aria-sort=ascending]").count() == 1
    page.locator(".matrix thead .sort", has_text="blend").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "blend"


CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const td = document.querySelector(".matrix td.painted");
  const found = [];
  for (const end of ["--gone", "--works"]) for (let much = 0; much <= 100; much += 5) {
    td.style.setProperty("--end", `var(${end})`);
    td.style.setProperty("--much", `${much}%`);
    const below = light(getComputedStyle(td).backgroundColor);
    for (const part of td.querySelectorAll("b, span, i")) {
      const style = getComputedStyle(part), above = light(style.color);
      const contrast = (Math.max(above, below) + 0.05) / (Math.min(above, below) + 0.05);
      found.push(style.opacity === "1" ? contrast : 0);
    }
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_can_be_read_on_every_colour_of_the_matrix(seen: Visit, scheme: str) -> None:
    """The contrast that WCAG 2.2 asks of small text (1.4.3)."""
    page = seen.open(MATRIX)
    page.emulate_media(color_scheme=scheme)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 100 and min(contrasts) >= 4.5


def test_the_view_is_downloaded_as_csv(seen: Visit) -> None:
    page = seen.open(f"{MATRIX}&family=input+detector")
    with page.expect_download() as caught:
        page.locator("#csv").click()
    found = list(csv.DictReader(Path(caught.value.path()).read_text().splitlines()))
    assert [(row["defense"], row["attack"]) for row in found] == [
        ("watch", "nothing"),
        ("watch", "blend"),
        ("watch", "patch"),
    ]
    assert float(found[2]["asr"]) == pytest.approx(451 / 900, abs=1e-6)
    assert found[2]["auroc"] == "0.9"


def test_incomplete_rows_are_imputed_and_called_so(seen: Visit) -> None:
    page = seen.open("#view=defenses")
    assert "Not measurements" in page.locator(".imputed").inner_text()
    assert page.locator("[data-grid=incomplete0] .tabulator-row b").first.inner_text() == "slow"
    assert "0/9 cells" in page.locator("[data-grid=incomplete0]").inner_text()


def test_families_have_columns_of_their_own(seen: Visit) -> None:
    page = seen.open("#view=families")

    page.locator(".card .tabulator-row").first.wait_for()

    def titles(family: str) -> set[str]:
        return set(
            page.locator(".card", has_text=family).locator(".tabulator-col-title").all_inner_texts()
        )

    assert {"AUROC", "TPR at 1 % FPR", "TPR at 5 % FPR", "FPR on clean models"} <= titles(
        "input detector"
    )
    assert {"DER mean", "ACC on sound models"} <= titles("robust training")
    assert "AUROC" not in titles("robust training")


def test_the_front_is_drawn(seen: Visit) -> None:
    page = seen.open("#view=tradeoffs&against=patch")
    marks = page.locator("figure").first.locator(".point")
    assert marks.count() == 4
    # against patch ACC is the same everywhere, so that only the lowest ASR of those that are no
    # oracle is on the front
    assert [
        m.get_attribute("aria-label")
        for m in marks.all()
        if "on-front" in (m.get_attribute("class") or "")
    ] == ["mend"]


def test_every_seed_is_a_dot(seen: Visit) -> None:
    page = seen.open("#view=seeds&against=patch")
    assert page.locator(".dots .dot").count() == 12


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_is_wide_enough(chromium: Any, file: Path, view: str) -> None:
    with visit(chromium, file, viewport={"width": 360, "height": 740}, is_mobile=True) as seen:
        page = seen.open(f"#view={view}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_dark_is_dark(chromium: Any, file: Path) -> None:
    for scheme, dark in (("dark", True), ("light", False)):
        with visit(chromium, file, color_scheme=scheme) as seen:
            colour = seen.open().evaluate("getComputedStyle(document.body).backgroundColor")
            assert (int(re.findall(r"\d+", colour)[0]) < 128) == dark


def test_tables_work_without_scripts(chromium: Any, file: Path) -> None:
    with visit(chromium, file, java_script_enabled=False) as seen:
        page = seen.open(MATRIX)
        assert page.locator("#plain table").first.is_visible()
        assert "Ranking of defenses" in page.locator("#plain").inner_text()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_run_nothing_and_break_nothing(
    chromium: Any, tmp_path: Path, name: str
) -> None:
    file = published(hostile_board(HOSTILE[name]), tmp_path)
    with visit(chromium, file, viewport={"width": 1300, "height": 900}) as seen:
        page = seen.open(MATRIX)
        tags = page.evaluate(
            "[...new Set([...document.querySelectorAll('#app *')].map(e => e.localName))]"
        )
        assert not {"script", "img", "iframe", "object", "link", "base", "meta"} & set(tags)
        for view in VIEWS:
            page.locator(f"[role=tab][data-view={view}]").click()
            assert page.locator("#view > *").count() > 0
        page.locator("[role=tab][data-view=matrix]").click()
        page.locator(".matrix td").first.click()
        assert page.locator("#cell").is_visible()
        page.reload()
        assert page.locator("#cell").is_visible()
        assert page.evaluate("document.querySelectorAll('script').length") == 3
        assert page.evaluate("document.documentElement.scrollWidth") <= 1300
