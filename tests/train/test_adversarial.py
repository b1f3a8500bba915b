"""One step of the second stage: which network learns from what."""

import copy
from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest
import torch

from srgan.losses import adversarial_loss, discriminator_loss, grid_loss
from srgan.models.interchange import dump_generator
from srgan.train.adversarial import Adversarial
from srgan.train.step import Stage
from srgan.train.update import Update
from tests.support.stages import (
    BATCH_NORM,
    adversarial,
    differing,
    everything,
    pretrain,
    start,
    windows,
)


def begin(**options: object) -> Adversarial:
    stage = start(adversarial(BATCH_NORM, **options))
    assert isinstance(stage, Adversarial)
    return stage


def weights_after_a_step(stage: Stage, network: str) -> dict[str, torch.Tensor]:
    stage.step(windows(stage), 0)
    return dict(stage.networks()[network].state_dict())


def test_without_adversarial_weight_the_generator_learns_as_in_pretraining() -> None:
    stage = begin(adversarial_weight=0.0)
    alone = start(pretrain(BATCH_NORM), dump_generator(stage.generator))
    gan = weights_after_a_step(stage, "generator")
    assert differing(gan, weights_after_a_step(alone, "generator")) == []


def test_the_adversarial_loss_reaches_the_generator() -> None:
    gan = weights_after_a_step(begin(adversarial_weight=1.0), "generator")
    assert differing(gan, weights_after_a_step(begin(adversarial_weight=0.0), "generator"))


def test_the_discriminator_learns_from_its_own_loss_alone() -> None:
    stage = begin(adversarial_weight=1.0)
    judge, generator = copy.deepcopy(stage.discriminator), copy.deepcopy(stage.generator)
    lr, hr = stage._images(windows(stage), 0)
    with torch.no_grad():
        sr = generator(lr)
    update = Update(judge, None)
    update.begin()
    update.step(discriminator_loss(judge(hr), judge(sr)), 1e-3)
    stage.step(windows(stage), 0)
    expected = {name: parameter.detach() for name, parameter in judge.named_parameters()}
    found = {name: parameter.detach() for name, parameter in stage.discriminator.named_parameters()}
    torch.testing.assert_close(found, expected)


def test_the_generator_computes_its_images_once_and_the_discriminator_sees_three_batches() -> None:
    stage = begin()
    calls = []
    stage.generator.register_forward_hook(lambda *_: calls.append("generator"))
    stage.discriminator.register_forward_hook(lambda *_: calls.append("discriminator"))
    stage.step(windows(stage), 0)
    assert calls == ["generator", *["discriminator"] * 3]


def test_the_generators_pass_leaves_no_gradient_in_the_discriminator() -> None:
    stage = begin(adversarial_weight=1.0)
    stage.step(windows(stage), 0)
    own = {name: p.grad.clone() for name, p in stage.discriminator.named_parameters()}
    lr, hr = stage._images(windows(stage), 0)
    stage._update_generator(hr, stage.generator(lr), 0)
    after = {name: p.grad for name, p in stage.discriminator.named_parameters()}
    assert differing(own, after) == []


def test_a_batch_that_is_not_finite_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = begin(ema_decay=0.9, gradient_clip=1.0)
    stage.step(windows(stage), 0)
    before = everything(stage)
    degrade = stage.degradation.forward
    monkeypatch.setattr(
        stage.degradation, "forward", lambda batch: [x * float("nan") for x in degrade(batch)]
    )
    assert stage.step(windows(stage, 1), 1)["skipped"] == 1
    assert differing(everything(stage), before) == []


def test_a_skipped_generator_leaves_no_statistics_in_the_discriminator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = begin()
    stage.step(windows(stage), 0)
    before = everything(stage)
    monkeypatch.setattr(stage, "_content", lambda sr, hr: (sr - hr).sum() * float("inf"))
    losses = stage.step(windows(stage, 1), 1)
    assert losses["skipped"] == 1
    changed = differing(everything(stage), before)
    assert changed, "the discriminator has learned from a loss that was finite"
    assert all(name.startswith("discriminator.") for name in changed)
    assert not [name for name in changed if "running_" in name]


