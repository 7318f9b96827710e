"""The shared base of all defenses, with the template method `defense(result_file)`.

The template loads the attack result, hands the family its share of it, calls the verb of the
family, measures the answer and stores it. Subclasses never touch files, devices, seeds, logging or
metrics, and never see test data.
"""

from __future__ import annotations

import argparse
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from benchbd.attack.training_controlled import TrainingControlledAttack
from benchbd.data.budget import CleanSet, listed_indices, require_drawable
from benchbd.data.images import ImageSet
from benchbd.defense.case import CLEAN_BUDGET, Case
from benchbd.defense.describe import DefenseRun, describe
from benchbd.defense.evaluation import evaluate
from benchbd.defense.outcome import Outcome
from benchbd.engine.counting import Cost, measure_cost
from benchbd.engine.hardware import default_precision, hardware
from benchbd.engine.process_state import preserve_process
from benchbd.engine.structure import in_training
from benchbd.errors import ConfigError, ContractBroken, NotApplicable
from benchbd.measure.along_training import TrainingMeasurements, measure_along_training
from benchbd.plugin.declared import param
from benchbd.plugin.plugin import Plugin
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd.record.defense_result import DefenseResult, folder_of
from benchbd.record.keys import MODEL_ONLY
from benchbd.record.provenance import now
from benchbd.report.curves import draw_curves
from benchbd.report.pictures import draw_pictures
from benchbd.seeds import global_random_state


