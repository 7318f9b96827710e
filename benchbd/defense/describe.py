"""From an outcome and its measurements to the cell that is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbd.defense.case import Case
from benchbd.defense.evaluation import Evaluation
from benchbd.defense.outcome import Outcome
from benchbd.engine.counting import Cost
from benchbd.measure.curve import Curve, CurvePoint
from benchbd.record.cell import Cell, CellCost, Coordinates, Flags, Provided
from benchbd.record.defense_result import DefenseResult
from benchbd.record.keys import SCHEMA, key_of
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
        defense=Provided.of(defense),
        recipe=manifest["recipe"],
        clean_budget=case.budget,
        seed=manifest["seed"],
    )


def cell_key(defense: Defense, case: Case, protocol: str) -> str:
    """The identity of a cell: its attack result, the defense with its parameters, the budget, the protocol."""
    return key_of("cell", case.attack.key, Provided.of(defense).identity(), case.budget, protocol)


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
    """The result to store. What a defense says of itself goes to the notes; every number is the core's own."""
    curves = [evaluation.curve] if evaluation.curve else []
    if epochs:
        curves.append(Curve(name="epochs", axis="epoch", points=tuple(epochs)))
    cell = Cell(
        schema=SCHEMA,
        key=cell_key(defense, case, protocol),
        protocol=protocol,
        cell=coordinates(defense, case),
        metrics=evaluation.metrics,
        counts=evaluation.counts,
        baseline=case.attack.metrics(),
        detection=outcome.detection,
        curves=tuple(curves),
        operating_points=evaluation.operating_points,
        notes=outcome.notes,
        cost=_cost(case, outcome, evaluation, cost),
        provenance=provenance([defense], started),
        flags=Flags(oracle=defense.oracle),
    )
    kept = {name: outcome.sweep.path.at(case.model(), step) for name, step in outcome.kept.items()} if outcome.sweep else {}
    return DefenseResult(cell, outcome.model, evaluation.clean_predictions, evaluation.triggered_predictions, kept, outcome.tensors)


def _cost(case: Case, outcome: Outcome, evaluation: Evaluation, cost: Cost) -> CellCost:
    return CellCost(
        attack_seconds=case.attack.manifest["cost"]["seconds"],
        defense_seconds=cost.seconds,
        evaluation_seconds=evaluation.seconds,
        peak_bytes=cost.peak_bytes,
        device=str(case.machine.device),
        precision="bf16" if case.machine.bf16 else "fp32",
        forward_samples=cost.forward_samples,
        backward_samples=cost.backward_samples,
        clean_samples=outcome.clean_samples,
    )
