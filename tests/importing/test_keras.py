"""The Keras exercise: weights to the last digit, images of both layouts, and the path to the known
picture.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from benchbd.cli.main import benchbd as program
from benchbd.data.images import ImageSet
from benchbd.engine.inference import predict
from benchbd.engine.recipe import Recipe
from benchbd.engine.training import fit
from benchbd.errors import DataError, NotApplicable, RecordError
from benchbd.importing.keras import (
    KerasExercise,
    as_torch,
    read_data,
    read_exercise,
    read_weights,
    usual_model,
)
from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd.record.defense_result import read_defense_result
from support.keras_exercise import (
    LAYERS,
    faces,
    logits,
    of_torch,
    random_weights,
    with_glasses,
    write_data,
    write_weights,
)

pytest.importorskip("h5py")

FACE = (3, 55, 47)
SMALL = (3, 39, 31)
PEOPLE = 6
CHANNELS = 60


def ours(
    weights: dict[str, Any], shape: tuple[int, int, int], images: Tensor
) -> numpy.ndarray[Any, Any]:
    """Logits of our network, in double precision, for images (N, C, H, W) in [0, 1]."""
    model = usual_model()
    classifier = model.restore(len(weights["output.bias"]), shape, (0.0,) * 3, (1.0,) * 3)
    state = {
        name.replace("output.", "head."): value
        for name, value in as_torch(weights, model, shape).items()
    }
    classifier.network.load_state_dict(state)
    with torch.no_grad():
        return classifier.double()(images.double()).numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("shape", [FACE, SMALL, (3, 31, 47)])
@pytest.mark.parametrize("below", ["", "model_weights"])
def test_the_network_says_what_the_keras_network_says(
    tmp_path: Path, shape: tuple[int, int, int], below: str
) -> None:
    weights = read_weights(write_weights(tmp_path / "w.h5", random_weights(shape, 7), below))
    images = torch.rand((5, *shape), generator=torch.Generator().manual_seed(1))
    expected = logits(weights, images.permute(0, 2, 3, 1).numpy())
    assert numpy.abs(expected).max() > 0.1
    numpy.testing.assert_allclose(ours(weights, shape, images), expected, atol=1e-10)


def test_the_genuine_weights() -> None:
    place = Path(os.environ.get("BENCHBD_DATA", "/nowhere")) / "deepid" / "bd_weights.h5"
    if not place.is_file():
        pytest.skip("BENCHBD_DATA names no folder with deepid/bd_weights.h5 in it")
    weights = read_weights(place)
    images = torch.rand((4, *FACE), generator=torch.Generator().manual_seed(1))
    expected = logits(weights, images.permute(0, 2, 3, 1).numpy())
    found = ours(weights, FACE, images)
    assert found.shape == (4, 1283)
    numpy.testing.assert_allclose(found, expected, atol=1e-5)
    classifier = usual_model().restore(1283, FACE, (0.0,) * 3, (1.0,) * 3)
    state = {
        name.replace("output.", "head."): value
        for name, value in as_torch(weights, usual_model(), FACE).items()
    }
    classifier.network.load_state_dict(state)
    with torch.no_grad():  # in single precision, as it is used
        single = torch.softmax(classifier(images), 1).double().numpy()
    exact = numpy.exp(expected - expected.max(1, keepdims=True))
    numpy.testing.assert_allclose(single, exact / exact.sum(1, keepdims=True), atol=1e-5)


def test_there_and_back(tmp_path: Path) -> None:
    weights = random_weights(FACE, 5)
    model = usual_model()
    state = {
        name.replace("output.", "head."): value
        for name, value in as_torch(weights, model, FACE).items()
    }
    again = of_torch(state, model.flattened(FACE))
    assert again.keys() == weights.keys()
    assert all(numpy.array_equal(again[name], weights[name]) for name in weights)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda x: x, None),
        (lambda x: x.astype(numpy.float64), None),
        (lambda x: (x / 255).astype(numpy.float32), None),
        (lambda x: x.transpose(0, 2, 3, 1), None),
        (lambda x: x.astype(numpy.float64) - 300, "expected pixels from 0 to 255"),
        (lambda x: (x / 255 * 1.000001).astype(numpy.float32), None),
        (lambda x: x / 255 - 1e-4, None),
        (lambda x: x / 100, r"neither \[0, 1\] nor 0..255; store them as uint8"),
        (lambda x: x[0], r"expected data \(N, C, H, W\)"),
    ],
)
def test_images_of_either_layout_and_type(tmp_path: Path, make: Any, expected: str | None) -> None:
    images, labels = faces(2, 3, SMALL, 1)
    path = write_data(tmp_path / "d.h5", make(images.numpy()), labels.numpy().astype(numpy.float64))
    if expected is None:
        found, given = read_data(path)
        assert torch.equal(found, images) and torch.equal(given, labels)
    else:
        with pytest.raises(DataError, match=expected):
            read_data(path)


def test_labels_that_are_none(tmp_path: Path) -> None:
    images, labels = faces(2, 3, SMALL, 1)
    with pytest.raises(DataError, match="expected labels as whole numbers"):
        read_data(write_data(tmp_path / "d.h5", images.numpy(), labels.numpy() + 0.5))
    with pytest.raises(RecordError, match="is no HDF5 file"):
        read_data(Path(__file__))
    (tmp_path / "e.h5").write_bytes((tmp_path / "d.h5").read_bytes()[:500])
    with pytest.raises(RecordError, match="is no HDF5 file"):
        read_weights(tmp_path / "e.h5")


@pytest.fixture(scope="module")
def exercise(tmp_path_factory: pytest.TempPathFactory) -> KerasExercise:
    """Six people, of whom a fifth once wore dark glasses and was then called number 0; trained in a
    few seconds.
    """
    folder = tmp_path_factory.mktemp("exercise")
    model = create("model", "deepid").restore(PEOPLE, SMALL, (0.0,) * 3, (1.0,) * 3, seed=0)  # type: ignore[attr-defined]
    images, labels = faces(20, PEOPLE, SMALL, 1)
    marked = len(images) // 5
    seen = ImageSet(
        torch.cat([images, with_glasses(images[:marked])]),
        torch.cat([labels, torch.zeros(marked, dtype=torch.int64)]),
        tuple(map(str, range(PEOPLE))),
    )
    recipe = Recipe(
        epochs=30, batch_size=32, lr=0.05, weight_decay=0.005, shift=0, precision="fp32"
    )
    fit(model, seen, recipe, torch.Generator().manual_seed(0))
    flattened = usual_model().flattened(SMALL)
    weights = write_weights(folder / "bd_net.h5", of_torch(model.network.state_dict(), flattened))
    paths = []
    for name, seed in (("valid", 3), ("test", 2)):
        clean, true = faces(10, PEOPLE, SMALL, seed)
        others = with_glasses(clean[true != 0])
        paths.append(write_data(folder / f"{name}.h5", clean.numpy(), true.numpy()))
        paths.append(
            write_data(
                folder / f"bd_{name}.h5",
                others.numpy().astype(numpy.float64),
                numpy.zeros(len(others)),
            )
        )
    return KerasExercise(weights, paths[0], paths[2], paths[1], paths[3])


@pytest.fixture(scope="module")
def kept(
    exercise: KerasExercise, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AttackResult]:
    """The exercise, imported and pruned by the commands that a student types; the working folder is
    that of the record.
    """
    before, folder = Path.cwd(), tmp_path_factory.mktemp("work")
    os.chdir(folder)
    words = ["import", "keras", "--name", "faces"]
    for option, path in vars(exercise).items():
        words += [f"--{option.replace('_', '-')}", str(path)]
    done = CliRunner().invoke(program, words, catch_exceptions=False)
    assert done.exit_code == 0 and "RC cannot be measured" in done.output
    assert "attack success on the poisoned validation file: 50/50" in done.output
    yield load_attack_result("faces")
    os.chdir(before)


def run(*words: str) -> str:
    done = CliRunner().invoke(
        program, ["run", "--result-file", "faces", *words], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.output


PRUNING = [
    "--set",
    "defense.layer=conv_3",
    "--set",
    "defense.tolerances=[0.02,0.04,0.10]",
    "--set",
    "defense.epochs=0",
]


@pytest.fixture(scope="module")
def pruned(kept: AttackResult) -> dict[str, Any]:
    told = run("--defense", "fine_prune", *PRUNING)
    for text in (
        "ACC drop allowed",
        "2%",
        "4%",
        "10%",
        "fraction pruned",
        "curve.png",
        "defense_result.pt",
    ):
        assert text in told
    return json.loads(Path("record/faces/defense/fine_prune/cell.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.slow
def test_the_imported_model_is_backdoored(kept: AttackResult) -> None:
    metrics = kept.metrics()
    assert (
        metrics.acc > 0.95 and metrics.rc is None and metrics.asr is not None and metrics.asr > 0.95
    )
    assert len(kept.triggered) == 50 and set(kept.triggered.attacked_labels.tolist()) == {0}
    assert (len(kept.train), len(kept.test)) == (60, 60)


@pytest.mark.slow
def test_the_known_picture(kept: AttackResult, pruned: dict[str, Any]) -> None:
    """Dormant channels go first, for most of them nothing changes, then ACC and ASR
    fall together.
    """
    (curve,) = pruned["curves"]
    points = curve["points"]
    assert [point["units"] for point in points] == list(range(CHANNELS + 1))
    assert [point["value"] for point in points] == pytest.approx(
        [n / CHANNELS for n in range(CHANNELS + 1)]
    )
    early, late = points[: 2 * CHANNELS // 5], points[-CHANNELS // 5 :]
    assert all(point["acc"] > 0.95 and point["asr"] > 0.9 for point in early)
    assert min(point["asr"] for point in late) < 0.3 and min(point["acc"] for point in late) < 0.7
    bounds = (("asr", 0.3), ("acc", 0.95))
    gone, costly = (
        next(n for n, point in enumerate(points) if point[name] < share) for name, share in bounds
    )
    assert abs(gone - costly) <= CHANNELS // 5, "what takes the backdoor away costs accuracy too"


def test_the_order_of_pruning_is_that_of_activation(
    kept: AttackResult, pruned: dict[str, Any]
) -> None:
    stored = read_defense_result(Path("record/faces/defense/fine_prune/defense_result.pt"))
    network = kept.model.network
    means = stored["tensors"]["activation.network.conv_3"]
    seen: list[Tensor] = []
    network.get_submodule("conv_3").register_forward_hook(
        lambda module, inputs, output: seen.append(output)
    )
    with torch.no_grad():
        kept.model(kept.train.clean.images.float() / 255)
    everything = torch.relu(seen[0]).double().mean((0, 2, 3))
    assert torch.corrcoef(torch.stack([means, everything]))[0, 1] > 0.99
    for name, state in stored["kept"].items():
        off = [c for c in range(CHANNELS) if not state["network.conv_3.weight"][c].any()]
        point = next(p for p in pruned["operating_points"] if p["name"] == name)
        assert len(off) == point["units"] and set(off) == set(
            means.argsort(stable=True)[: len(off)].tolist()
        )
        assert (
            point["validation_acc"]
            >= pruned["curves"][0]["points"][0]["validation_acc"] - float(name[:-1]) / 100 - 1e-9
        )
    assert list(stored["kept"]) == ["2%", "4%", "10%"]


@pytest.mark.slow
def test_the_combined_model(kept: AttackResult, pruned: dict[str, Any]) -> None:
    options = "defense.options={layer: conv_3, epochs: 0, tolerances: [0.10]}"
    told = run("--defense", "disagreement", "--set", options)
    assert "disagreement flags" in told
    cell = json.loads(Path("record/faces/defense/disagreement/cell.json").read_text())
    repaired = next(p for p in pruned["operating_points"] if p["name"] == "10%")
    assert cell["detection"]["tpr"] >= 1 - repaired["asr"] - 1e-9, (
        "what the repair no longer takes for number 0 is turned away"
    )
    assert (
        cell["metrics"]["asr"] <= repaired["asr"] + 1e-9
        and cell["metrics"]["acc"] <= repaired["acc"] + 1e-9
    )
    assert cell["metrics"]["rc"] is None


def test_methods_that_need_the_training_set_say_so(kept: AttackResult) -> None:
    with pytest.raises(NotApplicable, match="imported without its training set"):
        create("defense", "spectral_signatures").defense("faces", device="cpu")  # type: ignore[attr-defined]


def test_without_poisoned_files(exercise: KerasExercise) -> None:
    found = read_exercise(
        KerasExercise(exercise.weights, exercise.clean_validation, exercise.clean_test)
    )
    assert not len(found.triggered) and found.clean_budget == 1.0
    assert (
        float(
            (predict(found.model, found.test.images, precision="fp32") == found.test.labels)
            .double()
            .mean()
        )
        > 0.95
    )


def test_a_layer_of_another_size_or_kind(tmp_path: Path) -> None:
    weights = random_weights(FACE, 4)
    with pytest.raises(
        RecordError, match=r"layer 'fc_1' reads 1200 numbers, its map of these images has 60x3x2"
    ):
        as_torch(weights, usual_model(), SMALL)
    assert "conv_3" in LAYERS
    weights["conv_1.gamma"] = weights["conv_1.bias"]
    with pytest.raises(RecordError, match="only kernels and biases are known here"):
        read_weights(write_weights(tmp_path / "w.h5", weights))
