"""The defense stage of a run: each defense meets the attack result and becomes a cell, also when it
fails.
"""

from __future__ import annotations

import traceback

from benchbd.defense.case import Case
from benchbd.defense.defense import Defense
from benchbd.defense.describe import coordinates
from benchbd.engine.hardware import hardware
from benchbd.errors import BenchbdError, NotApplicable
from benchbd.plugin.earlier_sources import changed_sources
from benchbd.plugin.provenance import sources
from benchbd.record.attack_result import AttackResult
from benchbd.record.cell import Cell, Status
from benchbd.record.defense_result import CELL_FILE, DEFENSE_FILE, folder_of, stored_cell
from benchbd.record.files import write_json
from benchbd.record.ingredients import Coordinates
from benchbd.record.keys import SCHEMA
from benchbd.running.preparing import PreparedRun
from benchbd.running.status import status_of


def cell_coordinates(attack: AttackResult, defense: Defense, prepared: PreparedRun) -> Coordinates:
    """Return the coordinates of the cell in which the defense meets the attack result."""
    budget = attack.clean_budget(prepared.protocol.clean_budget)
    case = Case(attack, hardware(prepared.options.device), defense.name, budget)
    return coordinates(defense, case)


def find_stored_cell(attack: AttackResult, defense: Defense, prepared: PreparedRun) -> Cell | None:
    """Return the stored cell of this defense, or None where it has to be computed. A stored cell
    counts when it is complete, belongs to this very attack result, and was made by the sources of
    today.
    """
    if prepared.options.rerun is not None:
        return None
    key = cell_coordinates(attack, defense, prepared).key(prepared.protocol.id)
    cell = stored_cell(attack.folder, defense.name, key)
    if cell is None or cell.baseline != attack.metrics():
        return None
    made = str(attack.manifest.provenance.get("finished", ""))
    if str(cell.provenance.get("started", "")) < made:
        return None  # the attack result was made again after this cell
    return None if changed_sources([sources(type(defense))], cell.provenance) else cell


def defend(attack: AttackResult, defense: Defense, prepared: PreparedRun) -> Cell:
    """Compute the cell of a defense and return it. A defense that fails gives a cell with the
    reason.
    """
    options, protocol = prepared.options, prepared.protocol
    try:
        return defense.against(
            attack,
            device=options.device,
            clean_budget=protocol.clean_budget,
            evaluate_every=int(
                options.settings.get("recipe.evaluate_every", protocol.recipe.evaluate_every)
            ),
            protocol=protocol.id,
        ).cell
    except Exception as error:  # a failed cell must not end the run
        cell = failed_cell(
            cell_coordinates(attack, defense, prepared), protocol.id, "defense", error
        )
        cell = cell.model_copy(update={"baseline": attack.metrics()})
        _note_failure(attack, cell)
        return cell


def failed_cell(cell: Coordinates, protocol: str, stage: str, error: Exception) -> Cell:
    """Return a cell without numbers that says why it has none. stage: "attack" or "defense", where
    the error occurred.
    """
    expected = isinstance(error, NotApplicable | BenchbdError)  # explained by its message alone
    return Cell(
        schema=SCHEMA,
        key=cell.key(protocol),
        protocol=protocol,
        status=Status(
            code=status_of(error),
            reason=str(error),
            stage=stage,
            error=type(error).__name__,
            traceback="" if expected else "".join(traceback.format_exception(error)[-8:]),
        ),
        cell=cell,
    )


def _note_failure(attack: AttackResult, cell: Cell) -> None:
    """Write the failed cell beside the attack result, unless an earlier result of the same cell is
    stored there.
    """
    folder = folder_of(attack.folder, cell.cell.defense.name, cell.key)
    if not (folder / DEFENSE_FILE).is_file():
        write_json(folder / CELL_FILE, cell.to_json())
