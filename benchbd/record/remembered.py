"""Work that several results share, done once: a surrogate network, an encoder, an optimised
pattern.

Shared work is found by its content. Its key is a digest of everything that the work depends on,
weights and images included, and of the code that does it, so the stored tensors are those that
would be made again. They are kept under `record/.remembered/`. Outside of a run, where no folder is
set, the work is done each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.recipe import Precision, Recipe
from benchbd.engine.training import fit
from benchbd.errors import RecordError
from benchbd.record.claim import claim_in_turn
from benchbd.record.keys import SCHEMA, Identity, canonical_json
from benchbd.record.tensor_files import read_tensors, write_tensors

REMEMBERED_FOLDER = ".remembered"

SURROGATES_VERSION = 1
"""The version of the training of surrogates. It is raised when the same recipe gives other
surrogates than before.
"""


@dataclass(frozen=True)
class _Memory:
    """The folder in which work is kept, with the attack and architecture that it is for."""

    folder: Path
    attack: Identity
    model: Identity
    precision: Precision


_memory: ContextVar[_Memory | None] = ContextVar("remembered", default=None)


@contextmanager
def remembering(
    folder: Path,
    attack: Identity | None = None,
    model: Identity | None = None,
    precision: Precision = "auto",
) -> Iterator[None]:
    """Let `remembered` look and store in `folder` inside the block.

    attack: identifies the code that does the work. Its parameters are named by the work itself,
    because results that differ in some of them share it. model: the architecture of the networks on
    which the work depends. precision: the number format of the computation.
    """
    token = _memory.set(_Memory(folder, attack or [], model or [], precision))
    try:
        yield
    finally:
        _memory.reset(token)


def remembered(
    what: str, depends_on: Sequence[Any], make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return the tensors that `make` gives, made only if nobody has made them of the same things
    before. A method uses it for work that many results share, such as an encoder or a pattern.

    what: a word for a person who looks into the folder. depends_on: everything that the tensors
    depend on: tensors, image sets, modules with their weights, and plain values. Within a run they
    are kept under `record/.remembered/`; a stored file that does not hold just that is made again,
    and a process waits for another one that is making the same. Raises `Unwritable`, before the
    work, where nothing can be stored, and `Diverged` where what was made is not finite.

    >>> def mean_image():
    ...     return {"mean": train.images.float().mean(0)}
    >>> remembered("mean", [train], mean_image)["mean"].shape
    torch.Size([3, 32, 32])
    """
    memory = _memory.get()
    return make() if memory is None else _recalled(memory, what, [memory.attack, *depends_on], make)


def _recalled(
    memory: _Memory, what: str, depends_on: Sequence[Any], make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return the remembered tensors. The architecture counts, because networks of two architectures
    may have weights of the same names and shapes. The number format counts, because a recipe may
    leave it to the machine.
    """
    networks = any(isinstance(part, nn.Module) for part in depends_on)
    key = digest_of_parts([*depends_on, memory.precision, *([memory.model] if networks else [])])
    path = memory.folder / f"{what}-{key[:16]}.pt"
    if (found := _found(path, key)) is not None:
        return found
    with claim_in_turn(path.with_name(f".{path.name}.claim")):
        if (found := _found(path, key)) is not None:  # made while this process waited
            return found
        made = {name: value.detach().cpu().contiguous() for name, value in make().items()}
        write_tensors(
            path,
            {"schema": SCHEMA, "depends_on": key, "sha256": _digest_of(made), "tensors": made},
            maker=f"{what} in {memory.precision}",
        )
        return made


def _found(path: Path, key: str) -> dict[str, Tensor] | None:
    """Return the tensors stored at `path`, if they have this key and are unchanged."""
    # What somebody else has put there may hold anything in place of digests and tensors.
    with suppress(RecordError, LookupError, TypeError, ValueError, AttributeError, RuntimeError):
        content = read_tensors(path)
        if (content["depends_on"], content["sha256"]) == (key, _digest_of(content["tensors"])):
            return dict(content["tensors"])
    return None


def clean_model(model: nn.Module, train: ImageSet, recipe: Recipe) -> nn.Module:
    """Train `model`, which is fresh, on clean images by `recipe`, and return it in eval mode: the
    surrogate of an attack that needs a healthy model.

    Its draws are seeded by what it is trained from, so all attacks of a seed share one surrogate,
    which is trained once.

    >>> surrogate = clean_model(build_model(), test, recipe)
    >>> surrogate.training
    False
    """
    depends_on = [model, train, recipe.params]

    def make() -> dict[str, Tensor]:
        rng = torch.Generator().manual_seed(int(digest_of_parts(depends_on)[:15], 16))
        return fit(model, train, recipe, rng, what="training a clean surrogate").state_dict()

    memory = _memory.get()
    model.load_state_dict(
        make()
        if memory is None
        else _recalled(memory, "surrogate", [SURROGATES_VERSION, *depends_on], make)
    )
    return model.eval()


def digest_of_parts(parts: Sequence[Any]) -> str:
    """Return sha256 over tensors, image sets, modules and plain values, in hexadecimal."""
    total = hashlib.sha256()
    for part in parts:
        total.update(_digest(part).encode())
    return total.hexdigest()


def _digest_of(tensors: Mapping[str, Any]) -> str:
    """Return the digest over names and values."""
    return digest_of_parts([each for item in tensors.items() for each in item])


def _digest(part: Any) -> str:
    if isinstance(part, ImageSet):
        return part.to(torch.device("cpu")).fingerprint()
    if isinstance(part, nn.Module):
        return _digest_of(part.state_dict())
    if isinstance(part, Tensor):
        content = hashlib.sha256(repr((part.dtype, tuple(part.shape))).encode())
        content.update(part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return content.hexdigest()
    return hashlib.sha256(canonical_json(part).encode()).hexdigest()
