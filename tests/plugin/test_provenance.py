"""What a plugin is written in: its own file, and the modules of its package that it is built on."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchbd.api import Repair
from benchbd.plugin.earlier_sources import changed_sources
from benchbd.plugin.provenance import source_digest, sources
from benchbd.plugin.registry import load

FILES = {
    "__init__": "",
    "mine": "from planted.base import Base\n\nclass Mine(Base):\n    api = 1\n",
    "base": "from benchbd.api import Repair\n\nclass Base(Repair):\n    def repair(self, model, "
    "clean, rng):\n"
    "        from .deep import nothing\n        return nothing(model)\n",
    "deep": "import planted.constants\nfrom . import mine\n\ndef nothing(model):\n    return "
    "model\n",
    "constants": "ONE = 1\n",
    "apart": "TWO = 2\n",
}


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of a plugin, what it is built on through one module and another, and a module that
    it does not need.
    """
    folder = tmp_path / "planted"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "planted"]:
        del sys.modules[name]


def plugin() -> type[Repair]:
    found: Any = importlib.import_module("planted.mine")
    return found.Mine  # type: ignore[no-any-return]


def test_all_that_it_is_built_on_is_named(planted: Path) -> None:
    helpers = {
        f"planted.{name}": hashlib.sha256(FILES[name].encode()).hexdigest()
        for name in ("base", "deep", "constants")
    }
    own = hashlib.sha256(FILES["mine"].encode()).hexdigest()
    assert (
        sources(plugin()).digests
        == {"defense.mine": own, "planted": hashlib.sha256(b"").hexdigest()} | helpers
    )
    assert source_digest(plugin()) == own


def test_a_change_of_a_helper_is_told_where_the_result_names_it(planted: Path) -> None:
    today = sources(plugin())
    then = {"sources": today.digests}
    assert changed_sources([today], then) == ""
    changed = {"sources": then["sources"] | {"planted.deep": "0" * 64}}
    assert changed_sources([today], changed) == "made with another source of planted.deep"
    before = {"sources": {"defense.mine": then["sources"]["defense.mine"]}}
    assert changed_sources([today], before) == "", (
        "results made before helpers were noted say nothing of them"
    )


def test_those_of_the_core_are_none_of_a_plugin() -> None:
    assert set(sources(load("defense", "anp_oracle")).digests) == {
        "defense.anp_oracle",
        *(
            f"benchbd_zoo.defense.{name}"
            for name in ("anp", "parts.mask_pruning", "parts.masked_norms")
        ),
    }
