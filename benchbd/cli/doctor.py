"""`benchbd doctor`: what this machine offers, what is missing, and what was done about it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import click


@click.command()
def command() -> None:
    """Say what benchbd finds on this machine."""
    for name, finding in _findings():
        click.echo(f"{click.style(f'{name:12}', bold=True)} {finding}")


def _findings() -> list[tuple[str, str]]:
    import torch

    from benchbd.engine.hardware import hardware, has_bf16, keep_blocks_in_heap, usable_cores
    from benchbd.record.attack_result import record_dir
    from benchbd.victim.dataset import data_dir
    from benchbd.victim.torchvision_import import prepare_torchvision

    machine = hardware()
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [
        ("benchbd", version("benchbd")),
        ("python", platform.python_version()),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        ("torchvision", prepare_torchvision()),
        ("cores", str(usable_cores())),
        ("gpus", ", ".join(gpus) or "none"),
        ("device", str(machine.device)),
        ("bf16", "computed natively" if has_bf16(machine.device) else "not native here"),
        ("precision", f"{machine.precision} ({_whose_choice()})"),
        (
            "heap",
            "large blocks stay in the heap"
            if keep_blocks_in_heap()
            else "no glibc here: large blocks are returned to the system",
        ),
        ("data", _folder(data_dir())),
        ("results", _folder(record_dir())),
    ]


def _whose_choice() -> str:
    """Who says which number format is computed in where nobody asks for one."""
    from benchbd.engine.hardware import PRECISION, precision_of_environment

    return "chosen by the hardware" if precision_of_environment() == "auto" else f"by {PRECISION}"


def _folder(path: Path) -> str:
    if not path.exists():
        return f"{path.absolute()} (not there yet)"
    return f"{path.absolute()} ({'writable' if os.access(path, os.W_OK) else 'NOT writable'})"
