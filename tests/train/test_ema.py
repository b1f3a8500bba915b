"""The average of the generator."""

import torch

from srgan.models.build import build_generator
from srgan.train.update import Ema
from tests.support.stages import BATCH_NORM, PLAIN

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


def test_running_statistics_are_copied_not_averaged() -> None:
    generator = build_generator(BATCH_NORM)
    ema = Ema(generator, decay=0.9)
    generator.bridge[1].running_mean.fill_(7.0)
    ema.update(generator, COUNTS)
    assert torch.equal(ema.generator.bridge[1].running_mean, generator.bridge[1].running_mean)
