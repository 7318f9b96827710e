"""What is said of a machine: folders as they are, the processor by its name, kernels as they
compute.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchbd.cli import doctor
from benchbd.plugin.extras import Extra
from support.command_line import told


@pytest.fixture
def few_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep over convolutions has tests of its own."""
    monkeypatch.setattr(doctor, "_convolutions", lambda: "not looked at")


def test_every_finding_has_its_line(few_shapes: None, tmp_path: Path) -> None:
    lines = dict(line.split(maxsplit=1) for line in told("doctor", cwd=tmp_path).splitlines())
    assert lines["torch"].startswith(torch.__version__)
    assert {"benchbd", "python", "torchvision", "cores", "gpus", "bf16", "precision"} <= set(lines)
    assert lines["results"] == f"{tmp_path / 'record'} (not there yet)"


def test_as_json_every_finding_is_a_text(few_shapes: None, tmp_path: Path) -> None:
    found = json.loads(told("doctor", "--json", cwd=tmp_path))
    assert found["torch"].startswith(torch.__version__)
    assert all(isinstance(text, str) for text in found.values())


def test_an_extra_that_is_missing_comes_with_the_command_that_brings_it() -> None:
    assert doctor._installed(Extra("onnx", ())) == "installed"
    said = doctor._installed(Extra("onnx", ("onnx", "onnxscript")))
    assert said == "not installed (onnx, onnxscript missing): pip install 'benchbd[onnx]'"


def test_folders_are_said_to_be_there_and_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor._folder(tmp_path) == f"{tmp_path} (writable)"
    monkeypatch.setattr("os.access", lambda path, how: False)
    assert doctor._folder(tmp_path) == f"{tmp_path} (NOT writable)"


def test_who_chose_the_precision_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCHBD_PRECISION", raising=False)
    assert doctor._whose_choice() == "chosen by the hardware"
    monkeypatch.setenv("BENCHBD_PRECISION", "fp32")
    assert doctor._whose_choice() == "by BENCHBD_PRECISION"


def test_wrong_kernels_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "benchbd.engine.convolutions.find_disagreements",
        lambda shapes, precision: shapes[:1] if precision == "bf16" else [],
    )
    said = doctor._convolutions()
    assert "1 of " in said and "are WRONG against float64: 1x1, stride 1, padding 0, over" in said
