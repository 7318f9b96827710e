"""The first layers of a network from another library, changed for images that it was
not made for.
"""

from __future__ import annotations

from torch import nn

from benchbd.api import ImageShape


def small_stem(network: nn.Module) -> None:
    """Put a 3x3 convolution of stride 1 for a 7x7 one of stride 2, and nothing for the max pool
    beside it, in place.

    These are the stems of ResNet-like networks (ResNet, ResNeXt, DenseNet), which quarter an image
    before the first block. A network that begins in any other way is left as it is. The new weights
    are drawn anew (He et al.).
    """
    name, conv = _first_conv(network)
    parent = name.rpartition(".")[0]
    pool = next(
        (
            n
            for n, m in network.get_submodule(parent).named_children()
            if isinstance(m, nn.MaxPool2d)
        ),
        None,
    )
    if (
        type(conv) is not nn.Conv2d
        or pool is None
        or (conv.kernel_size, conv.stride) != ((7, 7), (2, 2))
    ):
        return
    smaller = nn.Conv2d(
        conv.in_channels, conv.out_channels, 3, padding=1, bias=conv.bias is not None
    )
    nn.init.kaiming_normal_(smaller.weight, mode="fan_out", nonlinearity="relu")
    network.set_submodule(name, smaller)
    network.set_submodule(f"{parent}.{pool}".lstrip("."), nn.Identity())


def grey_stem(network: nn.Module) -> None:
    """Let a network made for RGB take grey images, in place: it answers as to three
    equal channels.
    """
    _, conv = _first_conv(network)
    if conv is None:
        raise ValueError("without a convolution the network cannot be changed for grey images")
    conv.weight = nn.Parameter(conv.weight.detach().sum(1, keepdim=True))
    conv.in_channels = 1


def require_whole_patches(network: nn.Module, image_shape: ImageShape) -> None:
    """Raise `ValueError` where the first layer would leave the right or lower edge of the image
    unread.

    A convolution whose stride is its kernel cuts patches; a trigger in what remains beside the last
    one has no effect.
    """
    _, conv = _first_conv(network)
    if type(conv) is not nn.Conv2d or conv.stride != conv.kernel_size:
        return
    height, width = conv.kernel_size
    if image_shape[1] % height or image_shape[2] % width:
        raise ValueError(f"it reads patches of {height}x{width} pixels, which do not fill them")


def _first_conv(network: nn.Module) -> tuple[str, nn.Conv2d | None]:
    return next(
        ((name, m) for name, m in network.named_modules() if isinstance(m, nn.Conv2d)), ("", None)
    )
