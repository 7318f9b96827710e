"""`benchbd doctor`: what this machine offers, what is missing, and how benchbd adapts to it."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from benchbd.plugin.extras import Extra


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one object, a text for each finding.")
def command(as_json: bool) -> None:
    """Say what benchbd finds on this machine: processor, number format, folders, and which optional
    extras are installed.
    """
    findings = _findings()
    if as_json:
        click.echo(json.dumps(dict(findings), indent=1))
        return
    for name, finding in findings:
        click.echo(f"{click.style(f'{name:18}', bold=True)} {finding}")


def _findings() -> list[tuple[str, str]]:
    import torch

    from benchbd.engine.cores import usable_cores
    from benchbd.engine.hardware import hardware, has_bf16, keep_blocks_in_heap
    from benchbd.engine.processor import this_processor
    from benchbd.plugin.extras import extras
    from benchbd.record.attack_files import record_dir
    from benchbd.victim.dataset import data_dir
    from benchbd.victim.torchvision_import import prepare_torchvision

    machine = hardware()
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [
        ("benchbd", version("benchbd")),
        ("python", platform.python_version()),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        ("torchvision", prepare_torchvision()),
        ("processor", str(this_processor())),
        ("cores", str(usable_cores())),
        ("gpus", ", ".join(gpus) or "none"),
        ("device", str(machine.device)),
        ("bf16", "computed natively" if has_bf16(machine.device) else "not native here"),
        ("precision", f"{machine.precision} ({_whose_choice()})"),
        ("convolutions", _convolutions()),
        (
            "heap",
            "large blocks stay in the heap"
            if keep_blocks_in_heap()
            else "no glibc here: large blocks are returned to the system",
        ),
        ("data", _folder(data_dir())),
        ("results", _folder(record_dir())),
        *((f"extra {extra.name}", _installed(extra)) for extra in extras()),
    ]


def _installed(extra: Extra) -> str:
    if not extra.missing:
        return "installed"
    return f"not installed ({', '.join(extra.missing)} missing): {extra.remedy}"


def _convolutions() -> str:
    """Return whether convolutions of small maps are computed correctly, which some kernels get
    wrong.
    """
    from benchbd.engine.convolutions import conv_shapes, find_disagreements

    shapes = list(conv_shapes(kernels=(1, 3), sides=(1, 2, 3)))
    wrong = [f"{shape} in {p}" for p in ("fp32", "bf16") for shape in find_disagreements(shapes, p)]
    if not wrong:
        return f"{len(shapes)} shapes in fp32 and bf16 agree with float64"
    return f"{len(wrong)} of {2 * len(shapes)} are WRONG against float64: {'; '.join(wrong)}"


def _whose_choice() -> str:
    """Return what decides the number format where no option does."""
    from benchbd.engine.hardware import PRECISION_VARIABLE, precision_of_environment

    return (
        "chosen by the hardware"
        if precision_of_environment() == "auto"
        else f"by {PRECISION_VARIABLE}"
    )


def _folder(path: Path) -> str:
    if not path.exists():
        return f"{path.absolute()} (not there yet)"
    return f"{path.absolute()} ({'writable' if os.access(path, os.W_OK) else 'NOT writable'})"
