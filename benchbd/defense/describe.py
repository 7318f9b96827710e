"""From an outcome and its measurements to the cell that is stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchbd.defense.case import Case
from benchbd.defense.evaluation import REJECTED, Evaluation
from benchbd.defense.outcome import Outcome
from benchbd.engine.counting import Cost
from benchbd.errors import ContractBroken
from benchbd.measure.plausible import doubts
from benchbd.measure.shares import Curve, CurvePoint
from benchbd.record.cell import Cell, CellCost, Coordinates, Flags, PluginRecord
from benchbd.record.defense_result import DefenseResult
from benchbd.record.keys import MODEL_ONLY, SCHEMA, canonical_json, cell_key
from benchbd.record.provenance import provenance

if TYPE_CHECKING:
    from benchbd.defense.defense import Defense


def coordinates(defense: Defense, case: Case) -> Coordinates:
    """What the cell is about, from the manifest of the attack and the defense at hand."""
    manifest = case.attack.manifest
    return Coordinates(
        dataset=manifest["dataset"],
        model=manifest["model"],
        attack=manifest["attack"],
        defense=PluginRecord.of(defense),
        recipe=manifest["recipe"],
        clean_budget=case.budget,
        seed=manifest["seed"],
    )


def key_for(defense: Defense, case: Case, protocol: str) -> str:
    """The key of the cell in which `defense` meets the case."""
    return cell_key(case.attack.key, PluginRecord.of(defense).identity(), case.budget, protocol)


def describe(
    defense: Defense,
    case: Case,
    outcome: Outcome,
    evaluation: Evaluation,
    epochs: list[CurvePoint],
    cost: Cost,
    protocol: str,
    started: str,
) -> DefenseResult:
    """The result to store. What a defense says of itself goes to the notes; every number is the
    core's own.
    """
    curves = [evaluation.curve] if evaluation.curve else []
    if epochs:
        curves.append(Curve(name="epochs", axis="epoch", points=tuple(epochs)))
    cell = Cell(
        schema=SCHEMA,
        key=key_for(defense, case, protocol),
        protocol=protocol,
        cell=coordinates(defense, case),
        metrics=evaluation.metrics,
        counts=evaluation.counts,
        baseline=case.attack.metrics(),
        detection=outcome.detection,
        curves=tuple(curves),
        operating_points=evaluation.operating_points,
        notes=_plain(outcome.notes, defense.name),
        doubts=_doubts(case, evaluation),
        cost=_cost(case, outcome, evaluation, cost),
        provenance=_provenance(defense, case, started),
        flags=Flags(oracle=defense.oracle, deterministic=case.machine.deterministic),
    )
    kept = (
        {name: outcome.sweep.path.at(case.model(), step) for name, step in outcome.kept.items()}
        if outcome.sweep
        else {}
    )
    return DefenseResult(
        cell,
        outcome.model,
        evaluation.clean_predictions,
        evaluation.triggered_predictions,
        kept,
        tensors=outcome.tensors,
        pictures=outcome.pictures,
    )


def _doubts(case: Case, evaluation: Evaluation) -> tuple[str, ...]:
    attack = case.attack
    return doubts(
        evaluation.metrics,
        evaluation.counts,
        attack.metrics(),
        attack.test.num_classes,
        attacked=attack.manifest["stage"] == MODEL_ONLY
        or attack.manifest["attack"]["params"].get("poison_ratio") != 0,
        predictions=evaluation.clean_predictions[evaluation.clean_predictions != REJECTED],
    )


def _plain(notes: dict[str, Any], who: str) -> dict[str, Any]:
    """Notes as they come back from a JSON file. Raises `ContractBroken` for what JSON does not
    know.
    """
    try:
        return dict(json.loads(canonical_json(notes)))
    except (TypeError, ValueError) as error:
        raise ContractBroken(
            f"{who} left notes that are not plain values ({error}); tensors go to `tensors`"
        ) from None


def _provenance(defense: Defense, case: Case, started: str) -> dict[str, Any]:
    """Of the defense; the sources of the plugins on the attack's side are named too."""
    own = provenance([defense], started)
    own["fingerprints"] = case.attack.manifest["fingerprints"]
    own["stages"] = {"attack": case.attack.manifest["stage"], "defense": defense.stage}
    own["sources"] = case.attack.manifest["provenance"]["sources"] | own["sources"]
    return own


def _cost(case: Case, outcome: Outcome, evaluation: Evaluation, cost: Cost) -> CellCost:
    return CellCost(
        attack_seconds=case.attack.manifest["cost"]["seconds"],
        defense_seconds=cost.seconds,
        evaluation_seconds=evaluation.seconds,
        peak_bytes=cost.peak_bytes,
        device=str(case.machine.device),
        precision=case.machine.precision,
        forward_samples=cost.forward_samples,
        backward_samples=cost.backward_samples,
        clean_samples=outcome.clean_samples,
    )
