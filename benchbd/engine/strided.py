"""Strided 1x1 convolutions, computed so that torch does not write past their memory.

The backward pass of torch 2.13 on a CPU damages memory for such a convolution with few channels in
channels-last memory: it crashes, or does worse. Taking every s-th pixel first, and then a
convolution without stride, is the same function.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

SAFE_CHANNELS = 32
"""Output channels from which on the damage was not seen."""


class SubsampledConv2d(nn.Conv2d):
    """A strided 1x1 convolution that reads only the pixels it needs; weights and their names are
    those of `nn.Conv2d`.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        rows, columns = self.stride
        return F.conv2d(input[:, :, ::rows, ::columns], self.weight, self.bias, groups=self.groups)


def make_safe(network: nn.Module) -> None:
    """Let the narrow strided 1x1 convolutions of a network be `SubsampledConv2d`, in place."""
    for module in network.modules():
        narrow = (
            type(module) is nn.Conv2d
            and module.kernel_size == (1, 1)
            and module.out_channels < SAFE_CHANNELS
        )
        if narrow and module.stride != (1, 1) and module.padding in ((0, 0), "valid"):
            module.__class__ = SubsampledConv2d
