"""PAM: the way back by hand, and steps of the authors' code."""

from __future__ import annotations

import pytest
import torch

from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.pam import PAM, backwards
from support.inverting import inversion, mixing, victim


def test_a_step_back_by_hand() -> None:
    """From (0, 0) and 1 towards (3, 0) and 5: the way is 5 long over both tensors."""
    here, start = [torch.zeros(2), torch.ones(1)], [torch.tensor([3.0, 0]), torch.tensor([5.0])]
    back = backwards(here, start, rho=0.5)
    assert back[0].tolist() == pytest.approx([0.3, 0])
    assert back[1].tolist() == pytest.approx([1.4])


def test_there_is_no_way_back_at_the_start() -> None:
    here = [torch.tensor([1.0, 2])]
    assert torch.equal(backwards(here, here, rho=0.5)[0], here[0])


def test_its_gradient_on_a_quadratic() -> None:
    """f = w^2 / 2 from w0 = 2, w = 1: the gradient at w + rho is 1 + rho."""
    back = backwards([torch.tensor([1.0])], [torch.tensor([2.0])], rho=0.25)[0].requires_grad_()
    (slope,) = torch.autograd.grad(back.square().sum() / 2, back)
    assert float(slope) == pytest.approx(1.25)


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_weights_come_back_before_they_move(rho: float) -> None:
    """With a tiny rate nothing moves but the statistics."""
    model, method = victim(), PAM(ul_round=2, lr=1e-30, rho=rho)
    method._unlearn(model, method.unlearning(model), inversion(method, mixing(), seed=9))
    before = dict(victim().named_parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_as_the_reference_unlearning() -> None:
    """`unlearn_pam` and `PAM` of AISafety-HKUST/Backdoor_Safety_Tuning at 37d2ef5
    (fine_tune/BTIDBF/btidbfu.py, sam.py), three epochs of two batches, rho .5: the way of the
    head's bias and where running means are.
    """
    model, method = victim(), PAM(ul_round=3)
    with default_precision("fp32"):
        method._unlearn(model, method.unlearning(model), inversion(method, mixing(), seed=9))
    way = (model.head.bias - victim().head.bias).tolist()
    assert way == pytest.approx([0.014745, -0.001258, -0.001252, -0.012234], abs=1e-4)
    means = model.get_buffer("network.body.bn1.running_mean")[:3].tolist()
    assert means == pytest.approx([0.500246, -1.727875, 0.415714], abs=1e-3)
