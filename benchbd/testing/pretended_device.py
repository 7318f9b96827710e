"""A pretended device, for machines without a GPU: its tensors refuse what tensors of a GPU refuse.

Their values lie in ordinary memory and are computed by the CPU, to the same bits. Errors on a GPU
because tensors of two devices meet, because a generator of the CPU is to draw there, or because
NumPy is to read its memory, occur here too. Other differences of a GPU, in speed, rounding and
memory, do not show.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import rename_privateuse1_backend

from benchbd.testing.result import NotSeen

DEVICE_NAME = "elsewhere"
_UNNAMED = "privateuseone"
"""The name of torch's slot for devices of others, until one takes it."""

_aten = torch.ops.aten
_CROSSING = {_aten._to_copy.default, _aten.copy_.default}
"""Operations that carry values from one device to another."""

_INDEXED = {
    _aten.index.Tensor: 1,
    _aten.index_put_.default: 3,
    _aten.index_put.default: 3,
    _aten._index_put_impl_.default: 3,
}
"""Operations whose indices may lie on the CPU while the values lie elsewhere, each with the
positions of the value arguments.
"""

_JOINING = {_aten.cat.default, _aten.stack.default}
"""Operations for which a tensor without dimensions does not count as a plain number."""

_ANSWERING = {
    _aten._local_scalar_dense.default,
    _aten.equal.default,
    _aten.nonzero.default,
    _aten.masked_select.default,
}
"""Operations that end only when the device has returned a value or a shape."""


class RefusedByDevice(Exception):
    """The cause of an error of the device: a GPU would refuse this too."""


class _OnTwoDevices(RuntimeError, RefusedByDevice): ...


class _Unreadable(TypeError, RefusedByDevice): ...


@contextmanager
def pretended_device() -> Iterator[PretendedDevice]:
    """Give the device while the block runs. Raises `NotSeen` where this torch has no slot
    for it.
    """
    _take_place()
    with PretendedDevice() as there:
        yield there


class PretendedDevice(TorchDispatchMode):
    """Computes for the device. waits: how often the program had to wait for a value from it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = torch.device(DEVICE_NAME, 0)
        self.waits = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.waits += any(map(_is_far, tree_leaves(args))) and (
            func in _ANSWERING or _comes_back(func, args, kwargs)
        )
        return _compute(func, args, kwargs)


class _Far(Tensor):
    """A tensor of the device. near: its values, in ordinary memory."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> _Far:
        device, start = torch.device(DEVICE_NAME, 0), near.storage_offset()
        far = Tensor._make_wrapper_subclass(
            cls,
            near.shape,
            strides=near.stride(),
            storage_offset=start,
            dtype=near.dtype,
            device=device,
        )
        far.near = near
        return far

    # torch.nn.Module.to puts a tensor in a parameter's place only where it can be taken apart
    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["near"], None

    @staticmethod
    def __tensor_unflatten__(
        parts: dict[str, Tensor], context: None, size: Any, stride: Any
    ) -> _Far:
        return _Far(parts["near"])

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        raise _Unreadable(
            f"NumPy cannot read the memory of {DEVICE_NAME}; copy the tensor with `.cpu()` first"
        )

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"{self.near!r} on {DEVICE_NAME}"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _compute(func, args, kwargs or {})


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Return the result of an operation, on the device where its tensors lie or where it is asked
    to put them.
    """
    leaves = tree_leaves((args, kwargs))
    asked = kwargs.get("device")
    far = any(map(_is_far, leaves))
    lands = (
        _is_far(args[0]) if func is _aten.copy_.default else far if asked is None else _ours(asked)
    )
    if func not in _CROSSING:
        _require_one_device(func, args, leaves)
    if lands and any(isinstance(leaf, torch.Generator) for leaf in leaves):
        raise _OnTwoDevices(
            f"{func} draws on the device with a generator of the CPU; draw on the CPU and move "
            "what was drawn"
        )
    given = tree_map(_near, kwargs) | ({"device": torch.device("cpu")} if _ours(asked) else {})
    answer = func(*tree_map(_near, args), **given)
    if not lands:
        return answer
    # a view is an inference tensor only if its base is one
    view_of_tracked = func.is_view and not args[0].is_inference()
    with torch.inference_mode(False) if view_of_tracked else nullcontext():
        wrapped = tree_map(_far, answer)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if far else wrapped


def _require_one_device(func: Any, args: Any, leaves: list[Any]) -> None:
    """Refuse tensors of two devices. Tensors without dimensions, which count as numbers, and
    indices are allowed.
    """
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    if func in _INDEXED and _is_far(args[0]):
        tensors = [part for part in args[: _INDEXED[func]] if isinstance(part, Tensor)]
    firm = [tensor for tensor in tensors if _is_far(tensor) or tensor.ndim or func in _JOINING]
    if len({_is_far(tensor) for tensor in firm}) == 2:
        met = ", ".join(
            f"{tuple(tensor.shape)} of {DEVICE_NAME if _is_far(tensor) else 'the CPU'}"
            for tensor in firm
        )
        raise _OnTwoDevices(
            f"{func} met tensors of two devices: {met}; bring them together with `.to(device)`"
        )


def _comes_back(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Return whether the operation carries values from the device to the CPU."""
    if func is _aten.copy_.default:
        return not _is_far(args[0])
    return (
        func is _aten._to_copy.default
        and kwargs.get("device") is not None
        and not _ours(kwargs["device"])
    )


