"""Its images carry more than the trigger that is stored. caught by: stored_result_reloads."""

from benchbd.api import PoisoningAttack

READY = []


class Mutant(PoisoningAttack):
    api = 1

    def with_trigger(self, trigger):
        READY.append(trigger)
        return super().with_trigger(trigger)

    def stamp(self, images, labels, rng):
        stamped = images.clone()
        stamped[:, :, -3:, -3:] = 255 - len(READY)
        return stamped
