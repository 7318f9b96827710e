"""Options in YAML: what is read as what, what is refused, and that a refusal says where."""

from __future__ import annotations

import os
import random
import time
from itertools import pairwise
from pathlib import Path

import pytest

from benchbd.errors import ConfigError
from benchbd.leaderboard.against_papers.paper_numbers import load_published
from benchbd.options import parse_yaml, read_yaml
from benchbd.running.protocol import load_protocol


def test_numbers_that_are_what_they_look_like(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    path.write_text("a: [0, -7, 0.5, 00.5, 1_000, 0x1F, '010', '1:30', timm:resnet18, 1e-3]")
    assert read_yaml(path)["a"] == [
        0,
        -7,
        0.5,
        0.5,
        1000,
        31,
        "010",
        "1:30",
        "timm:resnet18",
        "1e-3",
    ]


@pytest.mark.parametrize(
    "content",
    [
        "a: &a [1, 1, 1, 1]\n"
        + "".join(f"{y}: &{y} [*{x}, *{x}, *{x}, *{x}]\n" for x, y in pairwise("abcdefghijklmno")),
        "a: &a [*a]",
        "a: &a {b: *a}",
        "a: " + "[" * 100_000,
        "name: " + "x" * 2**20,
    ],
    ids=["repeats of repeats", "a list in itself", "a table in itself", "deep", "long"],
)
def test_files_that_would_fill_the_memory_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"no file of options|is not YAML"):
        read_yaml(path)


def test_a_refusal_says_where(tmp_path: Path) -> None:
    path = tmp_path / "slip.yaml"
    path.write_text("name: small\nseeds: [0, 1\n")
    with pytest.raises(ConfigError, match=rf'in "{path}", line 3, column 1') as refused:
        read_yaml(path)
    assert "<unicode string>" not in str(refused.value)
    with pytest.raises(ConfigError, match=r"^--set x is not YAML.*\n?.*010 would be read as 8"):
        parse_yaml("[1, 010]", "--set x")


SLIPS = {
    "a date that is none": "name: 2024-13-45",
    "a date": "name: 2024-12-13",
    "a word as a number": "name: !!int abc",
    "a word as a fraction": "name: !!float abc",
    "no digit": "name: 0x_",
    "no binary digit": "name: 0b_",
    "nothing as a number": "name: !!int ''",
    "a word as yes or no": "name: !!bool abc",
    "a word as a date": "name: !!timestamp abc",
    "bytes": "name: !!binary '%'",
    "a set": "name: !!set {a, b}",
    "pairs": "name: !!pairs [a: 1]",
    "an equals sign": "name: =",
    "a list as a key": "? [1]\n: 2",
    "a merge of a number": "a: {<<: 3}",
    "many digits": "seeds: [" + "1" * 5_000 + "]",
    "many binary digits": "seeds: [0b" + "1" * 5_000 + "]",
    "many sixtieths": "seeds: [1" + ":5" * 20_000 + "]",
    "no end": "lr: .inf",
    "no number": "lr: .nan",
    "too large": "lr: 1.0e+999",
    "half of a character": r'name: "\ud800"',
    "no character": r'name: "a\0b"',
    "a key twice": "name: a\nname: b",
    "an alias of nothing": "name: *a",
    "a merge of itself": "a: &a {<<: *a}",
    "merges of merges": "a0: &a0 {k: 1}\n"
    + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30)),
    "many keys": "{" + ", ".join(f"{n:x}: " for n in range(12_000)) + "}",
    "many anchors": "\n".join(f"- &a{n} 1" for n in range(21_000)),
    "many lists": "[" + "[]," * 40_000 + "]",
    "deep tables": "\n".join(" " * n + "a:" for n in range(300)),
    "deep lists": "a: " + "[" * 200 + "]" * 200,
    "another document": "a: 1\n---\nb: 2",
}


