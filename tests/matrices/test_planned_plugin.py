"""What a plan knows of a plugin: its record, its name elsewhere, and with whom it meets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchbd.errors import ConfigError, PluginNotFound
from benchbd.matrices.planned_plugin import PlannedPlugin, by_class
from benchbd.plugin.registry import create
from benchbd.record.plugin_record import PluginRecord
from benchbd.running.protocol import Choice


@pytest.mark.parametrize(
    ("kind", "name", "traits"),
    [
        ("attack", "badnet", (0.1, False, False, False)),
        ("attack", "clean", (0.0, False, False, False)),
        ("attack", "wanet", (0.1, True, False, False)),
        ("defense", "abl", (0.0, False, True, False)),
        ("defense", "ft", (0.0, False, False, False)),
        ("defense", "anp_oracle", (0.0, False, False, True)),
        ("model", "resnet_small", (0.0, False, False, False)),
    ],
)
def test_traits_are_those_of_the_class(
    kind: str, name: str, traits: tuple[float, bool, bool, bool]
) -> None:
    found = by_class(kind, Choice(name=name))
    assert (found.kind, found.label) == (kind, name)
    assert (
        found.poison_ratio,
        found.controls_training,
        found.needs_poisoned_set,
        found.oracle,
    ) == traits


def test_its_record_is_that_of_the_plugin_with_its_parameters() -> None:
    found = by_class("attack", Choice(name="badnet", params={"size": 2}))
    plugin = create("attack", "badnet", {"size": 2})
    assert found.record == PluginRecord.of(plugin) == PlannedPlugin.of(plugin).record
    assert found.identity == found.record.identity()
    assert type(create("attack", found.found_as)) is type(plugin)


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(PluginNotFound, match="did you mean 'badnet'"):
        by_class("attack", Choice(name="badnets"))
    with pytest.raises(ConfigError, match="size"):
        by_class("attack", Choice(name="badnet", params={"size": 0}))


@pytest.mark.parametrize(
    ("kind", "name", "params", "share"),
    [
        ("defense", "ft", {}, 0.05),
        ("defense", "ft", {"ratio": 0.3}, 0.3),
        ("defense", "ft", {"index": "clean.txt"}, None),
        ("defense", "abl", {}, None),
        ("attack", "badnet", {}, None),
    ],
)
def test_what_is_drawn_as_clean_data(
    kind: str, name: str, params: dict[str, Any], share: float | None, tmp_path: Path
) -> None:
    (tmp_path / "clean.txt").write_text("1 2")
    params = {key: tmp_path / value if key == "index" else value for key, value in params.items()}
    assert by_class(kind, Choice(name=name, params=params)).clean_share(0.05) == share
