"""Updates of one network's weights, and their running average."""

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from srgan.models.build import build_generator
from srgan.train.update import Ema, Update
from tests.support.stages import BATCH_NORM, PLAIN
from tests.support.updates import loss_of, network


def test_it_is_adam_with_the_papers_momentum() -> None:
    ours, reference = network(), network()
    update = Update(ours, gradient_clip=None)
    adam = torch.optim.Adam(reference.parameters(), lr=1e-2, betas=(0.9, 0.999), fused=False)
    for _ in range(3):
        update.begin()
        update.step(loss_of(ours), 1e-2)
        adam.zero_grad()
        loss_of(reference).backward()
        adam.step()
    torch.testing.assert_close(list(ours.parameters()), list(reference.parameters()))


def test_gradients_above_the_clip_are_scaled_down_to_it() -> None:
    layers = network()
    update = Update(layers, gradient_clip=0.5)
    update.begin()
    outcome = update.step(loss_of(layers, 1000.0), 1e-2)
    assert outcome.gradient_norm > 0.5, "the norm that is told is the one before clipping"
    clipped = nn.utils.get_total_norm([p.grad for p in layers.parameters() if p.grad is not None])
    torch.testing.assert_close(clipped, torch.tensor(0.5))


def test_a_loss_that_is_not_finite_changes_neither_weights_nor_moments() -> None:
    layers = network()
    update = Update(layers, gradient_clip=1.0)
    update.begin()
    update.step(loss_of(layers), 1e-2)
    weights, moments = copy.deepcopy(layers.state_dict()), copy.deepcopy(update.state())
    update.begin()
    outcome = update.step(loss_of(layers, float("nan")), 1e-2)
    assert outcome.skipped == 1
    torch.testing.assert_close(layers.state_dict(), weights, rtol=0, atol=0)
    torch.testing.assert_close(update.state()["state"], moments["state"], rtol=0, atol=0)


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_scaled_loss_takes_the_same_steps_to_the_bit(optimizer: str) -> None:
    plain, scaled = network(), network()
    update = Update(plain, gradient_clip=0.01, optimizer=optimizer)
    other = Update(scaled, gradient_clip=0.01, optimizer=optimizer, scaled=True)
    for _ in range(3):
        outcome = update.step(loss_of(plain), 1e-2)
        assert torch.equal(other.step(loss_of(scaled), 1e-2).gradient_norm, outcome.gradient_norm)
    torch.testing.assert_close(scaled.state_dict(), plain.state_dict(), rtol=0, atol=0)


def test_after_a_step_that_was_not_finite_the_factor_of_the_loss_is_halved() -> None:
    layers = network()
    update = Update(layers, gradient_clip=None, scaled=True)
    update.step(loss_of(layers), 1e-2)
    weights, before = copy.deepcopy(layers.state_dict()), update.state()["scaler"]["scale"]
    assert update.step(loss_of(layers, float("inf")), 1e-2).skipped == 1
    torch.testing.assert_close(layers.state_dict(), weights, rtol=0, atol=0)
    assert update.state()["scaler"]["scale"] == before / 2
    again = Update(layers, gradient_clip=None, scaled=True)
    again.load_state(update.state())
    assert again.state()["scaler"] == update.state()["scaler"]


COUNTS = torch.zeros(())
SKIPPED = torch.ones(())


def test_the_first_updates_forget_the_start_fast() -> None:
    generator = build_generator(PLAIN)
    ema = Ema(generator, decay=0.999)
    start = ema.generator.entry.weight.clone()
    with torch.no_grad():
        generator.entry.weight.add_(1.0)
    ema.update(generator, COUNTS)
    # The decay after no updates is 1 / 10, not 0.999.
    torch.testing.assert_close(ema.generator.entry.weight, start + 0.9)


def test_the_decay_never_exceeds_the_configured_one() -> None:
    generator = build_generator(PLAIN)
    ema = Ema(generator, decay=0.5)
    ema.num_updates.fill_(1000)
    start = ema.generator.entry.weight.clone()
    with torch.no_grad():
        generator.entry.weight.add_(1.0)
    ema.update(generator, COUNTS)
    torch.testing.assert_close(ema.generator.entry.weight, start + 0.5)


