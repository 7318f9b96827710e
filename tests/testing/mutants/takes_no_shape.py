"""It says of every shape of images that it does not apply. caught by: runs."""

from benchbd.api import Model, NotApplicable


class Mutant(Model):
    api = 1

    def build(self, num_classes, image_shape):
        raise NotApplicable("these images are none of mine")
