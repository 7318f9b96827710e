"""The repetition of a stored cell, attack and defense, which says how far the outcome differs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchbd.attack.attack import Attack
from benchbd.audit.agreement import Agreement, judge
from benchbd.audit.ground_truth import NO_PLACES, Places, registered
from benchbd.defense.defense import Defense
from benchbd.engine.hardware import use_threads
from benchbd.engine.recipe import Recipe
from benchbd.errors import RecordError
from benchbd.leaderboard.board.trust import TrustNote
from benchbd.record.cell import Cell
from benchbd.record.cells import ResultStore, cell_paths, read_cell
from benchbd.record.defense_result import DefenseResult
from benchbd.record.ingredients import Coordinates
from benchbd.record.keys import KEY_DIGITS, key_of
from benchbd.record.predictions import read_predictions
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import make
from benchbd.running.protocol import stored_protocol
from benchbd.victim.dataset import DataSet
from benchbd.victim.model import Model

LEAST_KEY_DIGITS = 6
"""The least number of digits of a key by which a cell is looked for."""

MOST_THREADS = 1024
"""The most threads that a result may name. No result was made with more, so a larger number was
written by hand.
"""


@dataclass(frozen=True)
class Reproduction:
    """A stored cell, and the same cell made again here. differing_clean, differing_triggered: the
    number of test images whose predictions differ; None where no predictions are stored. siblings:
    the stored cells of all its seeds.
    """

    stored: Cell
    here: Cell
    differing_clean: int | None = None
    differing_triggered: int | None = None
    siblings: tuple[Cell, ...] = ()

    def metrics(self) -> dict[str, tuple[float | None, float | None]]:
        """Return the stored value and the value measured here, for each metric that one of the
        cells has.
        """
        assert self.stored.metrics is not None and self.here.metrics is not None
        pairs = {
            name: (value, getattr(self.here.metrics, name)) for name, value in self.stored.metrics
        }
        return {name: pair for name, pair in pairs.items() if pair != (None, None)}

    def difference(self) -> float:
        """Return the largest difference of ACC, ASR and RC."""
        pairs = [pair for name, pair in self.metrics().items() if name in ("acc", "asr", "rc")]
        return max(abs((here or 0.0) - (stored or 0.0)) for stored, here in pairs)

    def agreement(self, tolerance: float) -> Agreement:
        """Return whether the two agree. tolerance: a share, as `judge` takes it."""
        counts = (self.differing_clean, self.differing_triggered)
        differing = None if None in counts else sum(filter(None, counts))
        return judge(self.stored, self.here, differing, self.siblings, tolerance)

    def note(self, agreement: Agreement) -> TrustNote:
        """Return the note for the ledger of trust: reproduced, how exactly, and with which
        difference.
        """
        return TrustNote(
            digest=self.stored.digest,
            level="reproduced by another",
            difference=self.difference(),
            exact=agreement.exact,
        )


def find_result(key: str, results: Path) -> Path:
    """Return the result file that a person means: its path, or the first digits of its key. Raises
    `RecordError`.
    """
    if Path(key).is_file():
        return Path(key)
    if len(key) < LEAST_KEY_DIGITS:
        raise RecordError(
            f"expected a result file or at least {LEAST_KEY_DIGITS} digits of a key, got {key!r}"
        )
    named = [path for path in cell_paths(results) if _may_be(path, key)]
    found = [path for path in named if read_cell(path).key.startswith(key)]
    if len(found) != 1:
        several = f"{len(found)} results have" if found else "no result has"
        raise RecordError(
            f"{several} a key that begins with {key} under {results}; give the path of the file, "
            "or more digits"
        )
    return found[0]


def _may_be(path: Path, key: str) -> bool:
    """Return whether the digits of the key in the file's name, `<seed>-<digits>.json`, go with
    `key`.
    """
    digits = path.stem.rpartition("-")[2]
    return digits.startswith(key) or key.startswith(digits)


def draw(results: Path, count: int, seed: int) -> list[Path]:
    """Return a random sample of the results that succeeded. The same store and seed give the same
    sample. Raises `RecordError` where there is none.
    """
    cells = ResultStore(results).named()
    keys = {cell.key: results / name for name, cell in cells if cell.status.code == "ok"}
    if not keys:
        raise RecordError(f"no result under {results} ended well; there is nothing to draw from")
    by_lot = sorted(keys, key=lambda key: key_of("lot", seed, key))
    return [keys[key] for key in by_lot[:count]]


def reproduce(
    path: Path, folder: Path, device: str = "auto", places: Places = NO_PLACES
) -> Reproduction:
    """Make the cell at `path` again in `folder`. places: where files that it names lie here.

    Raises `RecordError` for a cell without metrics or with plugins that are not the same here, and
    whatever the attack and the defense raise.
    """
    stored = read_cell(path)
    if stored.status.code != "ok" or stored.metrics is None:
        raise RecordError(f"{path} ended {stored.status.code}; there are no numbers to reproduce")
    result = _make(stored, folder, device, places)
    if result.cell.key != stored.key:
        raise RecordError(
            f"what was made has the key {result.cell.key[:KEY_DIGITS]}, the cell says "
            f"{stored.key[:KEY_DIGITS]}; "
            "`benchbd verify` it"
        )
    if stored.predictions is None:
        return Reproduction(stored, result.cell, siblings=_siblings(path, stored))
    clean, triggered = read_predictions(path, stored)
    return Reproduction(
        stored,
        result.cell,
        int((clean != result.clean_predictions.cpu()).sum()),
        int((triggered != result.triggered_predictions.cpu()).sum()),
        _siblings(path, stored),
    )


def _siblings(path: Path, stored: Cell) -> tuple[Cell, ...]:
    """Return the cells beside it that differ in their seed alone, itself among them."""
    found = []
    for each in sorted(path.parent.glob("*.json")):
        with suppress(RecordError):
            found.append(read_cell(each))
    same = _without_seed(stored)
    return tuple(cell for cell in found if cell.metrics and _without_seed(cell) == same)


def _without_seed(cell: Cell) -> tuple[str, Coordinates]:
    return cell.protocol, cell.cell.model_copy(update={"seed": 0})


def attack_job(stored: Cell, device: str, places: Places) -> AttackJob:
    """Return the job by which the attacked model of a stored cell is made again. Raises
    `RecordError` for a plugin that is not the same here.
    """
    about = stored.cell
    return AttackJob(
        registered(DataSet, about.dataset, places),
        registered(Model, about.model, places),
        registered(Attack, about.attack, places),
        Recipe(**about.recipe),
        about.seed,
        device,
    )


def _make(stored: Cell, folder: Path, device: str, places: Places) -> DefenseResult:
    about, job = stored.cell, attack_job(stored, device, places)
    defense = registered(Defense, about.defense, places)
    with use_threads(threads_of(stored)):
        attack = make(job, folder / "attack")
        return defense.defense(
            attack.path,
            device=device,
            clean_budget=about.clean_budget,
            protocol=stored.protocol,
            save_path=folder / "defense",
        )


def threads_of(stored: Cell) -> int | None:
    """Return the cores that it was made with; of a cell that does not say, those that its protocol
    prescribes, where that is known.
    """
    noted = stored.provenance.get("threads")
    if isinstance(noted, int) and 0 < noted <= MOST_THREADS:
        return noted
    known = stored_protocol(stored.protocol)
    return known.threads if known else None
