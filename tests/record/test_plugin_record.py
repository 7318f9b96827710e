"""Plugins as results name them: by whom they are provided, and what of them is part of a key."""

from __future__ import annotations

import hashlib
from pathlib import Path

from benchbd.plugin.declared import param
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import create
from benchbd.record.plugin_record import PluginRecord


class Loose(Plugin):
    api = 1
    kind = "attack"
    name = "loose"
    results_version = 3

    rate: float = param(0.5, "a share")


def test_a_plugin_knows_its_provider() -> None:
    entry = PluginRecord.of(create("attack", "badnet", {"size": 2}))
    assert (entry.name, entry.provider, entry.params["size"]) == ("badnet", "benchbd", 2)
    digits = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    assert (PluginRecord.of(Loose()).provider, PluginRecord.of(Loose()).version) == (
        "local file",
        digits,
    )


class Located(Loose):
    api = 1
    name = "located"
    aside = ("folder",)

    folder: str = param("here", "where it lies")


def test_identity_leaves_out_where_something_lies() -> None:
    assert PluginRecord.of(Located(folder="there")).identity()[:3] == ["located", 3, {"rate": 0.5}]
    assert PluginRecord.of(Located(folder="there")).params["folder"] == "there"


class Pictured(Loose):
    api = 1
    name = "pictured"

    image: Path | None = param(None, "a picture")


def test_a_file_counts_by_its_content_wherever_it_lies(tmp_path: Path) -> None:
    here, there = tmp_path / "here.png", tmp_path / "there.png"
    here.write_bytes(b"sunrise")
    there.write_bytes(b"sunrise")
    one, same = PluginRecord.of(Pictured(image=here)), PluginRecord.of(Pictured(image=there))
    assert one.identity() == same.identity() and one.params["image"] == str(here)
    assert one.identity()[2] == {"rate": 0.5, "image": hashlib.sha256(b"sunrise").hexdigest()}
    there.write_bytes(b"sunset")
    assert PluginRecord.of(Pictured(image=there)).identity() != one.identity()
    assert PluginRecord.model_validate(one.model_dump(mode="json")).identity() == one.identity(), (
        "what is stored needs no file"
    )


def test_a_folder_and_a_file_that_is_not_there_count_by_their_path(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        assert PluginRecord.of(Pictured(image=path)).identity()[2] == {
            "rate": 0.5,
            "image": str(path),
        }


def test_identity_leaves_out_who_provides_it_in_which_version() -> None:
    packaged = PluginRecord.of(Loose(rate=1)).model_copy(
        update={"provider": "somebody", "version": "1.2"}
    )
    assert packaged.identity() == ["loose", 3, {"rate": 1.0}]


def test_a_file_that_is_still_being_written_is_identified_by_its_digest() -> None:
    assert PluginRecord.of(Loose(rate=1)).identity() == [
        "loose",
        3,
        {"rate": 1.0},
        PluginRecord.of(Loose()).version,
    ]