def test_the_health_of_both_networks_is_told_without_waiting_for_the_device() -> None:
    losses = begin().step(windows(begin()), 0)
    assert losses.keys() == {
        "loss",
        "content_loss",
        "adversarial_loss",
        "adversarial_weight",
        "adversarial_share",
        "gradient_norm",
        "discriminator_loss",
        "discriminator_real",
        "discriminator_fake",
        "discriminator_gradient_norm",
        "skipped",
    }
    assert 0 < losses["discriminator_real"] < 1
    assert not any(loss.requires_grad for loss in losses.values())


def test_the_share_of_the_adversarial_gradient_at_the_images_is_told() -> None:
    stage = begin(adversarial_weight=0.5)
    lr, hr = stage._images(windows(stage), 0)
    sr = stage.generator(lr).float()
    images = sr.detach().requires_grad_(True)
    (of_content,) = torch.autograd.grad(stage._content(images, hr), images)
    (of_adversarial,) = torch.autograd.grad(adversarial_loss(stage.discriminator(images)), images)
    told = stage._update_generator(hr, sr, 0)
    assert float(told["adversarial_weight"]) == 0.5
    expected = 0.5 * float(of_adversarial.norm() / of_content.norm())
    assert float(told["adversarial_share"]) == pytest.approx(expected, rel=1e-4)


def test_a_wished_share_chooses_the_weight_of_each_step() -> None:
    stage = begin(adversarial_share=0.3, adversarial_weight=1e6)
    for step in range(3):
        told = stage.step(windows(stage, step), step)
        assert float(told["adversarial_share"]) == pytest.approx(0.3, rel=1e-4)
        assert 0 < float(told["adversarial_weight"]) < 1e6


def test_a_share_alone_is_reached_where_the_papers_weight_would_not_allow_it() -> None:
    told = begin(adversarial_share=0.3).step(windows(begin()), 0)
    assert float(told["adversarial_share"]) == pytest.approx(0.3, rel=1e-4)
    assert float(told["adversarial_weight"]) > 1e-3
    bound = begin(adversarial_share=1e6).step(windows(begin()), 0)
    assert float(bound["adversarial_weight"]) == 1.0


def test_without_weight_and_share_the_weight_is_the_papers() -> None:
    told = begin().step(windows(begin()), 0)
    assert float(told["adversarial_weight"]) == pytest.approx(1e-3)


def test_the_weight_stays_below_its_bound_whatever_share_is_wished() -> None:
    told = begin(adversarial_share=1e6, adversarial_weight=1e-3).step(windows(begin()), 0)
    assert float(told["adversarial_weight"]) == pytest.approx(1e-3)
    assert float(told["adversarial_share"]) < 1e6


def test_the_grid_is_part_of_the_content() -> None:
    stage = begin(adversarial_weight=0.0)
    weighted = begin(adversarial_weight=0.0, grid_weight=100.0)
    lr, hr = stage._images(windows(stage), 0)
    sr = stage.generator(lr).float()
    expected = stage._content(sr, hr) + 100 * grid_loss(sr, hr, stage.config.generator.scale)
    told = weighted._update_generator(hr, weighted.generator(lr).float(), 0)
    torch.testing.assert_close(told["content_loss"], expected.detach())


def seen_by_the_discriminator(stage: Adversarial, step: int) -> list[torch.Tensor]:
    """The batches of one step: real, generated, and generated again for the generator's update."""
    seen: list[torch.Tensor] = []
    stage.discriminator.register_forward_pre_hook(lambda _, images: seen.append(images[0].detach()))
    stage.step(windows(stage, step), step)
    return seen


