"""A network whose normalisation layers scale each channel by their weight times a mask in [0, 1],
and how masks are learned.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchbd.api import Classifier, norm_layers


class MaskedNorms(nn.Module):
    """A frozen copy of `model` in training mode; its masks, at first 1, are all there
    is to learn.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(model).train().requires_grad_(False)
        layers = norm_layers(self.network)
        for layer in layers.values():
            if isinstance(layer, nn.GroupNorm):
                layer.register_forward_pre_hook(_contiguous)
        self.weights = {name: layer.get_parameter("weight") for name, layer in layers.items()}
        self.biases = {
            name: layer.get_parameter("bias")
            for name, layer in layers.items()
            if layer.bias is not None
        }
        self.masks = {
            name: torch.ones_like(weight).requires_grad_() for name, weight in self.weights.items()
        }

    def values(self) -> dict[str, Tensor]:
        """Masks (C,) by layer."""
        return {name: mask.detach().clone() for name, mask in self.masks.items()}

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the masked network."""
        return self.called(images, self.masks, {})

    def called(self, images: Tensor, scale: dict[str, Tensor], shift: dict[str, Tensor]) -> Tensor:
        """Logits with every layer's weight times `scale` and its bias times 1 + `shift`."""
        changed = {f"{name}.weight": self.weights[name] * factor for name, factor in scale.items()}
        changed |= {
            f"{name}.bias": self.biases[name] * (1 + noise) for name, noise in shift.items()
        }
        return functional_call(self.network, changed, (images,))  # type: ignore[no-any-return]


class NoisyNorms(MaskedNorms):
    """Perturbed it scales by weight * (m + d) and shifts by bias * (1 + xi), d and xi noise that is
    drawn and may climb a loss.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.scale_noise: dict[str, Tensor] = {}
        self.shift_noise: dict[str, Tensor] = {}

    def draw_noise(self, eps: float, rng: torch.Generator) -> None:
        def uniform(like: Tensor) -> Tensor:
            return (
                ((2 * torch.rand(like.shape, generator=rng) - 1) * eps)
                .to(like.device)
                .requires_grad_()
            )

        self.scale_noise = {name: uniform(mask) for name, mask in self.masks.items()}
        self.shift_noise = {name: uniform(bias) for name, bias in self.biases.items()}

    def perturbed(self, images: Tensor) -> Tensor:
        return self.called(
            images,
            {name: mask + self.scale_noise[name] for name, mask in self.masks.items()},
            self.shift_noise,
        )

    def climb(self, loss: Tensor, step: float) -> None:
        """Move the noise up the loss by the sign of its gradient."""
        noise = [*self.scale_noise.values(), *self.shift_noise.values()]
        gradients = torch.autograd.grad(loss, noise, materialize_grads=True)
        with torch.no_grad():
            for part, gradient in zip(noise, gradients, strict=True):
                part.add_(step * gradient.sign())

    def settled(self) -> Classifier:
        """The network in eval mode with the noise in its weights; the masks have no part in it."""
        network = copy.deepcopy(self.network).eval()
        assert isinstance(network, Classifier)
        with torch.no_grad():
            for name, noise in self.scale_noise.items():
                network.get_parameter(f"{name}.weight").mul_(1 + noise)
            for name, noise in self.shift_noise.items():
                network.get_parameter(f"{name}.bias").mul_(1 + noise)
        return network


def descend(masks: dict[str, Tensor], loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Move the masks down the loss and clip them to [0, 1]."""
    gradients = torch.autograd.grad(loss, list(masks.values()), materialize_grads=True)
    for mask, gradient in zip(masks.values(), gradients, strict=True):
        mask.grad = gradient
    optimizer.step()
    with torch.no_grad():
        for mask in masks.values():
            mask.clamp_(0, 1)


def _contiguous(layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """PyTorch crashes in the backward pass of GroupNorm on a CPU over channels-last maps that need
    no gradient.
    """
    return (inputs[0].contiguous(),)
