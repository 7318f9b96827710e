"""The step from the outcome of a defense and its measurements to the cell that is stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from torch import nn

from benchbd.defense.case import Case
from benchbd.defense.evaluation import Evaluation
from benchbd.defense.outcome import Outcome
from benchbd.engine.counting import Cost
from benchbd.engine.process_state import describe_changes
from benchbd.errors import ContractBroken
from benchbd.measure.counting import REJECTED
from benchbd.measure.plausible import doubts
from benchbd.measure.shares import Curve, CurvePoint
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.provenance import sources
from benchbd.record.cell import Cell, CellCost, Flags
from benchbd.record.defense_result import DefenseResult
from benchbd.record.ingredients import Coordinates
from benchbd.record.keys import SCHEMA, canonical_json
from benchbd.record.plugin_record import PluginRecord
from benchbd.record.provenance import provenance


@dataclass(frozen=True, eq=False)
class DefenseRun:
    """A defense that has met a case, and all that came of it. epochs: the points measured during
    its training. left_changed: the settings of the process that the defense did not restore.
    """

    defense: Plugin
    family: str
    oracle: bool
    case: Case
    outcome: Outcome
    evaluation: Evaluation
    epochs: list[CurvePoint]
    cost: Cost
    protocol: str
    started: str
    left_changed: tuple[str, ...] = ()


def coordinates(defense: Plugin, case: Case) -> Coordinates:
    """Return the coordinates of the cell in which `defense` meets the case."""
    return case.attack.manifest.coordinates(PluginRecord.of(defense), case.budget)


def describe(run: DefenseRun) -> DefenseResult:
    """Return the result to store. What a defense says about itself goes into the notes; every
    number is measured by the core.
    """
    case, outcome, evaluation = run.case, run.outcome, run.evaluation
    about = coordinates(run.defense, case)
    curves = [evaluation.curve] if evaluation.curve else []
    if run.epochs:
        curves.append(Curve(name="epochs", axis="epoch", points=tuple(run.epochs)))
    cell = Cell(
        schema=SCHEMA,
        key=about.key(run.protocol),
        protocol=run.protocol,
        cell=about,
        attacked_model=case.attack.model_digest(),
        metrics=evaluation.metrics,
        counts=evaluation.counts,
        baseline=case.attack.metrics(),
        detection=outcome.detection,
        curves=tuple(curves),
        operating_points=evaluation.operating_points,
        notes=_plain(outcome.notes, run.defense.name),
        doubts=_doubts(run),
        cost=_cost(run),
        provenance=_provenance(run),
        flags=Flags(oracle=run.oracle, deterministic=case.machine.deterministic),
    )
    return DefenseResult(
        cell,
        outcome.model,
        evaluation.clean_predictions,
        evaluation.triggered_predictions,
        _kept(run),
        tensors=outcome.tensors,
        pictures=outcome.pictures,
    )


def _kept(run: DefenseRun) -> dict[str, nn.Module]:
    """Return the models of a sweep that are stored beside the reported one, by name."""
    sweep = run.outcome.sweep
    if sweep is None:
        return {}
    return {n: sweep.path.at(run.case.model(), step) for n, step in run.outcome.kept.items()}


def _doubts(run: DefenseRun) -> tuple[str, ...]:
    attack, evaluation = run.case.attack, run.evaluation
    found = doubts(
        evaluation.metrics,
        evaluation.counts,
        attack.metrics(),
        attack.test.num_classes,
        attacked=attack.manifest.may_be_attacked(attack.manifest.family),
        predictions=evaluation.clean_predictions[evaluation.clean_predictions != REJECTED],
    )
    changed = run.left_changed
    return (*found, describe_changes(run.defense.name, changed)) if changed else found


def _plain(notes: dict[str, Any], who: str) -> dict[str, Any]:
    """Return the notes as they come back from a JSON file. Raises `ContractBroken` for values that
    JSON does not know.
    """
    try:
        return dict(json.loads(canonical_json(notes)))
    except (TypeError, ValueError) as error:
        raise ContractBroken(
            f"{who} left notes that are not plain values ({error}); tensors go to `tensors`"
        ) from None


def _provenance(run: DefenseRun) -> dict[str, Any]:
    """Return the provenance of the defense. It also names the sources of the plugins that made the
    attack result.
    """
    own = provenance([sources(type(run.defense))], run.started)
    made = run.case.attack.manifest
    own["fingerprints"] = made.fingerprints.model_dump()
    own["families"] = {"attack": made.family, "defense": run.family}
    own["sources"] = made.sources | own["sources"]
    return own


def _cost(run: DefenseRun) -> CellCost:
    return CellCost(
        attack_seconds=run.case.attack.manifest.cost.seconds,
        defense_seconds=run.cost.seconds,
        evaluation_seconds=run.evaluation.seconds,
        peak_bytes=run.cost.peak_bytes,
        device=str(run.case.machine.device),
        precision=run.case.machine.precision,
        forward_samples=run.cost.forward_samples,
        backward_samples=run.cost.backward_samples,
        optimizer_steps=run.cost.optimizer_steps,
        clean_samples=run.outcome.clean_samples,
    )
