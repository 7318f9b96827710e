"""How a network stands: its modules, their modes and hooks, the versions of its values."""

from __future__ import annotations

from torch import nn


def hooks(model: nn.Module) -> int:
    """Return how many hooks change what a forward pass gives; a `forward` that was put in place of
    a module's own counts as one.
    """
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) + ("forward" in vars(module))
        for module in model.modules()
    )


def in_training(model: nn.Module) -> list[str]:
    """Return names of the modules that are in training mode, that of the whole being `model`."""
    return [name or "model" for name, module in model.named_modules() if module.training]


def look(model: nn.Module) -> tuple[list[tuple[str, int]], list[int], int]:
    """Equal for two looks at one model between which nothing changed: which modules are where, how
    often each parameter and buffer was written to, and how many hooks there are.
    """
    modules = [(name, id(module)) for name, module in model.named_modules()]
    return (
        modules,
        [value._version for value in (*model.parameters(), *model.buffers())],
        hooks(model),
    )
