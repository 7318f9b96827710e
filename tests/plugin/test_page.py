"""The page of a plugin: what class and card say, in Markdown."""

from __future__ import annotations

import dataclasses

import pytest

from benchbd.plugin.entry import KINDS, PluginEntry
from benchbd.plugin.page import page, pages
from benchbd.plugin.registry import entries, find, load


def test_a_page_says_what_the_class_and_the_card_say() -> None:
    text, cls = page(find("defense", "anp")), load("defense", "anp")
    rows = [[cell.strip() for cell in line.split(" | ")] for line in text.splitlines()]
    assert text.startswith("# anp\n\n*defense, repair*: prunes channels")
    assert (
        "[Adversarial Neuron Pruning Purifies Backdoored Deep "
        "Models](https://arxiv.org/abs/2110.14430), 2021" in text
    )
    assert "benchbd run --attack ATTACK --defense anp" in text
    meaning = "size of the perturbation, relative to each weight"
    assert ["| `anp_eps`", "float", "`0.4`", ">= 0", f"{meaning} |"] in [
        [*row[:4], " ".join(row[-1].split())] for row in rows
    ]
    assert any(row[:3] == ["| `pruning_by`", "threshold\\|number", "`threshold`"] for row in rows)
    assert all(any(row[0] == f"| `{name}`" for row in rows) for name in cls.model_fields)
    assert "    1. every channel of every normalisation layer gets a mask" in text


def entry(kind: str = "defense", **card: object) -> PluginEntry:
    """The bundled fine-tuning under another card."""
    bundled = find(kind, {"defense": "ft", "dataset": "imagefolder"}[kind])
    return dataclasses.replace(bundled, card=bundled.card | card)


@pytest.mark.parametrize(
    ("card", "line"),
    [
        ({"cost": "Z"}, "- Cost: Z, reads weights alone, seconds"),
        ({"needs": ["gpu", "path"]}, "- Needs: gpu, path"),
        ({"trains": ["surrogate"]}, "- Trains first: surrogate"),
        ({"steps": 1000}, "- Steps of optimizers in the setting of the reference: 1,000"),
        ({"clean_data": "5 %"}, "- Clean data: 5 %"),
    ],
)
def test_facts_of_the_card_are_lines(card: dict[str, object], line: str) -> None:
    assert line in page(entry(**card)).splitlines()


def test_what_only_stands_for_something_imported_has_no_command() -> None:
    assert "benchbd run" in page(entry())
    assert "benchbd run" not in page(entry(role="imported"))


def test_data_in_a_folder_are_given_that_folder() -> None:
    command = "benchbd run --attack ATTACK --dataset imagefolder --set dataset.path=FOLDER"
    assert command in page(entry("dataset"))


def test_there_is_a_page_for_each_plugin_and_one_that_leads_to_them() -> None:
    found = pages("benchbd")
    listed = {
        f"{kind}/{e.name}.md" for kind in KINDS for e in entries(kind) if e.provider == "benchbd"
    }
    assert found.keys() == listed | {"index.md"}
    assert all(f"({name})" in found["index.md"] for name in listed)
    assert pages("nobody").keys() == {"index.md"}
