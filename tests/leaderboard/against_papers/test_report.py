"""The page of published numbers: every target in words, a line that counts them, and nothing that
the results do not say.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchbd.leaderboard.against_papers.report import to_page
from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Board
from support.made_cells import provided
from support.published_table import TABLE, cell, of, table


def page(tmp_path: Path, of_what: Board, text: str = TABLE) -> str:
    return to_page([table(tmp_path, text)], of_what)


def narrow(text: str) -> str:
    """The text with one blank for several: tables are aligned."""
    return re.sub(r" +", " ", text)


def test_without_results_every_target_says_so(tmp_path: Path) -> None:
    text = narrow(page(tmp_path, of([])))
    assert (
        "**2 targets: 0 reproduced, 0 not reproduced, 2 not run.** No cell of trial@1 has been "
        "run here." in text
    )
    assert (
        "| none (nothing) | not run | 91.00 / 10.00 / 80.00 | - | - | - | - | - | - | - |" in text
    )
    assert "| mend (Mend) | not run | 91.00 / 10.00 / - | - | - | - | - | - | - | - |" in text
    assert "### patch (Patch, note a)" in text
    assert "Effect on ACC: not measured." in text


def test_a_card_shows_means_intervals_seeds_differences_and_verdict(tmp_path: Path) -> None:
    cells = [cell(seed=seed, hits=(900 + 10 * seed, 90, 720)) for seed in range(3)]
    changed = TABLE.replace("mend: {acc: 91.0, asr: 10.0}", "mend: {acc: 93.0, asr: 35.0}")
    text = narrow(page(tmp_path, of(cells), changed))
    assert "2 targets: 0 reproduced, 1 not reproduced, 1 not run." in text
    assert "No cell of" not in text
    figures = (
        "91.0 \\[88.5, 93.5\\] | 10.0 \\[10.0, 10.0\\] | 80.0 \\[80.0, 80.0\\] | 3/3 | -2.00 | "
        "-25.00"
    )
    assert (
        f"| mend (Mend) | not reproduced: ASR 15 below the band | 93.00 / 35.00 / - | {figures} | "
        "- |" in text
    )


def test_the_line_that_counts_names_what_is_seldom(tmp_path: Path) -> None:
    cells = [
        cell(seed=0),
        *(cell("none", seed, (910, hits, 0)) for seed, hits in enumerate((0, 450, 900))),
    ]
    text = page(tmp_path, of(cells))
    assert (
        "2 targets: 1 reproduced (1 of them by the interval alone), 0 not reproduced, 0 not run, "
        "1 too few seeds." in text
    )


def test_the_other_protocol_stands_beside(tmp_path: Path) -> None:
    cells = [cell(seed=seed, protocol="quick@1", hits=(700 + seed, 90, 720)) for seed in range(2)]
    text = narrow(page(tmp_path, of(cells)))
    assert "| quick: ACC / ASR |" in text
    assert (
        "| mend (Mend) | not run | 91.00 / 10.00 / - | - | - | - | - | - | - | 70.0 / 10.0 (2 "
        "seeds) |" in text
    )


def test_what_is_doubtful_or_stale_is_marked(tmp_path: Path) -> None:
    cells = [cell(seed=seed, doubts=("it guesses",), stale=seed == 1) for seed in range(3)]
    assert "| 3/3, stale, doubtful |" in page(tmp_path, of(cells))


def test_the_images_are_named_by_their_fingerprints(tmp_path: Path) -> None:
    known = [cell(seed=seed) for seed in range(2)]
    strange = cell(seed=2, provenance={"fingerprints": {"train": "c" * 64, "test": "d" * 64}})
    text = page(tmp_path, of([*known, strange, cell("none", provenance={})]))
    assert (
        "- 2 cells of `trial@1`: the pictures; training images `aaaaaaaaaaaa`, test images "
        "`bbbbbbbbbbbb`" in text
    )
    assert (
        "- 1 cells of `trial@1`: images not described here; training images `cccccccccccc`, test "
        "images `dddddddddddd`" in text
    )
    assert (
        "- 1 cells of `trial@1`: images not described here; training images `unknown`, test "
        "images `unknown`" in text
    )


def test_an_effect_that_was_measured_is_told(tmp_path: Path) -> None:
    text = TABLE.replace(
        "about: as they are", "about: as they are\n  effect_on_acc: half a point less"
    )
    assert "Effect on ACC: half a point less." in page(tmp_path, of([]), text)


def test_cells_of_another_setting_and_files_that_are_not_believed_are_counted(
    tmp_path: Path,
) -> None:
    text = page(tmp_path, of([cell(model=provided("wide", "benchbd"))]))
    assert "1 cells call themselves trial@1 and are of another setting; left aside." in text
    assert "2 result files were not believed" in page(
        tmp_path, board([], ["one is broken", "another too"])
    )


def test_differences_notes_and_what_is_left_out(tmp_path: Path) -> None:
    text = narrow(page(tmp_path, of([])))
    for line in ("- `mend`: sewn by hand", "- note a: a remark", "- Cure: nobody has it"):
        assert line in text


def test_texts_cannot_mark_up_the_page(tmp_path: Path) -> None:
    text = page(tmp_path, of([]), TABLE.replace("why: nobody has it", 'why: "<b>|"'))
    assert "&lt;b&gt;\\|" in text


def test_the_order_of_cells_does_not_matter(tmp_path: Path) -> None:
    cells = [cell(defense, seed) for defense in ("none", "mend") for seed in range(3)]
    assert page(tmp_path, of(cells)) == page(tmp_path, of(reversed(cells)))
