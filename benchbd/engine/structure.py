"""The structure of a network: its modules, their modes and hooks, and the versions of its
values.
"""

from __future__ import annotations

from torch import nn


def hooks(model: nn.Module) -> int:
    """Return how many hooks change a forward pass. A replaced `forward` counts as one."""
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) + ("forward" in vars(module))
        for module in model.modules()
    )


def in_training(model: nn.Module) -> list[str]:
    """Return the names of the modules that are in training mode, `model` for the whole."""
    return [name or "model" for name, module in model.named_modules() if module.training]


def look(model: nn.Module) -> tuple[list[tuple[str, int]], list[int], int]:
    """Return a value that stays equal while the modules, the hooks and the versions of parameters
    and buffers do not change.
    """
    modules = [(name, id(module)) for name, module in model.named_modules()]
    return (
        modules,
        [value._version for value in (*model.parameters(), *model.buffers())],
        hooks(model),
    )
