"""Units, paths, and what pruning does to the weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from benchbd.engine.units import (
    PrunedPart,
    PruningPath,
    Unit,
    channels,
    conv_layers,
    is_scaled_norm,
    named_layer,
    norm_layers,
    path_by_number,
    path_by_threshold,
    prune,
    ranked,
    staying_pruned,
)
from benchbd.errors import ConfigError, NotApplicable
from support.tiny_networks import InPlace, Plain, PreAct, Residual, Tokens, classifier

WORTH = {"a": torch.tensor([0.5, 0.1, 0.9]), "b": torch.tensor([0.1, 0.3])}
ASCENDING = (Unit("a", 1), Unit("b", 0), Unit("b", 1), Unit("a", 0), Unit("a", 2))


def test_norm_layers_of_every_kind_are_found() -> None:
    assert list(norm_layers(classifier(Residual()))) == ["network.body.bn1", "network.body.bn2"]
    assert list(norm_layers(classifier(Tokens()))) == ["network.body.group", "network.body.norm"]


def test_no_norm_is_an_answer() -> None:
    with pytest.raises(NotApplicable, match="no normalisation layer"):
        norm_layers(classifier(Plain()))


@pytest.mark.parametrize(
    "layer",
    [nn.BatchNorm2d(4, affine=False), nn.LayerNorm([4, 3, 3]), nn.Conv2d(4, 4, 1)],
    ids=repr,
)
def test_not_a_scaled_norm(layer: nn.Module) -> None:
    assert not is_scaled_norm(layer)


def test_conv_layers() -> None:
    assert list(conv_layers(classifier(Plain()))) == ["network.body.conv1", "network.body.conv2"]
    with pytest.raises(NotApplicable, match="no convolution"):
        conv_layers(nn.Linear(2, 2))


def test_channels() -> None:
    assert channels(nn.Conv2d(3, 5, 1), "output") == 5
    assert channels(nn.BatchNorm2d(4), "scale") == 4
    assert channels(nn.Linear(6, 2), "input") == 6


@pytest.mark.parametrize(
    "name",
    ["network.body.conv1", "body.conv1", "conv1"],
    ids=["full name", "without network", "end of the name"],
)
def test_named_layer(name: str) -> None:
    assert named_layer(classifier(Residual()), name) == "network.body.conv1"


def test_the_name_itself_goes_before_the_end_of_another() -> None:
    model = classifier(Plain())
    model.network.add_module("conv1", nn.Conv2d(1, 1, 1))
    assert named_layer(model, "conv1") == "network.conv1"


def test_named_layer_refuses_a_name_that_fits_two() -> None:
    model = nn.Sequential(Plain(), Plain())
    with pytest.raises(ConfigError, match=r"'conv2' could be any of 0.conv2, 1.conv2; give more"):
        named_layer(model, "conv2")


def test_named_layer_suggests_the_nearest() -> None:
    with pytest.raises(
        ConfigError,
        match=r"no layer named 'body.conv3'; did you mean 'body.conv.*here: body.conv1, body.conv2",
    ):
        named_layer(classifier(Plain()), "body.conv3")


def test_ranked_is_ascending_and_equal_ones_keep_their_order() -> None:
    units, scores = ranked(WORTH)
    assert units == ASCENDING
    assert scores.tolist() == pytest.approx([0.1, 0.1, 0.3, 0.5, 0.9])


def test_path_by_threshold_prunes_what_is_below_the_threshold() -> None:
    worth = {"a": torch.tensor([0.5, 0.0, 1.0]), "b": torch.tensor([0.25])}
    path = path_by_threshold(worth, [0.0, 0.2, 0.25, 0.5, 0.9], "scale")
    assert path.cuts == (0, 1, 1, 2, 3)
    assert path.values == (0.0, 0.2, 0.25, 0.5, 0.9)
    assert path.pruned(3) == {"a": [1], "b": [0]}


def test_path_by_number_ends_at_all_units() -> None:
    path = path_by_number(WORTH, [0, 2, 4, 9], "scale")
    assert (path.cuts, path.values) == ((0, 2, 4, 5), (0.0, 2.0, 4.0, 5.0))
    assert path_by_number(WORTH, [0, 2, 5], "scale", axis="fraction pruned").values == (
        0.0,
        0.4,
        1.0,
    )


def test_pruned_and_added() -> None:
    path = path_by_number(WORTH, [1, 3, 3, 4], "scale")
    assert path.layers == ("a", "b")
    assert [path.pruned(step) for step in range(2)] == [{"a": [1]}, {"a": [1], "b": [0, 1]}]
    assert [path.added(step) for step in range(4)] == [{"a": [1]}, {"b": [0, 1]}, {}, {"a": [0]}]


@pytest.mark.parametrize(
    ("values", "cuts"), [((0.0, 1.0), (2, 1)), ((0.0,), (1, 2))], ids=["descending", "one too many"]
)
def test_a_path_needs_ascending_cuts(values: tuple[float, ...], cuts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one ascending cut per value"):
        PruningPath("number", values, cuts, ASCENDING, "scale")


def test_pruning_a_scale_leaves_the_shift_as_a_constant() -> None:
    model = classifier(Residual())
    shift = model.get_parameter("network.body.bn1.bias").clone()
    prune(model, {"network.body.bn1": [1, 3]}, "scale")
    outputs = model.network.body.bn1(torch.randn(2, 5, 3, 3))
    assert torch.equal(outputs[:, [1, 3]], shift[[1, 3]][:, None, None].expand(2, -1, 3, 3))
    assert outputs[:, [0, 2, 4]].std() > 0.1


@pytest.mark.parametrize("layer", ["conv1", "bn1"])
def test_pruning_an_output_leaves_nothing(layer: str) -> None:
    module = classifier(InPlace()).network.body.get_submodule(layer)
    prune(module, {"": [2]}, "output")
    outputs = module(torch.randn(2, module.weight.shape[1] if layer == "conv1" else 6, 4, 4))
    assert not outputs[:, 2].any()
    assert outputs[:, [0, 1, 3, 4, 5]].abs().amin() > 0


def test_pruning_an_input_makes_it_unread() -> None:
    head = nn.Linear(3, 2)
    prune(head, {"": [1]}, "input")
    features = torch.tensor([[1.0, 5.0, 2.0], [1.0, -7.0, 2.0]])
    assert torch.equal(head(features)[0], head(features)[1])


def test_a_step_is_a_copy_in_eval_mode() -> None:
    model = classifier(PreAct()).train()
    before = copy.deepcopy(model.state_dict())
    pruned = path_by_number({"network.body.bn2": torch.arange(6.0)}, [0, 2], "scale").at(model, 1)
    assert not pruned.training and model.training
    assert pruned.get_parameter("network.body.bn2.weight")[:2].tolist() == [0, 0]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


PLACES: list[tuple[str, PrunedPart]] = [
    ("body.conv1", "output"),
    ("body.bn1", "output"),
    ("body.bn1", "scale"),
    ("head", "input"),
]


@pytest.mark.parametrize(("layer", "where"), PLACES)
def test_training_inside_staying_pruned_leaves_zeros(layer: str, where: PrunedPart) -> None:
    network = classifier(InPlace()).network.train()
    pruned = {layer: [0, 4]}
    prune(network, pruned, where)
    weight = network.get_parameter(f"{layer}.weight")
    start = weight.detach().clone()
    with staying_pruned(network, pruned, where):
        _train(network)
    by_unit, before = (value.T if where == "input" else value for value in (weight.detach(), start))
    assert not by_unit[[0, 4]].any()
    assert (by_unit[[1, 2]] != before[[1, 2]]).all()


@pytest.mark.parametrize("error", [None, RuntimeError()], ids=["left in peace", "left by an error"])
def test_gradients_flow_again_after_staying_pruned(error: Exception | None) -> None:
    head = nn.Linear(3, 2)
    try:
        with staying_pruned(head, {"": [1]}, "input"):
            if error:
                raise error
    except RuntimeError:
        pass
    head(torch.ones(1, 3)).sum().backward()
    assert head.weight.grad is not None and head.weight.grad.tolist() == [[1, 1, 1], [1, 1, 1]]


def _train(network: nn.Module) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)
    images = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(
            network.head(network.features(images)), torch.arange(8) % 4
        ).backward()
        optimizer.step()
