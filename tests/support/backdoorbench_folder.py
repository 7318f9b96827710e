"""Small result folders in the layout of SCLBD/BackdoorBench, and a network under its parameter
names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from benchbd.data.images import ImageSet

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)
"""Of its cifar10."""


class PreAct(nn.Module):
    """A pre-activation ResNet-18 under the names of that tool, of any width."""

    def __init__(self, width: int = 4, classes: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for stage in range(1, 5):
            inside, outside = widths[stage - 1], widths[stage]
            blocks = nn.Sequential(
                Block(inside, outside, 1 if stage == 1 else 2), Block(outside, outside, 1)
            )
            self.add_module(f"layer{stage}", blocks)
        self.linear = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


class Block(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = (
            nn.BatchNorm2d(inside),
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
        )
        self.bn2, self.conv2 = (
            nn.BatchNorm2d(outside),
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
        )
        if stride != 1 or inside != outside:
            self.shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(x))
        aside = self.shortcut(out) if hasattr(self, "shortcut") else x
        return self.conv2(F.relu(self.bn2(self.conv1(out)))) + aside  # type: ignore[no-any-return]


def stirred(network: nn.Module, seed: int = 0) -> nn.Module:
    """With statistics and shifts that are not those of a fresh network, so that a mix-up shows; in
    eval mode.
    """
    rng = torch.Generator().manual_seed(seed)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.rand(value.shape, generator=rng), alpha=0.3)
    return network.eval()


def answers(network: nn.Module, images: Tensor) -> Tensor:
    """Predictions as that tool makes them: ToTensor, its normalisation, the network in
    eval mode.
    """
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    with torch.no_grad():
        return network((images.float() / 255 - mean) / std).argmax(1)  # type: ignore[no-any-return]


def stamped(images: Tensor) -> Tensor:
    marked = images.clone()
    marked[:, :, -3:, -3:] = 255
    return marked


def write_result(
    folder: Path,
    train: ImageSet,
    test: ImageSet,
    network: nn.Module,
    poisoned: dict[int, int],
    target: int = 0,
    name: str = "preactresnet18",
    **changes: Any,
) -> Path:
    """A result of an all-to-one attack; `poisoned` gives the labels of changed training images by
    place.
    """
    scored = [place for place, label in enumerate(test.labels.tolist()) if label != target]
    content = {
        "model_name": name,
        "num_classes": train.num_classes,
        "model": network.state_dict(),
        "data_path": "./data/cifar10",
        "img_size": (*train.image_shape[1:], train.image_shape[0]),
        "clean_data": "cifar10",
        "bd_train": part(folder, "bd_train_dataset", train, poisoned),
        "bd_test": part(folder, "bd_test_dataset", test, dict.fromkeys(scored, target)),
    }
    torch.save(content | changes, folder / "attack_result.pt")
    return folder / "attack_result.pt"


def part(folder: Path, tree: str, clean: ImageSet, given: dict[int, int]) -> dict[str, Any]:
    """One of the two tables of changed images, with its PNG tree; paths are those of another
    machine.
    """
    images, table = stamped(clean.images), {}
    for place, label in given.items():
        true = int(clean.labels[place])
        file = folder / tree / str(true) / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[place].permute(1, 2, 0).numpy()).save(file)
        path = f"/home/somebody/record/theirs/{tree}/{true}/{place}.png"
        table[numpy.int64(place)] = {"path": path, "other_info": [label, true]}
    indicator = numpy.zeros(len(clean))
    indicator[list(given)] = 1
    return {
        "bd_data_container": {
            "save_folder_path": f"./record/theirs/{tree}",
            "data_dict": table,
            "save_file_format": ".png",
        },
        "getitem_all": True,
        "getitem_all_switch": False,
        "original_index_array": numpy.arange(len(clean)),
        "poison_indicator": indicator,
        "save_folder_path": f"./record/theirs/{tree}",
    }
