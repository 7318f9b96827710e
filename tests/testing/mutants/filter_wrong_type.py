"""It returns bare scores. caught by: answers_with_its_type."""

from benchbd.api import DataFilter


class Mutant(DataFilter):
    api = 1

    def score(self, train_as_seen, model, clean, rng):
        return train_as_seen.images.float().mean((1, 2, 3))
