"""Attacks and defenses that do what plugins do on bad days, and some that are only small.

Each notes its work, one line for each time, in the file that BENCHBD_TEST_NOTES names.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

import torch
from torch import Tensor, nn

from benchbd.api import (
    BuildModel,
    CleanSet,
    ImageSet,
    NotApplicable,
    PoisoningAttack,
    Recipe,
    Repair,
    RobustTraining,
    TrainingControlledAttack,
    fit,
    param,
)

FOREVER = 600


def note(name: str, what: object = "-") -> None:
    if "BENCHBD_TEST_NOTES" in os.environ:
        with open(os.environ["BENCHBD_TEST_NOTES"], "a") as notes:
            notes.write(f"{name} {what} {os.getpid()}\n")


def fingerprint(model: nn.Module) -> str:
    """What tells one trained model from another."""
    return f"{sum(float(p.detach().double().sum()) for p in model.parameters()):.12f}"


def white_corner(images: Tensor) -> Tensor:
    stamped = images.clone()
    stamped[..., -2:, -2:] = 255
    return stamped


class Corner(PoisoningAttack):
    """Whitens a corner."""

    api = 1
    name = "corner"

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        note(self.name, rng.initial_seed())
        return {}

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return white_corner(images)


class OwnTraining(TrainingControlledAttack):
    """Trains by itself, on clean images alone."""

    api = 1
    name = "own_training"

    def train(
        self, model: nn.Module, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module:
        note(self.name, rng.initial_seed())
        return fit(model, clean_train, recipe, rng)

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return white_corner(images)


class Jitter(Repair):
    """Adds noise to every weight: a repair that depends on its seed. seconds: how long it takes, at
    least.
    """

    api = 1
    name = "jitter"

    seconds: float = param(0.0, "seconds to sleep", ge=0)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        note(self.name, fingerprint(model))
        time.sleep(self.seconds)
        with torch.no_grad():
            for weights in model.parameters():
                weights += 0.05 * torch.randn(weights.shape, generator=rng)
        return model.eval()


class Retrains(RobustTraining):
    """Trains once more on the poisoned set."""

    api = 1
    name = "retrains"

    def train(
        self, build_model: BuildModel, train_as_seen: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module:
        note(self.name, int(train_as_seen.images.sum()))
        return fit(build_model(), train_as_seen, recipe, rng)


class _Trouble(Repair):
    """Notes that it has begun, makes its trouble, and changes nothing if it survives."""

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        note(self.name)
        self._trouble()
        return model.eval()

    def _trouble(self) -> None:
        raise NotImplementedError


class Raises(_Trouble):
    api = 1
    name = "raises"

    def _trouble(self) -> None:
        print("about to raise", flush=True)
        raise RuntimeError("the mask has the wrong shape")


class Inapplicable(_Trouble):
    api = 1
    name = "inapplicable"

    def _trouble(self) -> None:
        raise NotApplicable("there is no attention layer to look at")


class NotANumber(Repair):
    """Trains on a loss that is not a number."""

    api = 1
    name = "not_a_number"

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        note(self.name)
        return fit(
            model,
            clean.train,
            Recipe(epochs=1),
            rng,
            loss=lambda m, x, y: m(x).sum() * float("nan"),
        )


class Chatters(_Trouble):
    """Prints 48 MB."""

    api = 1
    name = "chatters"

    def _trouble(self) -> None:
        for _ in range(48):
            print("x" * (2**20 - 1))
        print("and that was all", flush=True)


class Exits(_Trouble):
    api = 1
    name = "exits"

    def _trouble(self) -> None:
        os._exit(3)


class Segfaults(_Trouble):
    api = 1
    name = "segfaults"

    def _trouble(self) -> None:
        ctypes.string_at(0)


class Gulps(_Trouble):
    """Takes memory until it is stopped."""

    api = 1
    name = "gulps"

    def _trouble(self) -> None:
        taken = []
        for _ in range(FOREVER):
            taken.append(b"x" * 2**26)
            time.sleep(0.02)


class Hangs(_Trouble):
    """Starts a child process and waits for it, forever."""

    api = 1
    name = "hangs"

    def _trouble(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({FOREVER})"])
        note("child", child.pid)
        child.wait()


class Stays(_Trouble):
    """Hangs, and does not listen to TERM."""

    api = 1
    name = "stays"

    def _trouble(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end = time.monotonic() + FOREVER
        while time.monotonic() < end:
            time.sleep(0.1)


class Looks(_Trouble):
    """Notes what variables of its environment say, and waits until as many have looked as it is
    told.
    """

    api = 1
    name = "looks"

    variables: str = param("HOME", "the variables, separated by commas")
    together: int = param(1, "how many look at a time", ge=1)
    seat: int = param(0, "which of those it is", ge=0)

    def _trouble(self) -> None:
        note(
            "sees",
            ",".join(str(os.environ.get(variable)) for variable in self.variables.split(",")),
        )
        while self._looking() < self.together:
            time.sleep(0.02)

    def _looking(self) -> int:
        with open(os.environ["BENCHBD_TEST_NOTES"]) as notes:
            return sum(line.startswith("sees ") for line in notes)


class Moody(_Trouble):
    """Fails for as long as BENCHBD_TEST_MOOD is bad."""

    api = 1
    name = "moody"

    def _trouble(self) -> None:
        if os.environ.get("BENCHBD_TEST_MOOD") == "bad":
            raise RuntimeError("not today")
