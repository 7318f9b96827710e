"""Its features are weighted by places that it always makes on the CPU. caught by:
another_device_works.
"""

import torch
from torch import nn

from benchbd.api import Model


class Mutant(Model):
    api = 1

    def build(self, num_classes, image_shape):
        return Network(image_shape[0], num_classes)


class Network(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3)
        self.head = nn.Linear(4, classes)

    def features(self, images):
        maps = self.conv(images)
        return (maps * torch.linspace(0, 1, maps.shape[-1])).mean((2, 3))
