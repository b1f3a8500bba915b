"""Behaviour that both stages share, their state as bytes, and learning rates."""

import shutil
from functools import partial

import pytest
import torch
from torch import Tensor

from srgan.config import AdversarialConfig, LearningRate, PretrainConfig
from srgan.errors import CheckpointError
from srgan.train import ranks
from srgan.train.batches import Pairs
from srgan.train.step import dump_stage, learning_rate_at, load_stage
from srgan.train.validation import Validation
from tests.support.contents import crops_from
from tests.support.photos import DrawPhoto
from tests.support.stages import (
    BATCH_NORM,
    CPU,
    adversarial,
    differing,
    everything,
    pretrain,
    start,
    windows,
)


@pytest.mark.slow(group="parts")
# Both warnings come from the compiler.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("config", [pretrain(BATCH_NORM), adversarial(BATCH_NORM, patch_size=32)])
def test_a_compiled_stage_learns_what_one_that_is_not_learns(
    config: PretrainConfig | AdversarialConfig,
) -> None:
    compiled, plain = start(config.model_copy(update={"compile": True})), start(config)
    for step in range(2):
        losses = compiled.step(windows(plain, step), step)
        torch.testing.assert_close(
            losses, plain.step(windows(plain, step), step), rtol=1e-3, atol=1e-4
        )
    assert compiled.networks().keys() == plain.networks().keys()
    assert dump_stage(compiled).keys() == dump_stage(plain).keys()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # the compiler's
def test_a_compiled_network_has_one_graph_for_the_one_size_of_its_steps(
    monkeypatch: pytest.MonkeyPatch, draw_photo: DrawPhoto
) -> None:
    graphs: list[list[object]] = []

    def record(graph: torch.fx.GraphModule, inputs: list[object]) -> object:
        graphs.append(inputs)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=record))
    stage = start(pretrain(BATCH_NORM, compile=True))
    stage.step(windows(stage), 0)
    for step, side in ((1, 24), (2, 32)):
        Validation(crops_from([draw_photo(step, side, side)]), 2, CPU).measure(stage.result)
        stage.step(windows(stage, step), step)
    assert len(graphs) == 1
    assert not any(isinstance(each, torch.SymInt) for each in graphs[0])


def test_a_restored_stage_takes_the_same_next_step_to_the_bit() -> None:
    config = adversarial(BATCH_NORM, ema_decay=0.99)
    stage, restored = start(config), start(config)
    stage.step(windows(stage, 0), 0)
    load_stage(restored, dump_stage(stage))
    for each in (stage, restored):
        each.step(windows(each, 1), 1)
    assert differing(everything(stage), everything(restored)) == []
    assert stage.ema is not None
    assert restored.ema is not None
    assert torch.equal(stage.ema.num_updates, restored.ema.num_updates)


def test_pairs_come_as_they_are_before_the_images_that_the_stage_makes() -> None:
    damage = {"degradation": {"noise_sigma": [5, 9]}}
    stage = start(pretrain(pair_share=0.5, **damage))
    alone = start(pretrain(batch_size=2, **damage))
    pairs = Pairs(
        torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8),
        torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8),
    )
    lr, hr = stage._images(windows(alone), 5, pairs)
    others = alone._images(windows(alone), 5)
    assert torch.equal(lr, torch.cat([pairs.lr / 255, others[0]]))
    assert torch.equal(hr, torch.cat([pairs.hr / 127.5 - 1, others[1]]))


def test_a_batch_without_pairs_is_not_copied_to_be_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = start(pretrain())
    monkeypatch.setattr(torch, "cat", lambda _: pytest.fail("a copy of the batch"))
    assert [len(images) for images in stage._images(windows(stage), 0)] == [4, 4]


@pytest.mark.parametrize("damage", [{}, {"second_order": {}}])
def test_a_batch_may_be_pairs_alone(damage: dict[str, object]) -> None:
    stage = start(pretrain(pair_share=1, degradation=damage))
    pairs = Pairs(
        torch.zeros((4, 3, 8, 8), dtype=torch.uint8), torch.zeros((4, 3, 16, 16), dtype=torch.uint8)
    )
    losses = stage.step(windows(stage)[:0], 0, pairs)
    assert losses["skipped"] == 0


