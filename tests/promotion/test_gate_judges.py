"""Judges of the gate: which figures count for models trained on more than pixels."""

import pytest

from srgan.config import GateConfig
from srgan.config.networks import DISTANCES, FeatureNetwork
from srgan.errors import ConfigError
from srgan.measure.evaluation import Report, means
from srgan.measure.niqe import BLOCK
from srgan.promotion.gate import verdict_of
from srgan.promotion.teachers import trained_on_judge, training_of_recipe
from srgan.recipes import RECIPES, get_recipe
from srgan.refs import SetRef
from tests.support.reports import decided, gans, report

SQUEEZENET, LITE0, VGG = "squeezenet_distance", "efficientnet_lite0_distance", "vgg19_distance"
DEFAULT_JUDGE: FeatureNetwork = "efficientnet_lite1"


def test_a_gan_of_lower_psnr_wins_by_its_perceptual_distance() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 31.0},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.19, "champion": 1.32}},
    )
    verdict = decided(figures, challenger=2, champion=1)
    assert verdict.promoted
    assert verdict.reason == (
        "Version 2 replaces champion version 1: squeezenet_distance 1.1900 is lower than champion "
        "version 1's 1.3200 (difference over photos −0.1300, 97.5 % interval −0.1300 to −0.1300); "
        "29.400 dB PSNR is not more than 3.00 dB below champion version 1's 31.000 dB; 29.400 dB "
        "PSNR is not more "
        "than 1.50 dB below bicubic's 28.000 dB; no photo's squeezenet_distance is more than 1.5 "
        "times bicubic's."
    )
    assert verdict.against == "champion"
    assert verdict.differences["psnr"].mean == pytest.approx(-1.6)
    assert "trained on the judge" not in verdict.reason


def test_a_gan_of_higher_psnr_loses_by_its_perceptual_distance() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 31.0, "champion": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.32, "champion": 1.19}},
    )
    verdict = decided(figures, challenger=2, champion=1)
    assert not verdict.promoted
    assert verdict.reason == (
        "Version 2 is refused: squeezenet_distance 1.3200 is clearly higher than champion version "
        "1's 1.1900 (difference over photos +0.1300, 95 % interval +0.1300 to +0.1300)."
    )


@pytest.mark.parametrize("beyond_pixels", [["model"], ["champion"]])
def test_one_gan_is_enough_for_distances_to_decide(beyond_pixels: list[str]) -> None:
    figures = report(
        {"bicubic": 28.0, "model": 31.0, "champion": 30.9},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.32, "champion": 1.19}},
        beyond_pixels=beyond_pixels,
    )
    assert not decided(figures, challenger=2, champion=1).promoted


@pytest.mark.parametrize(
    ("psnr", "reason"),
    [
        ({"bicubic": 28.0, "model": 28.0, "champion": 31.1}, "more than 3.00 dB below champion"),
        ({"bicubic": 28.0, "model": 26.4, "champion": 27.0}, "more than 1.50 dB below bicubic's"),
    ],
)
def test_a_gan_that_loses_too_much_psnr_is_refused_whatever_its_distance(
    psnr: dict[str, float], reason: str
) -> None:
    figures = gans(psnr, {SQUEEZENET: {"bicubic": 2.7, "model": 1.0, "champion": 1.3}})
    verdict = decided(figures, challenger=2, champion=1)
    assert not verdict.promoted
    assert reason in verdict.reason


def test_gans_without_a_judge_are_not_compared_and_the_command_is_named() -> None:
    figures = gans({"bicubic": 28.0, "model": 31.0, "champion": 29.4})
    with pytest.raises(ConfigError, match="srgan weights mirror efficientnet_lite1") as caught:
        decided(figures, challenger=2, champion=1)
    assert "version 2 and champion version 1 cannot be compared" in str(caught.value)


def test_a_first_gan_without_a_judge_is_held_against_the_floor_and_says_so() -> None:
    verdict = decided(gans({"bicubic": 28.0, "model": 26.6}), challenger=1, champion=None)
    assert verdict.promoted
    assert "nothing perceptual was measured" in verdict.reason
    assert "srgan weights mirror efficientnet_lite1" in verdict.reason
    assert "held against the floor alone, 26.600 dB PSNR is not more than 1.50 dB below" in (
        verdict.reason
    )
    assert verdict.rule.startswith("first version")


def test_a_first_gan_below_the_floor_is_refused() -> None:
    verdict = decided(gans({"bicubic": 28.0, "model": 26.4}), challenger=1, champion=None)
    assert not verdict.promoted
    assert "26.400 dB PSNR is more than 1.50 dB below bicubic's 28.000 dB" in verdict.reason