def test_a_skipped_step_leaves_the_average_and_its_count_as_they_are() -> None:
    generator = build_generator(PLAIN)
    ema = Ema(generator, decay=0.5)
    start = ema.generator.entry.weight.clone()
    with torch.no_grad():
        generator.entry.weight.add_(1.0)
    ema.update(generator, SKIPPED)
    assert torch.equal(ema.generator.entry.weight, start)
    assert ema.num_updates == 0


def test_running_statistics_are_as_old_as_the_average_of_the_weights() -> None:
    generator = build_generator(BATCH_NORM)
    ema = Ema(generator, decay=0.98)
    generator.bridge[1].running_mean.fill_(8.0)
    generator.bridge[1].num_batches_tracked.fill_(3)
    ema.update(generator, COUNTS)
    average = ema.generator.bridge[1]
    # The first averages are younger than batch norm's own statistics.
    assert torch.equal(average.running_mean, generator.bridge[1].running_mean)
    assert average.num_batches_tracked == 3
    ema.num_updates.fill_(1000)
    generator.bridge[1].running_mean.fill_(90.0)
    ema.update(generator, SKIPPED)
    assert average.running_mean.unique().item() == 8
    ema.update(generator, COUNTS)
    # A decay of 0.98 is 49 steps old, the statistics are 9: they are averaged over 40 more.
    assert average.running_mean.unique().item() == pytest.approx(8 + 82 / 41)


def test_averaged_weights_with_the_latest_statistics_are_worse_than_with_averaged_ones() -> None:
    """At a constant rate the average is 49 steps behind, batch norm's own statistics are 9."""
    random = torch.Generator().manual_seed(0)
    generator = build_generator(BATCH_NORM).train()
    lr = torch.rand(2, 3, 8, 8, generator=random)
    moves = [0.01 * torch.randn(p.shape, generator=random) for p in generator.parameters()]
    ema = Ema(generator, decay=0.98)
    ema.num_updates.fill_(1000)
    for _ in range(150):
        with torch.no_grad():
            torch._foreach_add_(list(generator.parameters()), moves)
            generator(lr)
        ema.update(generator, COUNTS)
    averaged, copied, right = (copy.deepcopy(ema.generator) for _ in range(3))
    for one, other in zip(copied.buffers(), generator.buffers(), strict=True):
        one.copy_(other)
    for module in right.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # the statistics of the average's own weights
    with torch.no_grad():
        right.train()(lr)
        wanted = right.eval()(lr)
        errors = [float((each(lr) - wanted).square().mean()) for each in (averaged, copied)]
    assert errors[0] < 0.2 * errors[1], errors


def test_statistics_of_any_number_are_kept_and_put_back_in_a_few_operations() -> None:
    counts = []
    for num_blocks in (1, 6):
        generator = build_generator(BATCH_NORM.model_copy(update={"num_blocks": num_blocks}))
        update = Update(generator, gradient_clip=None)
        before = copy.deepcopy(generator.state_dict())
        with _Operations() as operations:
            update.begin()
            for buffer in generator.buffers():
                buffer.add_(1)
            changed = operations.count
            update.finish(COUNTS)
        counts.append(operations.count - changed)
        assert all(torch.equal(a, b + 1) for a, b in _buffers(generator, before))
        update.begin()
        for buffer in generator.buffers():
            buffer.fill_(float("nan") if buffer.is_floating_point() else -1)
        update.finish(SKIPPED)
        assert all(torch.equal(a, b + 1) for a, b in _buffers(generator, before))
    assert counts[0] == counts[1] <= 8


def _buffers(network: nn.Module, before: dict[str, torch.Tensor]) -> list[tuple[torch.Tensor, ...]]:
    return [(buffer, before[name]) for name, buffer in network.named_buffers()]


class _Operations(TorchDispatchMode):
    """Counts operations that are not views."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # torch's own
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))
