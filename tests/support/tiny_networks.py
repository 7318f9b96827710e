"""Networks of a few hundred weights for tests, each of a kind that a method must cope with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier

CLASSES = 4


class Network(nn.Module):
    """A body (N, 3, H, W) -> (N, 6) and a head."""

    def __init__(self, body: nn.Module, width: int = 6) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(width, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        return self.body(images)  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Post-activation: the ReLU stands behind the addition; the shortcut is the convolution that
    runs last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.conv2, self.bn2 = nn.Conv2d(5, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.shortcut = nn.Conv2d(3, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(branch + self.shortcut(x)).mean((2, 3))


class PreAct(nn.Module):
    """Pre-activation: only `conv1` is read by a norm alone."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.bn1, self.conv1 = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1)
        self.bn2, self.conv2 = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        branch = self.conv1(F.relu(self.bn1(x)))
        return (x + self.conv2(F.relu(self.bn2(branch)))).mean((2, 3))


class Plain(nn.Module):
    """Convolutions without norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 5, 3), nn.Conv2d(5, 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv2(torch.relu(self.conv1(x)))).mean((2, 3))


class Wide(nn.Module):
    """Sixteen channels behind one norm, enough for one of them to stand out by three standard
    deviations.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x))).mean((2, 3))


class InPlace(nn.Module):
    """Overwrites values wherever that is harmless."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.shortcut, self.relu = nn.Conv2d(3, 6, 1), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))).add_(self.shortcut(x))
        out += x.mean(1, keepdim=True)
        return self.relu(out).mean((2, 3))


class Summed(nn.Module):
    """Overwrites what a convolution gives out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3), nn.Conv2d(3, 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1(x).add_(self.conv2(x)).relu_().mean((2, 3))


class ReadAgain(InPlace):
    """Reads a value after it was overwritten, through another name."""

    def forward(self, x: Tensor) -> Tensor:
        before = self.bn1(self.conv1(x))
        same = before[:, :]
        after = self.relu(before)
        return (self.bn2(self.conv2(after)) + same).mean((2, 3))


class Renamed(InPlace):
    """Adds in place to a value that has a second name; tracing takes this for an addition that
    leaves it alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        out = kept = self.bn1(self.conv1(x))
        out += self.shortcut(x)
        return (out + self.bn2(self.conv2(kept))).mean((2, 3))


class Tokens(nn.Module):
    """LayerNorm with the channels last, GroupNorm with the channels second."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.group = nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6)
        self.norm, self.mix = nn.LayerNorm(6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.group(self.conv(x)).flatten(2).transpose(1, 2)
        return (tokens + self.mix(F.gelu(self.norm(tokens)))).mean(1)


class Branching(Plain):
    """What it computes depends on values, so that it cannot be followed."""

    def forward(self, x: Tensor) -> Tensor:
        maps = torch.relu(self.conv1(x))
        if maps.sum() > 0:
            maps = maps + 0.5
        return torch.relu(self.conv2(maps)).mean((2, 3))


def classifier(body: nn.Module, seed: int = 0) -> Classifier:
    """`body` and a head as a classifier in eval mode; weights drawn from `seed`, no class far ahead
    of others.
    """
    model = Classifier(Network(body), (0.4, 0.5, 0.6), (0.2, 0.3, 0.2))
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in [*model.network.named_parameters(), *model.network.named_buffers()]:
            if name.endswith("running_var"):
                value.uniform_(0.5, 2, generator=rng)
            elif value.is_floating_point():
                value.normal_(generator=rng)
        model.eval().head.bias.zero_()
        model.head.bias.sub_(model(random_images(50).images / 255).mean(0))
    return model


def random_images(count: int, seed: int = 0) -> ImageSet:
    """Colour images of 6x6 pixels that differ in brightness and tint."""
    rng = torch.Generator().manual_seed(seed)
    pixels = (
        torch.rand(count, 3, 6, 6, generator=rng) * torch.rand(count, 3, 1, 1, generator=rng) * 256
    )
    return ImageSet(
        pixels.to(torch.uint8), torch.arange(count) % CLASSES, ("ant", "bee", "cat", "dog")
    )
