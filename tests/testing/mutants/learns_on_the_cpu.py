"""It learns its trigger from images that it does not bring to the model. caught by:
another_device_works.
"""

from benchbd.api import PoisoningAttack, to_float


class Mutant(PoisoningAttack):
    api = 1

    def prepare(self, train, build_model, recipe, rng):
        images = to_float(train.images[:8]).requires_grad_()
        build_model()(images).sum().backward()
        return {"sign": images.grad.mean(0).sign()}

    def stamp(self, images, labels, rng):
        return (images + 16 * self.trigger["sign"]).clamp(0, 255)
