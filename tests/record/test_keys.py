"""The identity of a result."""

from __future__ import annotations

import hashlib

import pytest

from benchbd.record.keys import attack_key, canonical_json, cell_key, folder_name, key_of, safe_name


def test_a_key_is_the_sha256_of_canonical_json() -> None:
    assert canonical_json({"b": [1, 0.5, None], "a": "é"}) == '{"a":"\\u00e9","b":[1,0.5,null]}'
    assert (
        key_of("cell", {"b": 2, "a": 1}) == hashlib.sha256(b'[1,"cell",{"a":1,"b":2}]').hexdigest()
    )


def test_the_order_of_names_does_not_matter_that_of_parts_does() -> None:
    assert key_of({"a": 1, "b": {"c": 2, "d": 3}}) == key_of({"b": {"d": 3, "c": 2}, "a": 1})
    assert key_of(1, 2) != key_of(2, 1)
    assert key_of([1, 2]) != key_of(1, 2)


def test_integers_stay_integers() -> None:
    assert canonical_json([1, 1.0, True]) == "[1,1.0,true]"
    assert key_of(1) != key_of(1.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"a": float("-inf")}]])
def test_what_is_no_number_has_no_key(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        key_of(value)


def test_what_json_does_not_know_has_no_key() -> None:
    with pytest.raises(TypeError):
        key_of({1, 2})


PLUGIN = ["a", 1, {"x": 0.5}]


def test_every_part_changes_a_key() -> None:
    other = ["a", 2, {"x": 0.5}]
    keys = {
        attack_key(PLUGIN, PLUGIN, PLUGIN, {"epochs": 1}, 0),
        attack_key(other, PLUGIN, PLUGIN, {"epochs": 1}, 0),
        attack_key(PLUGIN, other, PLUGIN, {"epochs": 1}, 0),
        attack_key(PLUGIN, PLUGIN, other, {"epochs": 1}, 0),
        attack_key(PLUGIN, PLUGIN, PLUGIN, {"epochs": 2}, 0),
        attack_key(PLUGIN, PLUGIN, PLUGIN, {"epochs": 1}, 1),
        cell_key("k", PLUGIN, 0.05, "p"),
        cell_key("l", PLUGIN, 0.05, "p"),
        cell_key("k", other, 0.05, "p"),
        cell_key("k", PLUGIN, 0.06, "p"),
        cell_key("k", PLUGIN, 0.05, "q"),
    }
    assert len(keys) == 11


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("resnet_small", "resnet_small"),
        ("timm:a/b", "timm_a_b"),
        ("../../etc", "_.._etc"),
        ("..", "_"),
        ("", "_"),
        (".x", "x"),
    ],
)
def test_names_stay_inside_their_folder(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_folder_names_tell_what_is_inside() -> None:
    assert folder_name("a", "d", "timm:m", 3, "0123456789ab") == "a-d-timm_m-seed3-01234567"
