"""The analyses of one attack result: what each of them finds is stored and drawn beside it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchbd.analysis.analysis import Analysis
from benchbd.analysis.findings import Findings
from benchbd.engine.cores import usable_cores
from benchbd.engine.hardware import default_precision, hardware, use_threads
from benchbd.engine.process_state import preserve_process
from benchbd.errors import ConfigError, ContractBroken, NotApplicable, RecordError
from benchbd.plugin.hooks import Observers
from benchbd.plugin.provenance import sources
from benchbd.plugin.registry import entries, load
from benchbd.record.attack_files import MANIFEST_FILE, record_dir
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd.record.cell import Cell
from benchbd.record.csv_table import csv_table
from benchbd.record.defended_model import StoredDefense
from benchbd.record.defense_result import CELL_FILE, DEFENSE_FILE, folder_of
from benchbd.record.files import read_json, write_text
from benchbd.record.keys import SCHEMA
from benchbd.record.plugin_record import PluginRecord
from benchbd.record.provenance import now, provenance
from benchbd.record.stored_findings import (
    StoredFindings,
    findings_folder,
    findings_key,
    read_findings,
    write_findings,
)
from benchbd.report.findings import draw
from benchbd.running.options import AnalyzeOptions, RunOptions
from benchbd.running.preparing import plugin_values, prepare, require_kinds
from benchbd.running.run import Say, execute, observe, say_nothing
from benchbd.running.scenery import Scenery, build_scene
from benchbd.seeds import Seeds, global_random_state

KEY = re.compile(r"[0-9a-f]{8,64}")
"""The first digits of a key, as people type them."""

CHEAP = ("Z", "F")
"""Cost classes of the analyses that are run unless others are named."""


@dataclass(frozen=True, eq=False)
class Analyzed:
    """The findings of one analysis, and the folder in which they are stored. reused: whether they
    were stored before.
    """

    findings: StoredFindings
    folder: Path
    reused: bool

    def pictures(self) -> Iterator[tuple[Path, str]]:
        """The pictures as PNG, each with the sentence that says how to read it."""
        for name, caption in self.findings.captions.items():
            yield self.folder / f"{name}.png", caption


def analyze(
    options: AnalyzeOptions, observers: Observers, say: Say = say_nothing
) -> tuple[Analyzed, ...]:
    """Run the analyses of an attack result that are not stored yet. Defenses that are not stored
    beside it are run first. Raises `ConfigError`, `RecordError` or `PluginError` before anything is
    computed, where that can be known.
    """
    require_kinds(options.settings, ("analysis", "defense"))
    analyses = chosen_analyses(options.analyses, options.settings)
    attack_folder, named = find_result(options.result)
    attack = load_attack_result(attack_folder)
    names = tuple(dict.fromkeys((*named, *options.defense)))
    with use_threads(options.threads or usable_cores()), observe(observers):
        shown = _stored_or_run(attack, names, options, observers, say)
        return look(attack, shown, analyses, device=options.device, again=options.rerun, say=say)


def look(
    attack: AttackResult,
    defenses: Sequence[StoredDefense],
    analyses: Sequence[Analysis],
    *,
    device: str = "auto",
    again: bool = False,
    say: Say = say_nothing,
) -> tuple[Analyzed, ...]:
    """Run analyses of an attack result and of defenses that are stored beside it."""
    with default_precision(attack.manifest.recipe["precision"]):
        scenery = build_scene(attack, defenses, hardware(device))
        for name, reason in scenery.left_out.items():
            say(f"{name} is left out where a model is needed: {reason}")
        return tuple(_look_once(attack, scenery, each, again, say) for each in analyses)


def _look_once(
    attack: AttackResult, scenery: Scenery, analysis: Analysis, again: bool, say: Say
) -> Analyzed:
    made = PluginRecord.of(analysis)
    key = findings_key(attack.key, scenery.keys, made)
    folder = findings_folder(attack.folder, analysis.name, key)
    stored = read_findings(folder)
    if stored is not None and stored.key == key and not again:
        return Analyzed(stored, folder, reused=True)
    say(f"{analysis.name}: looking")
    started, start = now(), time.perf_counter()
    findings, refusal = _answer(attack, scenery, analysis)
    facts = StoredFindings(
        schema=SCHEMA,
        key=key,
        analysis=made,
        attack=attack.key,
        defenses=scenery.keys,
        numbers=declared_numbers(findings, analysis),
        not_applicable=refusal,
        left_out=scenery.left_out,
        captions={name: picture.caption for name, picture in findings.pictures.items()},
        notes=dict(findings.notes),
        files=_write_files(findings, folder, f"{analysis.name}: {attack.folder.name}"),
        seconds=round(time.perf_counter() - start, 3),
        provenance=provenance([sources(type(analysis))], started),
    )
    return Analyzed(write_findings(folder, facts), folder, reused=False)


def _answer(attack: AttackResult, scenery: Scenery, analysis: Analysis) -> tuple[Findings, str]:
    """Return what the analysis found, and the reason where it does not apply."""
    seeds = Seeds(attack.seed)
    try:
        with (
            preserve_process(analysis.name),
            global_random_state(seeds.seed("analysis-chance", analysis.name)),
        ):
            answer = analysis.look(scenery.scene, seeds.generator("analysis", analysis.name))
    except NotApplicable as refusal:
        return Findings({}), refusal.reason
    if not isinstance(answer, Findings):
        raise ContractBroken(
            f"{analysis.name}.look returned a {type(answer).__name__}, expected Findings"
        )
    return answer, ""


def declared_numbers(findings: Findings, analysis: Analysis) -> dict[str, dict[str, float]]:
    """Return the numbers as plain values. Raises `ContractBroken` for one that is not declared, or
    that lies outside of its range.
    """
    for model, numbers in findings.numbers.items():
        for name, value in numbers.items():
            measure = analysis.measures.get(name)
            if measure is None:
                raise ContractBroken(
                    f"{analysis.name}.look returned the number {name!r}, which its `measures` do "
                    "not declare"
                )
            low = float("-inf") if measure.low is None else measure.low
            high = float("inf") if measure.high is None else measure.high
            if not low <= value <= high:
                raise ContractBroken(
                    f"{analysis.name}.look returned {name} = {value} for {model}, expected a "
                    f"number from {low:g} to {high:g}"
                )
    return {
        model: {k: float(v) for k, v in each.items()} for model, each in findings.numbers.items()
    }


def _write_files(findings: Findings, folder: Path, title: str) -> tuple[str, ...]:
    """Write tables and pictures, and return the names of the files."""
    written = [
        write_text(folder / f"{name}.csv", csv_table(rows))
        for name, rows in findings.tables.items()
        if rows
    ]
    for name, picture in findings.pictures.items():
        written += draw(picture, title, folder / name)
    return tuple(path.name for path in written)


def chosen_analyses(names: Sequence[str] | None, settings: dict[str, Any]) -> tuple[Analysis, ...]:
    """Return the named analyses, or all cheap ones, built with the settings. Raises `ConfigError`
    for a setting that fits none of them, and `PluginNotFound`.
    """
    if names is None:
        names = [each.name for each in entries("analysis") if each.card.get("cost") in CHEAP]
    classes = {name: load(Analysis, name) for name in dict.fromkeys(names)}
    wanted = {key.partition(".")[2] for key in settings if key.startswith("analysis.")}
    for parameter in wanted:
        if not any(parameter in cls.model_fields for cls in classes.values()):
            raise ConfigError(next(iter(classes.values())).unknown(parameter))
    return tuple(
        cls(**plugin_values(cls, "analysis", settings, skip_unknown=True))
        for cls in classes.values()
    )


def find_result(name: str) -> tuple[Path, tuple[str, ...]]:
    """Return the folder or path of an attack result, and the defense that a key names. name: as for
    `load_attack_result`, or the first digits of the key of an attack result or of a cell whose
    models lie under record/. Raises `RecordError` where several results have such a key.
    """
    if not KEY.fullmatch(name) or (record_dir() / name).exists():
        return Path(name), ()
    found = [
        *((path.parent, ()) for path in record_dir().glob(f"*/{MANIFEST_FILE}") if _is(path, name)),
        *(
            (path.parents[2], (path.parent.name,))
            for path in record_dir().glob(f"*/defense/*/{CELL_FILE}")
            if _is(path, name) and (path.parent / DEFENSE_FILE).is_file()
        ),
    ]
    if len(found) != 1:
        there = "none" if not found else f"{len(found)}: {', '.join(str(p) for p, _ in found[:4])}"
        raise RecordError(
            f"expected one result under {record_dir()}/ whose key begins with {name}, found "
            f"{there}; the page shows keys of cells, whose models are only where they were made"
        )
    return found[0]


def _is(path: Path, digits: str) -> bool:
    """Return whether the result that is described at `path` has a key that begins so."""
    try:
        return str(read_json(path)["key"]).startswith(digits)
    except (RecordError, LookupError, TypeError):
        return False


def _stored_or_run(
    attack: AttackResult,
    names: Sequence[str],
    options: AnalyzeOptions,
    observers: Observers,
    say: Say,
) -> list[StoredDefense]:
    """Return the results of the defenses beside the attack result, and run those that are not
    stored. A stored one is taken as it is, unless parameters of defenses are set.
    """
    settings = {k: v for k, v in options.settings.items() if k.startswith("defense.")}
    folders = {name: attack.folder / "defense" / Path(name).stem for name in names}
    missing = tuple(
        name
        for name, folder in folders.items()
        if settings or not (folder / DEFENSE_FILE).is_file()
    )
    if missing:
        asked = RunOptions(
            result_file=str(attack.path),
            defense=missing,
            device=options.device,
            threads=options.threads,
            settings=settings,
            protocol=options.protocol,
        )
        cells = execute(prepare(asked), observers, say).cells
        folders |= {
            name: _folder_of(attack, cell) for name, cell in zip(missing, cells, strict=True)
        }
    return [StoredDefense(attack, folder) for folder in folders.values()]


def _folder_of(attack: AttackResult, cell: Cell) -> Path:
    """Return where the result of a cell lies. Raises `ConfigError` for a cell without one."""
    if cell.status.code != "ok":
        raise ConfigError(
            f"{cell.cell.defense.name} left no model to look at ({cell.status.code}): "
            f"{cell.status.reason}"
        )
    return folder_of(attack.folder, cell.cell.defense.name, cell.key)
