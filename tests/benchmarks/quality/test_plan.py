"""Plan of the trainings: networks and ablations, their teachers, and steps that fit minutes."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.quality.ablations import WHOLE, ablations, gan_ablations
from benchmarks.quality.contestants import Given, networks
from benchmarks.quality.judges import Contents
from benchmarks.quality.plan import Wish, make_plan
from benchmarks.quality.timing import StepTimes, with_steps
from srgan.config import AdversarialConfig, FeatureContentConfig, GeneratorConfig
from srgan.config.networks import FeatureNetwork
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator


def content(network: FeatureNetwork, layer: str) -> FeatureContentConfig:
    return FeatureContentConfig(
        network=network, layer=layer, feature_scale=0.01, weights="c7498b4d"
    )


CONTENTS: Contents = {
    "fire9": content("squeezenet1_1", "fire9"),
    "vgg22": content("vgg16_st", "vgg22"),
    "vgg53": content("vgg16_st", "vgg53"),
}


class Clock(StepTimes):
    """Knows how long a step takes without making one: a second, with VGG16 three."""

    def _median_step_s(self, config: object) -> float:
        return 3.0 if "vgg16_st" in str(config) else 1.0


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path, {})


@pytest.fixture
def start() -> Given:
    config = GeneratorConfig(kind="bicubic_resnet", scale=4, num_blocks=1, num_channels=4)
    torch.manual_seed(0)
    return Given("start", dump_generator(build_generator(config)), frozenset({"vgg19"}))


def test_every_recipe_is_a_network_of_its_own_and_ablations_change_one_thing() -> None:
    trained = networks(CONTENTS)
    groups = {each.choice: each.contestants for each in ablations(3)}
    of_gan = {each.choice: each.contestants for each in gan_ablations(CONTENTS, trained[0], 3)}
    everyone = [
        *trained,
        *(one for group in (*groups.values(), *of_gan.values()) for one in group),
    ]
    assert len({each.folder for each in everyone}) == len(everyone)
    for stage in (groups, of_gan):
        whole = stage[WHOLE][0]
        for without, (first, *_) in stage.items():
            before, after = (each.stage.model_dump() for each in (whole, first))
            changed = {name for name, value in after.items() if value != before[name]}
            changed |= {"data"} if first.data != whole.data else set()
            assert len(changed) == (0 if without == WHOLE else 1), (without, changed)


def test_every_content_has_a_row_with_the_adversarial_term_and_one_without() -> None:
    by_name = {each.name: each for each in networks(CONTENTS)}
    for name in ("squeezenet", "mse", "vgg16_22", "vgg16_53"):
        against, alone = by_name[f"srgan_{name}"], by_name[f"alone_{name}"]
        assert isinstance(alone.stage, AdversarialConfig)
        assert alone.stage.largest_weight == 0
        before, after = (each.stage.model_dump() for each in (against, alone))
        assert {key for key in before if before[key] != after[key]} == {"adversarial_weight"}


def test_a_network_remembers_who_taught_it_and_its_start(start: Given) -> None:
    by_name = {each.name: each for each in networks(CONTENTS, start)}
    assert by_name["srgan_vgg16_53"].teachers == {"vgg16_st", "vgg19"}
    assert by_name["srgan_mse"].teachers == {"vgg19"}
    assert by_name["srresnet_vgg16_22"].teachers == {"vgg16_st"}
    assert by_name["fast"].teachers == set()


def test_networks_on_which_a_claim_rests_are_trained_with_several_seeds() -> None:
    for each in networks(CONTENTS):
        seeds = each.seeds(3)
        decides = each.name.startswith(("fast", "few_photos", "srgan", "alone"))
        assert [one.stage.seed for one in seeds] == ([0, 1, 2] if decides else [0]), each.name
        assert len({one.folder for one in seeds}) == len(seeds)
        assert {one.start for one in seeds} == {each.start}


def test_all_gans_get_the_same_minutes_and_start_from_the_given_generator(
    start: Given, clock: Clock
) -> None:
    plan = make_plan(Wish([], 2.0, 1, start), CONTENTS, clock)
    assert plan.minutes == 2.0
    assert plan.missing == []
    for (each,) in plan.networks:
        step_s = clock.known(each.stage)
        assert step_s is not None
        assert abs(each.stage.steps * step_s - 120) <= step_s, each.name
        if isinstance(each.stage, AdversarialConfig):
            assert each.start is start
            assert each.stage.generator.num_channels == 4
    ablation = plan.ablations[0].contestants[0].stage
    assert ablation.steps == 30, "a quarter of the minutes"


def test_without_minutes_gans_get_those_of_2800_steps_of_srgan_mse(clock: Clock) -> None:
    plan = make_plan(Wish([], None, 1, None), CONTENTS, clock)
    steps = {seeds[0].name: seeds[0].stage.steps for seeds in plan.networks}
    assert (steps["fast"], steps["srgan_mse"], steps["srgan_vgg16_22"]) == (16_000, 2800, 933)


def test_networks_that_nobody_asked_for_are_neither_timed_nor_planned(
    start: Given, clock: Clock, tmp_path: Path
) -> None:
    contents = {layer: each for layer, each in CONTENTS.items() if layer != "fire9"}
    plan = make_plan(Wish(["srgan"], 2.0, 1, start), contents, clock)
    assert {seeds[0].name for seeds in plan.networks} == {
        *("srgan_mse", "srgan_vgg16_22", "srgan_vgg16_53"),
        *("alone_mse", "alone_vgg16_22", "alone_vgg16_53"),  # their steps take as long
    }
    assert {"fast", "SRGAN-SqueezeNet", "SRCNN"} <= set(plan.missing)
    assert not plan.ablations
    assert len(json.loads((tmp_path / "times.json").read_text())) == 3


def test_fewer_steps_keep_the_shares_of_a_schedule() -> None:
    stage = networks(CONTENTS)[0].stage
    shorter = with_steps(stage, stage.steps // 10)
    assert shorter.learning_rate.warmup_steps == stage.learning_rate.warmup_steps // 10
    assert shorter.validate_every == stage.validate_every // 10
    assert shorter.ema_decay == pytest.approx(0.99)
    assert with_steps(stage, stage.steps) is stage
    tiniest = with_steps(stage, 2)
    assert type(stage).model_validate(tiniest.model_dump()) == tiniest, "still a valid config"
