"""What is known of a plugin without importing it."""

from __future__ import annotations

from benchbd.plugin.entry import BUNDLED_PROVIDER, COST_CLASSES, KINDS, PLURALS, PluginEntry
from benchbd.plugin.registry import entries


def test_every_kind_has_a_plural_of_its_own() -> None:
    assert list(PLURALS) == list(KINDS)
    assert PLURALS["attack"] == "attacks" and PLURALS["analysis"] == "analyses"


def test_a_plugin_without_a_card_has_no_summary_and_no_family() -> None:
    entry = PluginEntry("attack", "mine", "me", "1", "mine:Mine")
    assert (entry.summary, entry.family) == ("", "")
    told = PluginEntry("attack", "mine", "me", "1", "mine:Mine", {"summary": "x", "family": "y"})
    assert (told.summary, told.family) == ("x", "y")


def test_every_cost_on_a_bundled_card_is_explained() -> None:
    cards = [e.card for k in KINDS for e in entries(k) if e.provider == BUNDLED_PROVIDER]
    costs = {str(card["cost"]) for card in cards if "cost" in card}
    assert costs and costs <= set(COST_CLASSES)
