"""The extras that the package declares, and what of them is installed."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from benchbd.plugin import extras as module
from benchbd.plugin.extras import extras

DECLARED = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())


def test_all_that_the_project_declares_are_listed() -> None:
    assert [extra.name for extra in extras()] == sorted(
        DECLARED["project"]["optional-dependencies"]
    )


def test_packages_that_are_not_installed_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.distribution

    def without(package: str) -> object:
        if package == "submitit":
            raise PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(module, "distribution", without)
    (slurm,) = [extra for extra in extras() if extra.name == "slurm"]
    assert (slurm.missing, slurm.remedy) == (("submitit",), "pip install 'benchbd[slurm]'")
