"""Muon, the other optimiser of a stage."""

import copy

import pytest
import torch
from torch import nn

from srgan.train.muon import Muon, orthogonal
from srgan.train.step import dump_stage, load_stage
from srgan.train.update import Update
from tests.support.stages import differing, everything, pretrain, start, windows
from tests.support.updates import loss_of, network


@pytest.mark.parametrize("shape", [(2, 8, 72), (3, 16, 4), (1, 6, 6)])
def test_all_singular_values_come_close_to_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert values.min() > 0.5, values
    assert values.max() < 1.3, values


def test_directions_stay_and_only_their_lengths_change() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(1, 5, 12)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    lengths = left.mT @ orthogonal(matrix) @ right.mT
    off_diagonal = lengths - torch.diag_embed(torch.diagonal(lengths, dim1=1, dim2=2))
    torch.testing.assert_close(off_diagonal, torch.zeros_like(lengths), rtol=0, atol=1e-4)


def test_a_step_has_a_root_mean_square_of_about_the_learning_rate() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(8, 8, 3, 3).to(memory_format=torch.channels_last))
    weight.grad = torch.randn(8, 8, 3, 3)
    before = weight.detach().clone()
    muon = Muon([weight])
    muon.param_groups[0]["lr"] = 1e-2
    muon.found_inf = torch.tensor(0.0)
    muon.step()
    moved = (weight.detach() - before).square().mean().sqrt()
    assert 0.7e-2 < moved < 1.2e-2


def test_parameters_of_one_shape_move_as_each_would_alone() -> None:
    torch.manual_seed(0)
    together = [nn.Parameter(torch.randn(4, 4, 3, 3)) for _ in range(3)]
    alone = copy.deepcopy(together)
    for one, other in zip(together, alone, strict=True):
        one.grad = torch.randn_like(one)
        other.grad = one.grad.clone()
    for muon in (Muon(together), *(Muon([parameter]) for parameter in alone)):
        muon.param_groups[0]["lr"] = 1e-2
        muon.found_inf = torch.tensor(0.0)
        muon.step()
    torch.testing.assert_close(together, alone)


def test_anything_but_a_convolution_is_refused() -> None:
    with pytest.raises(ValueError, match=r"convolutions .*, got \(3,\)"):
        Muon([nn.Parameter(torch.zeros(3))])


def test_only_inner_convolutions_are_muons() -> None:
    layers = nn.Sequential(network(), nn.Conv2d(3, 3, 3), network())
    update = Update(layers, None, "muon")
    assert update.muon is not None
    (group,) = update.muon.param_groups
    inner = [layers[0][2].weight, layers[1].weight, layers[2][0].weight]
    assert [id(parameter) for parameter in group["params"]] == [id(weight) for weight in inner]
    rest = [parameter for group in update.optimizer.param_groups for parameter in group["params"]]
    assert len(rest) + len(inner) == len(list(layers.parameters()))


def test_a_step_sees_its_own_gradients_alone() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 3, 1), network())
    update = Update(layers, None, "muon")
    for factor in (1.0, 2.0):
        update.begin()
        update.step(loss_of(layers, factor), 0.0)
    found = [parameter.grad for parameter in layers.parameters()]
    expected = torch.autograd.grad(loss_of(layers, 2.0), list(layers.parameters()))
    torch.testing.assert_close(found, list(expected))


def test_a_loss_that_is_not_finite_changes_nothing() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 3, 1), network())
    update = Update(layers, 1.0, "muon")
    update.begin()
    update.step(loss_of(layers), 1e-2)
    weights, moments = copy.deepcopy(layers.state_dict()), copy.deepcopy(update.state())
    update.begin()
    assert update.step(loss_of(layers, float("nan")), 1e-2).skipped == 1
    torch.testing.assert_close(layers.state_dict(), weights, rtol=0, atol=0)
    after = update.state()
    torch.testing.assert_close(after["state"], moments["state"], rtol=0, atol=0)
    torch.testing.assert_close(after["muon"]["state"], moments["muon"]["state"], rtol=0, atol=0)


def test_a_resumed_stage_takes_the_same_step_to_the_bit() -> None:
    stage, restored = (start(pretrain(optimizer="muon")) for _ in range(2))
    for step in range(2):  # the first gives inner convolutions no gradient: the last one is zero
        stage.step(windows(stage, step), step)
    load_stage(restored, dump_stage(stage))
    for each in (stage, restored):
        each.step(windows(each, 2), 2)
    assert differing(everything(stage), everything(restored)) == []