@pytest.mark.parametrize(("distance", "promoted"), [(2.6, True), (2.8, False)])
def test_a_first_gan_with_a_judge_has_to_look_better_than_bicubic(
    distance: float, promoted: bool
) -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.0}, {SQUEEZENET: {"bicubic": 2.7, "model": distance}}
    )
    assert decided(figures, challenger=1, champion=None).promoted == promoted


@pytest.mark.parametrize("taught", ["model", "champion"])
def test_a_judge_that_taught_neither_decides_if_there_is_one(taught: str) -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {
            SQUEEZENET: {"bicubic": 2.7, "model": 1.0, "champion": 1.3},
            LITE0: {"bicubic": 2.7, "model": 1.4, "champion": 1.3},
        },
        trained_on_judge={SQUEEZENET: [taught]},
    )
    verdict = decided(figures, challenger=2, champion=1)
    assert not verdict.promoted
    assert verdict.reason.startswith(f"Version 2 is refused: {LITE0} 1.4000 is clearly higher")


@pytest.mark.parametrize(("taught", "promoted"), [([], False), (["champion"], True)])
def test_a_judge_that_taught_one_of_the_two_does_not_count(
    taught: list[str], promoted: bool
) -> None:
    figures = two_judges(squeezenet=1.4, lite0=1.0, trained_on_judge={SQUEEZENET: taught})
    assert decided(figures, challenger=2, champion=1).promoted == promoted


def two_judges(*, squeezenet: float, lite0: float, **options: object) -> Report:
    """The model's distances; the champion has 1.3 of both."""
    return gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {
            SQUEEZENET: {"bicubic": 2.7, "model": squeezenet, "champion": 1.3},
            LITE0: {"bicubic": 2.7, "model": lite0, "champion": 1.3},
        },
        **options,
    )


def test_one_of_two_judges_that_sees_a_gain_is_enough_if_the_other_sees_no_loss() -> None:
    verdict = decided(two_judges(squeezenet=1.0, lite0=1.3), challenger=2, champion=1)
    assert verdict.promoted
    assert "squeezenet_distance 1.0000 is lower than champion version 1's 1.3000 (difference " in (
        verdict.reason
    )
    assert "98.75 % interval" in verdict.reason, "two judges share the error"
    assert f"{LITE0} 1.3000 is not clearly lower" in verdict.reason
    assert verdict.rule.startswith(
        f"models trained on more than pixels, judged by {SQUEEZENET}, {LITE0}, which "
        "taught neither: at least one judge finds the model better"
    )


def test_a_judge_that_sees_a_loss_refuses_whatever_the_other_sees() -> None:
    verdict = decided(two_judges(squeezenet=1.0, lite0=1.4), challenger=2, champion=1)
    assert not verdict.promoted
    assert verdict.reason.startswith(f"Version 2 is refused: {LITE0} 1.4000 is clearly higher")
    assert "squeezenet_distance" not in verdict.reason


def test_judges_that_see_neither_gain_nor_loss_refuse_with_what_each_found() -> None:
    verdict = decided(two_judges(squeezenet=1.3, lite0=1.3), challenger=2, champion=1)
    assert not verdict.promoted
    assert "squeezenet_distance 1.3000 is not clearly lower" in verdict.reason
    assert f"{LITE0} 1.3000 is not clearly lower" in verdict.reason


def test_the_gate_may_name_its_judges_and_any_perceptual_figure_can_be_one() -> None:
    gate = GateConfig(judges=("niqe",))
    distances = {
        "niqe": {"bicubic": 8.4, "model": 5.1, "champion": 5.6},
        LITE0: {"bicubic": 2.7, "model": 1.4, "champion": 1.3},
    }
    figures = gans({"bicubic": 28.0, "model": 29.4, "champion": 29.4}, distances)
    assert not verdict_of(figures, GateConfig(), challenger=2, champion=1).promoted
    verdict = verdict_of(figures, gate, challenger=2, champion=1)
    assert verdict.promoted
    assert "niqe 5.10 is lower than champion version 1's 5.60" in verdict.reason
    assert "judged by niqe, which taught neither" in verdict.rule


WHOLE, CROP = (1024, 768), (256, 256)
"""Sizes: 80 blocks of NIQE within the border of a whole photo, 4 within that of a crop."""