class Defense(Plugin, ABC):
    """What all families of defenses have: the core loads an attack result, hands the family its
    share, measures what comes back and stores it.

    A defense derives from one of the families, not from this class. It touches no files, devices,
    seeds or metrics, and never sees test data.
    """

    kind: ClassVar[str] = "defense"
    family: ClassVar[str] = ""
    oracle: ClassVar[bool] = False
    needs_poisoned_set: ClassVar[bool] = False

    @classmethod
    def __pydantic_init_subclass__(cls, **more: Any) -> None:
        """Let the class be imported from its module by the name of the plugin, too: scripts of the
        field say `from ... import NAME`.
        """
        super().__pydantic_init_subclass__(**more)
        module = sys.modules.get(cls.__module__)
        if module is not None and module.__name__.rpartition(".")[2] == cls.name:
            module.__dict__.setdefault(cls.name, cls)

    @abstractmethod
    def respond(self, case: Case) -> Outcome:
        """Call the verb of the family with its share of the case and return the outcome. Each
        family writes it once.
        """

    def defense(
        self,
        result_file: str | Path | None,
        *,
        device: str = "auto",
        clean_budget: float = CLEAN_BUDGET,
        evaluate_every: int = 0,
        protocol: str = "none",
        save_path: str | Path | None = None,
    ) -> DefenseResult:
        """Defend the stored attack result `result_file` (a path, or a name under `record/`),
        measure the outcome and store it.

        device: "auto", "cpu", "cuda" or "cuda:1". clean_budget: the share of the training set that
        the defender holds. evaluate_every: epochs between measurements during training; 0 for none.
        save_path: the folder for `defense_result.pt`, tables and pictures; without it,
        `defense/<name>` beside the result file. Raises `NotApplicable`, `RecordError`,
        `ConfigError`, `Diverged` or `ContractBroken`; `ConfigError` also where `result_file` is
        None, as in a script that was started without `--result_file`.
        """
        if result_file is None:
            raise ConfigError(
                f"{self.name}: expected an attack result to start from, got None; give "
                "`--result_file NAME`, a path or the name of a folder under record/"
            )
        return self.against(
            load_attack_result(result_file),
            device=device,
            clean_budget=clean_budget,
            evaluate_every=evaluate_every,
            protocol=protocol,
            save_path=save_path,
        )

    def against(
        self,
        attack: AttackResult,
        *,
        device: str = "auto",
        clean_budget: float = CLEAN_BUDGET,
        evaluate_every: int = 0,
        protocol: str = "none",
        save_path: str | Path | None = None,
    ) -> DefenseResult:
        """Do the same as `defense`, for an attack result that is in memory already."""
        started = now()
        with default_precision(attack.manifest.recipe["precision"]):
            case = Case(attack, hardware(device), self.name, attack.clean_budget(clean_budget))
            result = self._measured(case, evaluate_every, protocol, started)
        stored = result.in_folder(
            Path(save_path) if save_path else folder_of(attack.folder, self.name, result.cell.key)
        )
        stored.save()
        draw_curves(stored)
        draw_pictures(stored.pictures, stored.folder)
        return stored

    def _measured(
        self, case: Case, evaluate_every: int, protocol: str, started: str
    ) -> DefenseResult:
        if self.needs_poisoned_set:
            require_poisoned_set(case, self)
        with preserve_process(self.name) as process:
            outcome, along, cost = self._answered(case, evaluate_every)
            process.put_back()  # what follows is measured as it is for every other defense
            evaluation = evaluate(case, outcome, along)
        run = DefenseRun(
            defense=self,
            family=self.family,
            oracle=self.oracle,
            case=case,
            outcome=outcome,
            evaluation=evaluation,
            epochs=along.points,
            cost=cost,
            protocol=protocol,
            started=started,
            left_changed=tuple(process.changed),
        )
        return describe(run)

    def _answered(
        self, case: Case, evaluate_every: int
    ) -> tuple[Outcome, TrainingMeasurements, Cost]:
        """Return the outcome of the family's verb, the measurements during its training, and its
        cost.
        """
        attack = case.attack
        with (
            measure_along_training(
                attack.test, lambda: attack.triggered, evaluate_every, case.machine.precision
            ) as along,
            measure_cost(case.machine.device) as cost,
            global_random_state(case.seeds.seed("defense-chance", self.name)),
        ):
            outcome = self.respond(case)
        return outcome, along, cost

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Add `--result_file` and an option for each hyper-parameter to `parser`. A script may set
        `args.result_file` itself: it is None where it was not given.
        """
        parser.add_argument(
            "--result_file",
            "--result-file",
            help="attack result: a path, or a name under record/",
        )
        return super().add_arguments(parser)


class CleanDataDefense(Defense):
    """Base of the families that hold clean data: a share of the training samples that the attacker
    did not change.
    """

    ratio: float | None = param(
        None,
        "share of the training set held as clean data; unset: the budget of the protocol",
        gt=0,
        le=1,
    )
    index: Path | None = param(None, "file of clean training indices to use instead, one a line")

    def clean_data(self, case: Case) -> CleanSet:
        """Return the clean images of the case that the parameters `ratio` and `index` select."""
        return case.clean(self.ratio, self.index)

    def require_clean_data(self, train: ImageSet, budget: float) -> None:
        """Raise what `clean_data` would raise for these training images and the budget of the
        protocol, before a model is trained for it.
        """
        if self.index is not None:
            listed_indices(train, self.index)
        else:
            require_drawable(train, budget if self.ratio is None else self.ratio)


Answer = TypeVar("Answer")


def require_type(answer: object, wanted: type[Answer], who: str) -> Answer:
    """Return the answer of a verb. Raises `ContractBroken` when it is of another type than its
    family returns.
    """
    if not isinstance(answer, wanted):
        raise ContractBroken(
            f"{who} returned a {type(answer).__name__}, expected a {wanted.__name__}"
        )
    return answer


def require_eval(model: nn.Module, who: str) -> None:
    """Raise `ContractBroken` when `model` is no model, or when one of its modules is in training
    mode.
    """
    if training := in_training(require_type(model, nn.Module, who)):
        raise ContractBroken(
            f"{who} returned a model in training mode ({training[0]}); return it in eval mode "
            "(`model.eval()`)"
        )


def require_scores(scores: Tensor, count: int, who: str) -> Tensor:
    """Return the scores on the CPU. Raises `ContractBroken` unless there is one finite number for
    each of `count` samples.
    """
    if require_type(scores, Tensor, who).shape != (count,):
        raise ContractBroken(
            f"{who} returned {tuple(scores.shape)} scores, expected ({count},): one for each "
            "sample, in order"
        )
    if not bool(torch.isfinite(scores).all()):
        raise ContractBroken(f"{who} returned scores that are not numbers")
    return scores.detach().cpu()


def require_poisoned_set(case: Case, who: Defense) -> None:
    """Raise `NotApplicable` when there is no poisoned training set to work on, because the attack
    controls training or the model was imported without one.
    """
    if case.attack.manifest.family == MODEL_ONLY:
        raise NotApplicable(
            f"this model was imported without its training set, on which {who.name} would have to "
            "work"
        )
    controlled = case.attack.manifest.family == TrainingControlledAttack.family
    if controlled and not len(case.attack.train.indices):
        attack = case.attack.manifest.attack.name
        raise NotApplicable(
            f"{attack} controls training itself and leaves no poisoned set for {who.name} to work "
            "on"
        )
