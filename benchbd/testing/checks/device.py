"""Checks of plugins whose model does not lie on the CPU, on a device that is only pretended."""

from __future__ import annotations

import json
import tempfile
import traceback
from pathlib import Path

import torch

from benchbd.api import Analysis, Attack, Model, NotApplicable, Recipe, logits
from benchbd.defense.case import Case
from benchbd.defense.defense import Defense
from benchbd.engine.hardware import Hardware
from benchbd.engine.training import fit
from benchbd.errors import ContractBroken
from benchbd.plugin.plugin import Plugin
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import make
from benchbd.seeds import Seeds, global_random_state
from benchbd.testing import tiny_data
from benchbd.testing.check import check
from benchbd.testing.own_process import run_apart
from benchbd.testing.pretended_device import DEVICE_NAME, RefusedByDevice, pretended_device
from benchbd.testing.result import NotSeen, RuleBroken
from benchbd.testing.subject import Subject, quick
from benchbd.testing.trial import UNUSUAL_SEED, hand_over

BRIEF_RECIPE = Recipe(epochs=1, batch_size=50, lr=0.02, precision="fp32")
DEVICE_CHECK_SECONDS = 600
DEVICE_PROGRAM = """
import json, sys
from benchbd.plugin.registry import load
from benchbd.testing.checks.device import outcome
place, kind, name, architecture, params = sys.argv[1:]
facts = outcome(load(kind, name)(**json.loads(params)), architecture)
open(place, "w").write(json.dumps(facts))
"""


@check("smoke", Attack, Defense, Analysis, Model, apart=True)
def another_device_works(subject: Subject) -> None:
    """It works where the model lies on another device than the CPU: no tensors of two
    devices meet.
    """
    # at every level, because the check is about the device and not the method
    brief = subject.cls(**quick(subject.cls) | subject.settings)
    words = subject.architecture, json.dumps(brief.params)
    facts, _ = run_apart(
        subject, DEVICE_PROGRAM, "running it on another device", DEVICE_CHECK_SECONDS, *words
    )
    if facts["status"] == "not seen":
        raise NotSeen(facts["why"])
    if facts["status"] == "failed":
        raise RuleBroken(facts["why"]) from RuntimeError(facts["trace"])


def outcome(plugin: Plugin, architecture: str) -> dict[str, str]:
    """Return the `status`, passed, failed or not seen, with `why` and `trace`. It works only in a
    process that has computed no gradient yet.
    """
    try:
        with pretended_device() as there, global_random_state(UNUSUAL_SEED):
            _use(plugin, architecture, there.device)
    except (NotApplicable, NotSeen) as answer:
        return {"status": "not seen", "why": str(answer)}
    except ContractBroken as error:
        return {
            "status": "not seen",
            "why": f"the core refused its answer ({error}); another check names the rule",
        }
    except Exception as error:
        if (refusal := _refusal(error)) is None:
            said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            return {
                "status": "not seen",
                "why": f"on a pretended device ({DEVICE_NAME}) it raised {said}; a real one may "
                "know "
                "better",
            }
        return {
            "status": "failed",
            "why": f"with its model on another device ({DEVICE_NAME}) {refusal}",
            "trace": traceback.format_exc(),
        }
    return {"status": "passed"}


def _refusal(error: BaseException | None) -> RefusedByDevice | None:
    """Return the error as a GPU would raise it: this error, or the one that caused it."""
    return (
        error
        if error is None or isinstance(error, RefusedByDevice)
        else _refusal(error.__cause__ or error.__context__)
    )


def _use(plugin: Plugin, architecture: str, device: torch.device) -> None:
    if isinstance(plugin, Defense):
        plugin.respond(
            Case(
                tiny_data.attack_result(architecture),
                Hardware(device, bf16=False),
                plugin.name,
                tiny_data.TINY_CLEAN_BUDGET,
            )
        )
    elif isinstance(plugin, Attack):
        with tempfile.TemporaryDirectory() as folder:
            make(
                AttackJob(
                    tiny_data.PlantedImages(),
                    tiny_data.ARCHITECTURES[architecture](),
                    plugin,
                    BRIEF_RECIPE,
                    0,
                    str(device),
                ),
                Path(folder),
            )
    elif isinstance(plugin, Analysis):
        handed = hand_over(architecture)
        handed.model.to(device)
        plugin.look(handed.scene, handed.rng)
    else:
        assert isinstance(plugin, Model)
        images = tiny_data.images().subset(torch.arange(100))
        model = fit(
            plugin.classifier(images, 0).to(device),
            images,
            BRIEF_RECIPE,
            Seeds(0).generator("shuffle"),
        )
        logits(model, images.images)