@pytest.mark.parametrize(("size", "promoted"), [(CROP, True), (None, True), (WHOLE, False)])
def test_niqe_decides_by_itself_only_where_images_hold_twenty_of_its_blocks(
    size: tuple[int, int] | None, promoted: bool
) -> None:
    distances = {
        "niqe": {"bicubic": 8.4, "model": 5.6, "champion": 5.1},
        LITE0: {"bicubic": 2.7, "model": 1.2, "champion": 1.3},
    }
    psnr = {"bicubic": 28.0, "model": 29.4, "champion": 29.4}
    verdict = decided(gans(psnr, distances, size=size), challenger=2, champion=1)
    assert verdict.promoted == promoted
    assert ("niqe" in verdict.rule) != promoted
    named = GateConfig(judges=(LITE0, "niqe"))
    figures = gans(psnr, distances, size=size)
    assert not verdict_of(figures, named, challenger=2, champion=1).promoted


def test_one_small_image_among_whole_photos_leaves_niqe_out() -> None:
    distances = {
        "niqe": {"bicubic": 8.4, "model": 5.6, "champion": 5.1},
        LITE0: {"bicubic": 2.7, "model": 1.2, "champion": 1.3},
    }
    figures = gans({"bicubic": 28.0, "model": 29.4, "champion": 29.4}, distances, size=WHOLE)
    small = figures.images[3].model_copy(update={"size": (391, 488)})  # 3 × 5 blocks
    images = [*figures.images[:3], small, *figures.images[4:]]
    mixed = figures.model_copy(update={"images": images})
    assert decided(mixed, challenger=2, champion=1).promoted


def test_a_photo_whose_original_has_a_higher_niqe_than_bicubic_does_not_refuse() -> None:
    """As an original has on some photos: 1.5 times bicubic's is a limit for distances."""
    distances = {
        "niqe": {"bicubic": 8.4, "model": 5.1, "champion": 5.6},
        LITE0: {"bicubic": 2.7, "model": 1.2, "champion": 1.3},
    }
    figures = gans({"bicubic": 28.0, "model": 29.4, "champion": 29.4}, distances, size=WHOLE)
    images = list(figures.images)
    for crop in (0, 1):
        found = images[crop].figures
        far = {"bicubic": 4.0, "model": 10.0, "champion": 10.5}
        images[crop] = images[crop].model_copy(
            update={
                "figures": {
                    name: each.model_copy(
                        update={"distances": {**each.distances, "niqe": far[name]}}
                    )
                    for name, each in found.items()
                }
            }
        )
    odd = figures.model_copy(update={"images": images, "means": means(images)})
    verdict = decided(odd, challenger=2, champion=1)
    assert verdict.promoted, verdict.reason
    assert "judged by niqe" in verdict.rule
    assert f"no photo's {LITE0} is more than 1.5 times bicubic's" in verdict.reason


def test_a_judge_whose_ranking_nobody_has_measured_counts_only_if_the_gate_names_it() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {
            SQUEEZENET: {"bicubic": 2.7, "model": 1.3, "champion": 1.3},
            VGG: {"bicubic": 2.7, "model": 1.0, "champion": 1.3},
        },
    )
    assert not decided(figures, challenger=2, champion=1).promoted
    gate = GateConfig(judges=(VGG,))
    assert verdict_of(figures, gate, challenger=2, champion=1).promoted


def test_a_judge_that_the_gate_names_and_nobody_measured_is_an_error() -> None:
    gate = GateConfig(judges=(LITE0, "niqe"))
    figures = gans({"bicubic": 28.0, "model": 29.4}, {LITE0: {"bicubic": 2.7, "model": 1.4}})
    with pytest.raises(ConfigError, match=rf"gate\.judges names niqe, .* measured {LITE0}"):
        verdict_of(figures, gate, challenger=2, champion=None)


def test_where_the_only_judge_was_the_teacher_two_versions_are_not_compared() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.0, "champion": 1.3}},
        trained_on_judge={SQUEEZENET: ["model"]},
    )
    with pytest.raises(ConfigError, match="no perceptual network that taught neither"):
        decided(figures, challenger=2, champion=1)


def test_a_first_version_is_not_judged_by_its_teacher() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 3.0}},
        trained_on_judge={SQUEEZENET: ["model"]},
    )
    verdict = decided(figures, challenger=1, champion=None)
    assert verdict.promoted
    assert "nothing perceptual was measured by a network that did not teach it" in verdict.reason


