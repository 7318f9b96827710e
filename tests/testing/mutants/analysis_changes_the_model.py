"""It turns gradients of the model off and leaves it so. caught by: handed_model_stays."""

from benchbd.api import Analysis, Findings, Measure, Scatter, features


class Mutant(Analysis):
    api = 1
    measures = {"first": Measure("mean of the first feature")}

    def look(self, scene, rng):
        pairs = scene.pairs(8)
        scene.models["backdoored"].requires_grad_(False)
        found = {name: features(model, pairs.clean) for name, model in scene.models.items()}
        picture = Scatter(
            {name: values[:, :2] for name, values in found.items()},
            pairs.true_labels,
            scene.test.class_names,
            "Points of one colour are of one class.",
        )
        numbers = {name: {"first": float(values[:, 0].mean())} for name, values in found.items()}
        return Findings(numbers, pictures={"features": picture})
