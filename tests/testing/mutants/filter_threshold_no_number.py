"""Its threshold is not a number. caught by: answers_with_its_type."""

from benchbd.api import DataFilter, Suspicion


class Mutant(DataFilter):
    api = 1

    def score(self, train_as_seen, model, clean, rng):
        return Suspicion(train_as_seen.images.float().mean((1, 2, 3)), float("nan"))