def _ours(device: torch.device | str | None) -> bool:
    return device is not None and torch.device(device).type == DEVICE_NAME


def _is_far(leaf: Any) -> bool:
    return isinstance(leaf, _Far)


def _near(leaf: Any) -> Any:
    return leaf.near if isinstance(leaf, _Far) else leaf


def _far(leaf: Any) -> Any:
    return _Far(leaf) if isinstance(leaf, Tensor) and not isinstance(leaf, _Far) else leaf


@cache
def _take_place() -> torch.library.Library:
    """Give the device its name and the functions that torch expects. This happens once, because a
    process cannot undo it, and before the first backward pass, at which torch counts the devices.
    """
    if not hasattr(torch._C, "_acc") or torch._C._get_privateuse1_backend_name() != _UNNAMED:
        raise NotSeen(
            f"torch {torch.__version__} has no place here for a device that is only pretended"
        )

    class Hooks(torch._C._acc.PrivateUse1Hooks):
        def is_available(self) -> bool:
            return False  # so that nobody chooses this device without being told to

        def is_built(self) -> bool:
            return True

        def has_primary_context(self, index: int) -> bool:
            return True

    class Guard(torch._C._acc.DeviceGuard):
        def type_(self) -> Any:
            return torch._C._autograd.DeviceType.PrivateUse1

    rename_privateuse1_backend(DEVICE_NAME)
    torch._register_device_module(DEVICE_NAME, _Module())
    torch._C._acc.register_python_privateuseone_hook(Hooks())
    torch._C._acc.register_python_privateuseone_device_guard(Guard())
    # for tensors that torch makes by itself, such as that of a list of indices
    library = torch.library.Library("aten", "IMPL")
    library.impl("empty.memory_format", _empty, "PrivateUse1")
    library.impl("empty_strided", _empty_strided, "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    return library


class _Module:
    """The functions that torch expects under `torch.elsewhere`."""

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        """Do nothing: the device draws from the CPU's own generator, which has been seeded."""

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        """Do nothing: the state of the CPU's own generator has been set."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def is_available(self) -> bool:
        return False  # so that nobody chooses this device without being told to

    def is_initialized(self) -> bool:
        return True


def _empty(size: list[int], *, dtype: torch.dtype | None = None, **options: Any) -> Tensor:
    return _Far(torch.empty(size, dtype=dtype))


def _empty_strided(
    size: list[int], stride: list[int], *, dtype: torch.dtype | None = None, **options: Any
) -> Tensor:
    return _Far(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    _near(target).copy_(_near(source))
    return target