def test_perceptual_distance_is_asked_for_on_each_set() -> None:
    figures = {"bicubic": 28.0, "model": 27.5, "champion": 27.5}
    near = gans(figures, {SQUEEZENET: {"bicubic": 2.7, "model": 1.2, "champion": 1.3}})
    far = gans(figures, {SQUEEZENET: {"bicubic": 2.7, "model": 1.4, "champion": 1.3}})
    verdict = verdict_of(near, GateConfig(), challenger=2, champion=1, sets={"a": near, "b": far})
    assert not verdict.promoted
    assert "on b squeezenet_distance 1.4000 is clearly higher" in verdict.reason


def on_a_set_of_small_photos(*contestants: str) -> Report:
    """At scale 8 a photo of 36 pixels has 20 within its border, too few for any network."""
    psnr = dict.fromkeys(contestants, 27.5) | {"bicubic": 28.0}
    tiny = SetRef(
        name="tiny", version="1", key="sets/tiny/versions/1.json", num_photos=8, num_images=8
    )
    return gans(psnr, size=(40, 36)).model_copy(update={"scale": 8, "on": tiny})


def judged_crops(*contestants: str) -> Report:
    psnr = dict.fromkeys(contestants, 27.5) | {"bicubic": 28.0}
    distances = {"bicubic": 2.7, "champion": 1.3, "model": 1.2}
    return gans(psnr, {SQUEEZENET: {name: distances[name] for name in psnr}}, size=(256, 256))


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        (GateConfig(), "on tiny version 2 and champion version 1 cannot be compared: PSNR alone"),
        (GateConfig(judges=(SQUEEZENET,)), f"names {SQUEEZENET}, but on tiny .* no perceptual fig"),
    ],
)
def test_two_versions_are_not_compared_on_a_set_whose_photos_are_too_small_for_every_judge(
    gate: GateConfig, why: str
) -> None:
    crops, tiny = (make("model", "champion") for make in (judged_crops, on_a_set_of_small_photos))
    assert verdict_of(crops, gate, challenger=2, champion=1).promoted
    needed = (
        r"at scale 8 a network needs images of 40 pixels a side, and one has 36×40; take larger"
    )
    with pytest.raises(ConfigError, match=f"{why}.*{needed} photos into the set"):
        verdict_of(crops, gate, challenger=2, champion=1, sets={"tiny": tiny})


def test_a_first_version_is_held_against_the_floor_on_a_set_without_a_judge() -> None:
    crops, tiny = judged_crops("model"), on_a_set_of_small_photos("model")
    verdict = verdict_of(crops, GateConfig(), challenger=1, champion=None, sets={"tiny": tiny})
    assert verdict.promoted
    assert (
        "one has 36×40; take larger photos into the set; on tiny held against the floor alone"
        in (verdict.reason)
    )


@pytest.mark.parametrize("name", RECIPES)
def test_the_default_judge_of_a_recipe_did_not_teach_it_and_its_teacher_does_not_judge(
    name: str,
) -> None:
    recipe = get_recipe(name)
    training = training_of_recipe(recipe)
    mirrored = dict.fromkeys([DEFAULT_JUDGE, *training.networks], "0" * 64)
    figures = report(
        {"bicubic": 28.0, "model": 29.0},
        {DISTANCES[network]: {"bicubic": 2.7, "model": 1.0} for network in mirrored},
        beyond_pixels=["model"] if training.beyond_pixels else [],
        trained_on_judge=trained_on_judge({"model": training}, mirrored),
    )
    verdict = verdict_of(figures, recipe.gate, challenger=1, champion=None)
    assert verdict.promoted
    _, _, judges = verdict.rule.partition("judged by ")
    expected = f"{DISTANCES[DEFAULT_JUDGE]}, which taught neither" if training.beyond_pixels else ""
    assert judges.startswith(expected), verdict.rule
    assert bool(judges) == training.beyond_pixels


@pytest.mark.parametrize("name", RECIPES)
def test_niqe_does_not_decide_on_the_crops_of_a_recipe_that_hold_less_than_twenty_blocks(
    name: str,
) -> None:
    recipe = get_recipe(name)
    side = recipe.data.crop_size
    assert ((side - 2 * recipe.data.scale) // BLOCK) ** 2 < 20, "larger crops may be judged by it"
    figures = report(
        {"bicubic": 28.0, "model": 29.0},
        {
            "niqe": {"bicubic": 5.0, "model": 8.0},
            DISTANCES[DEFAULT_JUDGE]: {"bicubic": 2.7, "model": 1.0},
        },
        beyond_pixels=["model"],
        size=(side, side),
    )
    verdict = verdict_of(figures, recipe.gate, challenger=1, champion=None)
    assert verdict.promoted, verdict.reason
    assert "niqe" not in verdict.rule
