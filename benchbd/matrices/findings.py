"""The analyses of all attacked models of a matrix: numbers beside its results, pictures beside the
models.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchbd.analysis.analysis import Analysis
from benchbd.engine.cores import usable_cores
from benchbd.engine.hardware import use_threads
from benchbd.matrices.matrix import Matrix
from benchbd.matrices.plan import PlannedAttack, PlannedCell
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd.record.defended_model import StoredDefense
from benchbd.record.defense_result import DEFENSE_FILE, by_key
from benchbd.record.files import write_json
from benchbd.record.keys import UNDEFENDED, findings_name
from benchbd.running.analyzing import Analyzed, look
from benchbd.running.run import Say, say_nothing

FINDINGS_FOLDER = "findings"
"""The folder of numbers of analyses, beside the folder of results."""


def analyze_matrix(
    matrix: Matrix, analyses: Sequence[Analysis], say: Say = say_nothing
) -> list[Path]:
    """Run analyses of every attacked model of a matrix, and of the defended models that are stored
    beside it. An attacked model that is not stored here is made. Returns the files of numbers, one
    for each attacked model and analysis.
    """
    by_attack: dict[str, list[PlannedCell]] = defaultdict(list)
    for standing in matrix.standings:
        by_attack[standing.planned.job.key].append(standing.planned)
    written = []
    with use_threads(matrix.protocol.threads or usable_cores()):
        for cells in by_attack.values():
            job = cells[0].job
            say(f"{job.attack.label}, seed {job.seed}")
            matrix.attack_spec(job).run()
            attack = load_attack_result(matrix.folder_of(job))
            found = look(attack, _defenses(attack, cells), analyses, device=matrix.device)
            written += [_write(matrix, cells[0].protocol, job, each) for each in found]
    return written


def _defenses(attack: AttackResult, cells: Sequence[PlannedCell]) -> list[StoredDefense]:
    """Return the stored defenses of these cells, but for the one that changes nothing."""
    folders = [
        by_key(attack.folder, cell.defense.record.name, cell.key)
        for cell in cells
        if cell.defense.record.name != UNDEFENDED
    ]
    return [
        StoredDefense(attack, folder) for folder in folders if (folder / DEFENSE_FILE).is_file()
    ]


def _write(matrix: Matrix, protocol: str, job: PlannedAttack, analyzed: Analyzed) -> Path:
    name = findings_name(
        protocol, job.attack.label, job.seed, job.key, analyzed.findings.analysis.name
    )
    path = matrix.results.parent / FINDINGS_FOLDER / name
    return write_json(path, analyzed.findings.to_json())
