"""It takes no small images, and of large ones its features are maps. caught by:
has_features_and_head.
"""

from torch import nn

from benchbd.api import Model, NotApplicable


class Mutant(Model):
    api = 1

    def build(self, num_classes, image_shape):
        if image_shape[1] < 64:
            raise NotApplicable("it needs 64 pixels")
        return Network(image_shape[0], num_classes)


class Network(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3)
        self.head = nn.Linear(4, classes)

    def features(self, images):
        return self.conv(images)