@pytest.mark.parametrize("config", [pretrain(precision="bf16"), adversarial(precision="bf16")])
def test_the_passes_that_settle_buckets_compute_as_a_step_does(
    config: PretrainConfig | AdversarialConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "num_ranks", lambda: 3)
    seen: list[tuple[object, ...]] = []

    def look(_: object, images: tuple[Tensor, ...]) -> None:
        seen.extend(
            (each.shape, each.stride(), torch.is_autocast_enabled("cpu")) for each in images
        )

    stage = start(config)
    networks = {name: stage.networks()[name] for name in stage.updates}
    for network in networks.values():
        network.register_forward_pre_hook(look)
    stage.step(windows(stage)[: len(stage._share)], 0)
    of_step, seen = set(seen), []
    for network in networks.values():
        network.requires_grad_(True)  # as before the first step
    stage.settle_buckets()
    assert len(seen) == (2 if len(networks) == 1 else 6)
    assert set(seen) <= of_step


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_cudnn_times_kernels_for_the_networks_of_a_step_on_a_gpu_alone(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    stage = start(pretrain(precision="fp32"))
    seen: list[tuple[str, bool]] = []

    def look(name: str) -> None:
        seen.append((name, torch.backends.cudnn.benchmark))

    monkeypatch.setattr(stage, "device", torch.device(device))
    stage.degradation.register_forward_hook(lambda *_: look("images"))
    stage.generator.register_forward_hook(lambda *_: look("forward"))
    stage.generator.entry.weight.register_hook(lambda _: look("backward"))
    stage.step(windows(stage), 0)
    look("after")
    is_gpu = device == "cuda"
    assert seen == [("images", False), ("forward", is_gpu), ("backward", is_gpu), ("after", False)]


def test_the_same_state_has_the_same_bytes() -> None:
    stage = start(adversarial(ema_decay=0.99))
    stage.step(windows(stage), 0)
    assert dump_stage(stage) == dump_stage(stage)


def test_the_parts_of_another_stage_are_refused_by_name() -> None:
    stage = start(adversarial())
    with pytest.raises(CheckpointError, match="discriminator"):
        load_stage(stage, dump_stage(start(pretrain())))


def test_a_part_of_another_network_is_refused_by_name() -> None:
    stage = start(adversarial(discriminator={"num_channels": 3, "dense_size": 4}))
    with pytest.raises(CheckpointError, match="part 'discriminator'"):
        load_stage(stage, dump_stage(start(adversarial())))


def test_a_constant_rate_is_its_peak_at_every_step() -> None:
    rate = LearningRate(peak=1e-4)
    assert {learning_rate_at(rate, step, 10) for step in range(10)} == {1e-4}


def test_the_papers_gan_schedule_falls_to_a_tenth_at_half_of_the_stage() -> None:
    rate = LearningRate(peak=1e-4, decay="tenth_at_half")
    assert learning_rate_at(rate, 99_999, 200_000) == 1e-4
    assert learning_rate_at(rate, 100_000, 200_000) == pytest.approx(1e-5)


def test_the_warm_up_reaches_the_peak_at_its_last_step() -> None:
    rate = LearningRate(peak=1.0, warmup_steps=4)
    assert [learning_rate_at(rate, step, 10) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_the_cosine_starts_at_the_peak_after_the_warm_up_and_ends_near_zero() -> None:
    rate = LearningRate(peak=1.0, warmup_steps=10, decay="cosine")
    assert learning_rate_at(rate, 10, 110) == 1.0
    assert learning_rate_at(rate, 60, 110) == pytest.approx(0.5)
    assert 0 < learning_rate_at(rate, 109, 110) < 1e-3


def test_a_warm_up_longer_than_the_stage_never_divides_by_zero() -> None:
    rate = LearningRate(peak=1.0, warmup_steps=10, decay="cosine")
    assert learning_rate_at(rate, 4, 5) == 0.5
