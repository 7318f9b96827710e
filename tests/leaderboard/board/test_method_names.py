"""Short names that tell methods apart."""

from __future__ import annotations

from benchbd.leaderboard.board.method_names import Method, labels
from benchbd.leaderboard.board.text import LONGEST_LABEL, label, one_line
from support.made_cells import provided


def test_a_name_alone_is_its_label() -> None:
    method = Method.of(provided("mend", rate=0.1))
    assert labels([method, method]) == {method: "mend"}


def test_only_what_differs_is_added() -> None:
    first, second = (
        Method.of(provided("mend", rate=rate, steps=3, mode="fast")) for rate in (0.1, 0.2)
    )
    assert labels([first, second]) == {first: "mend (rate=0.1)", second: "mend (rate=0.2)"}


def test_versions_of_results_and_providers_tell_apart() -> None:
    old = Method.of(provided("mend"))
    new = Method.of(provided("mend").model_copy(update={"results_version": 2}))
    assert set(labels([old, new]).values()) == {
        "mend (results_version=1)",
        "mend (results_version=2)",
    }
    other = Method.of(provided("mend", provider="else"))
    assert set(labels([old, other]).values()) == {"somebody/mend", "else/mend"}


def test_the_variant_of_a_provider_is_part_of_the_name() -> None:
    assert Method.of(provided("zoo", variant="net18")).name == "zoo:net18"


def test_parameters_that_say_where_something_lies_do_not_tell_apart() -> None:
    first, second = (
        Method.of(provided("mend", path=path).model_copy(update={"aside": ("path",)}))
        for path in ("/here", "/there")
    )
    assert first == second


def test_long_names_are_cut_and_still_differ() -> None:
    first, second = label("x" * 10_000 + "a"), label("x" * 10_000 + "b")
    assert first != second
    assert max(map(len, (first, second))) <= LONGEST_LABEL


def test_one_line_has_no_controls_and_no_lone_surrogates() -> None:
    assert one_line("a\x1b[31mb\r\nc\u2028d\ud800e\u202ef") == "a [31mb c d e f"
    assert len(one_line("y" * 10_000, 50)) == 50
