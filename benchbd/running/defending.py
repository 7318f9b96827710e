"""The defenses of a run: each meets the attack result and becomes a cell, whatever comes of it."""

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
from benchbd.record.defense_result import CELL, DEFENSE_FILE, folder_of, stored_cell
from benchbd.record.files import write_json
from benchbd.record.ingredients import Coordinates
from benchbd.record.keys import SCHEMA
from benchbd.running.preparing import Prepared
from benchbd.running.status import status_of


def about(attack: AttackResult, defense: Defense, prepared: Prepared) -> Coordinates:
    """Return the cell in which the defense meets the attack result."""
    budget = attack.clean_budget(prepared.protocol.clean_budget)
    case = Case(attack, hardware(prepared.options.device), defense.name, budget)
    return coordinates(defense, case)


def stored_before(attack: AttackResult, defense: Defense, prepared: Prepared) -> Cell | None:
    """Return the cell where it is stored already: of this very attack result, made by the sources
    of today, and whole.
    """
    if prepared.options.rerun is not None:
        return None
    key = about(attack, defense, prepared).key(prepared.protocol.id)
    cell = stored_cell(attack.folder, defense.name, key)
    if cell is None or cell.baseline != attack.metrics():
        return None
    made = str(attack.manifest.provenance.get("finished", ""))
    if str(cell.provenance.get("started", "")) < made:
        return None  # the attack result has been made again since
    return None if changed_sources([sources(type(defense))], cell.provenance) else cell


def defend(attack: AttackResult, defense: Defense, prepared: Prepared) -> Cell:
    """Return the cell of a defense, computed. One that fails says why."""
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
    except Exception as error:  # a cell that fails is a row with its reason, never a lost run
        cell = failed(about(attack, defense, prepared), protocol.id, "defense", error)
        cell = cell.model_copy(update={"baseline": attack.metrics()})
        _note_failure(attack, cell)
        return cell


def failed(cell: Coordinates, protocol: str, stage: str, error: Exception) -> Cell:
    """Return a cell that gave no numbers. stage: attack or defense, in which the error came."""
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
    """Leave the cell beside the attack result, unless there are numbers of the very same cell from
    before.
    """
    folder = folder_of(attack.folder, cell.cell.defense.name, cell.key)
    if not (folder / DEFENSE_FILE).is_file():
        write_json(folder / CELL, cell.to_json())