@pytest.mark.parametrize("text", SLIPS.values(), ids=SLIPS)
def test_every_slip_is_a_refusal_at_once_that_says_where(text: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ConfigError, match=r"^mine\.yaml (is not YAML|unfolds to)") as refused:
        parse_yaml(text, "mine.yaml")
    assert time.perf_counter() - start < 2  # seconds it took before, and minutes for some
    assert 'in "mine.yaml", line ' in str(refused.value) or "unfolds" in str(refused.value)
    assert len(str(refused.value)) < 1_000


def test_what_stays_welcome() -> None:
    text = "a: &a {x: 1}\nb: {<<: *a, y: [*a, ~, yes, '=', '2024-12-13', 1.5e+3]}\nc: |\n  x\n  y\n"
    assert parse_yaml(text, "mine") == {
        "a": {"x": 1},
        "b": {"x": 1, "y": [{"x": 1}, None, True, "=", "2024-12-13", 1500.0]},
        "c": "x\ny\n",
    }
    assert parse_yaml("", "mine") is None


@pytest.mark.parametrize("key", ["k", "a_long_name"])
def test_of_merged_tables_the_first_counts_and_own_keys_before_all(key: str) -> None:
    """As https://yaml.org/type/merge.html has it."""
    tables = f"a: &a {{{key}: 1, x: 1}}\nb: &b {{{key}: 2, y: 2}}\n"
    read = parse_yaml(tables + f"c: {{<<: [*a, *b]}}\nd: {{{key}: 3, <<: *a}}", "mine")
    assert read["c"] == {key: 1, "x": 1, "y": 2}
    assert read["d"] == {key: 3, "x": 1}


def test_a_key_may_be_given_anew_beside_a_merge_that_is_merged_itself() -> None:
    text = "base: &base {k: 1}\nx: {y: &a {<<: *base, k: 2}}\nb: {<<: *a, z: 3}"
    assert parse_yaml(text, "mine")["b"] == {"k": 2, "z": 3}


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", tmp_path):
        with pytest.raises(ConfigError, match="it is no file"):
            read_yaml(path)


ROOT = Path(__file__).parents[1]
WHOLE = [
    *(ROOT / "leaderboard" / "protocols").glob("*.yaml"),
    *(ROOT / "leaderboard" / "published").glob("*.yaml"),
    ROOT / "plugins" / "example" / "src" / "benchbd_example" / "registry.yaml",
]
SCRAPS = (
    *("0x_", "!!int a", "2024-13-45", "*a", "&a", "<<: *a", "? ", "- ", ": ", "{", "}", "[", "]"),
    *("'", '"', "|", ">", "%", "@", "`", "#", "\t", "\r", "\n", "\0", "\x85", "\ufeff", "\u2028"),
    *(
        "---",
        "...",
        "~",
        "yes",
        ".nan",
        "-.inf",
        "1:30",
        "010",
        "1e999",
        "!!set",
        "!x",
        "\U0001f600",
    ),
    *("0", "-1", "99999999999999999999", "''", "[]", "{}", "null", "true", "é"),
)


def mutated(text: str, draw: random.Random) -> str:
    """The text with one to four places cut out, doubled, exchanged or written over."""
    for _ in range(draw.randint(1, 4)):
        start = draw.randrange(len(text) + 1)
        stop = min(len(text), start + draw.choice((0, 1, 2, 5, 20, 80)))
        put = draw.choice(
            ("", text[start:stop] * 2, draw.choice(SCRAPS), draw.choice(text.splitlines() or [""]))
        )
        text = text[:start] + put + text[stop:]
    return text


@pytest.mark.slow
@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_whatever_becomes_of_a_file_it_is_read_or_refused(path: Path, tmp_path: Path) -> None:
    """No other error, and no long wait; of protocols and published tables typed content, too."""
    draw, text, changed = random.Random(path.stem), path.read_text(), tmp_path / path.name
    read = {"protocols": load_protocol, "published": load_published}.get(
        path.parent.name, read_yaml
    )
    refused = 0
    for _ in range(60):
        changed.write_text(mutated(text, draw), newline="")
        start = time.perf_counter()
        try:
            read(changed)
        except ConfigError as error:
            refused += 1
            assert str(changed) in str(error)
        assert time.perf_counter() - start < 2
    assert refused > 10