def offset(images: torch.Tensor, seen: torch.Tensor) -> tuple[int, int]:
    """By how many pixels down and right `seen` is `images` rolled."""
    for down, right in product(range(16), repeat=2):
        if torch.equal(images.roll((down, right), (2, 3)), seen):
            return down, right
    raise AssertionError("no roll by up to 15 pixels")


def test_the_discriminator_sees_real_and_generated_images_moved_alike() -> None:
    offsets = []
    for step in range(4):
        plain = seen_by_the_discriminator(begin(), step)
        moved = seen_by_the_discriminator(begin(discriminator_shift=True), step)
        real, fake, again = (offset(*pair) for pair in zip(plain, moved, strict=True))
        assert real == fake == again
        offsets.append(real)
    assert len(set(offsets)) > 1


def test_the_move_is_a_function_of_seed_and_step_that_reaches_all_places_of_the_strides() -> None:
    image = torch.arange(3 * 16**2.0).view(1, 3, 16, 16)

    def offsets(seed: int, steps: Iterable[int]) -> dict[int, tuple[int, int]]:
        stage = begin(discriminator_shift=True, seed=seed)
        return {step: offset(image, stage._shifted(image, step)) for step in steps}

    found = offsets(0, range(100))
    assert found == offsets(0, reversed(range(100)))
    assert found != offsets(1, range(100))
    for pixels in zip(*found.values(), strict=True):
        assert set(pixels) == set(range(16))


def test_the_discriminator_learns_alone_at_first() -> None:
    stage = begin(discriminator_warmup=1, ema_decay=0.9)
    before = everything(stage)
    losses = stage.step(windows(stage), 0)
    changed = differing(everything(stage), before)
    assert changed
    assert all(name.startswith("discriminator.") for name in changed)
    later = stage.step(windows(stage, 1), 1)
    assert later.keys() == losses.keys()
    assert any(name.startswith("generator.") for name in differing(everything(stage), before))


def test_the_generators_schedule_begins_with_its_own_first_step() -> None:
    rate = {"peak": 1.0, "warmup_steps": 4, "decay": "tenth_at_half"}
    stage = begin(steps=20, learning_rate=rate, discriminator_warmup=8)
    assert [stage.learning_rate(step) for step in (8, 9, 10, 11, 13)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert stage.learning_rate(14) == pytest.approx(0.1), "half of the generator's 12 steps"


def test_the_discriminators_schedule_begins_with_the_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rate = {"peak": 1e-3, "warmup_steps": 2}
    stage = begin(learning_rate=rate, discriminator_warmup=2)
    used: dict[str, list[float]] = {"generator": [], "discriminator": []}
    for name, update in stage.updates.items():
        learn = update.step

        def step(loss: torch.Tensor, rate: float, name: str = name, learn: Any = learn) -> Any:
            used[name].append(rate)
            return learn(loss, rate)

        monkeypatch.setattr(update, "step", step)
    for number in range(4):
        stage.step(windows(stage, number), number)
    assert used["discriminator"] == pytest.approx([5e-4, 1e-3, 1e-3, 1e-3])
    assert used["generator"] == pytest.approx([5e-4, 1e-3])


def test_a_warm_up_that_leaves_the_generator_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match="discriminator_warmup 8 leaves the generator none of 8"):
        adversarial(discriminator_warmup=8)


@pytest.mark.parametrize(("warmup", "alone"), [(150, 200), (100, 200)])
def test_a_warm_up_of_the_learning_rate_that_leaves_the_generator_no_step_is_refused(
    warmup: int, alone: int
) -> None:
    rate = {"peak": 1e-4, "warmup_steps": warmup}
    why = f"learning_rate.warmup_steps {warmup} leaves none of the generator's 100 steps"
    with pytest.raises(ValueError, match=why):
        adversarial(steps=300, discriminator_warmup=alone, learning_rate=rate)
    adversarial(steps=300, discriminator_warmup=alone - 51, learning_rate=rate)
