"""The comparison of the paper's Table 2: trainings that resume, figures, and the page."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.quality.contestants import WHOLE, Contestant, ablations, gan_ablations, networks
from benchmarks.quality.measuring import Figures, half_widths, measure, method
from benchmarks.quality.page import Comparison, write_page
from benchmarks.quality.paper import TABLES
from benchmarks.quality.photos import (
    Pair,
    claim,
    hold_out,
    open_set,
    open_training_crops,
    training_photos,
)
from benchmarks.quality.results import (
    Ablation,
    GanAblation,
    measure_baselines,
    measure_ensemble,
    read_training,
)
from benchmarks.quality.training import CURVE, GENERATOR, Lab, train
from srgan.config import AdversarialConfig, DataConfig, DiscriminatorConfig, PretrainConfig
from srgan.errors import ConfigError, DataError
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.interpolation import Bicubic
from tests.support.perceptual_weights import drawn_weights
from tests.support.photos import DrawPhoto

DATA = DataConfig(scale=4, crop_size=64, shrunk=(0.75,))


def contestant(**changes: object) -> Contestant:
    """A training that takes seconds."""
    stage = {
        "generator": {"kind": "bicubic_resnet", "scale": 4, "num_blocks": 1, "num_channels": 4},
        "steps": 4,
        "batch_size": 2,
        "patch_size": 32,
        "ema_decay": 0.9,
        "optimizer": "muon",
        "checkpoint_every": 1,
        "validate_every": 2,
        "log_every": 1,
    }
    config = PretrainConfig.model_validate({**stage, **changes})
    return Contestant("tiny", "fast", config, data=DATA)


@pytest.fixture
def lab(tmp_path: Path, draw_photo: DrawPhoto) -> Lab:
    photos, hr = tmp_path / "photos", tmp_path / "Set5" / "HR"
    for folder, seeds in ((photos, range(3)), (hr, range(10, 12))):
        folder.mkdir(parents=True)
        for seed in seeds:
            Image.fromarray(draw_photo(seed, height=96, width=96)).save(folder / f"{seed}.png")
    out = tmp_path / "out"
    out.mkdir()
    watched = open_set(hr.parent)
    return Lab(out, training_photos(photos, watched)[0], watched, drawn_weights())


class Breaking(list[Pair]):
    """A set that can be read once; the next time it raises, like a process that is killed."""

    def __iter__(self) -> Iterator[Pair]:
        if hasattr(self, "seen"):
            raise RuntimeError("stopped")
        self.seen = True
        return super().__iter__()


def test_an_interrupted_training_goes_on_and_ends_with_the_same_bytes(
    lab: Lab, tmp_path: Path
) -> None:
    train(lab, contestant())
    elsewhere = Lab(tmp_path / "elsewhere", lab.photos, Breaking(lab.watched), lab.weights)
    with pytest.raises(RuntimeError, match="stopped"):
        train(elsewhere, contestant())
    assert not (elsewhere.folder(contestant()) / GENERATOR).exists()
    elsewhere.watched = lab.watched
    train(elsewhere, contestant())
    for file in (GENERATOR, CURVE):
        whole, resumed = (each.folder(contestant()) / file for each in (lab, elsewhere))
        assert whole.read_bytes() == resumed.read_bytes(), file


def test_what_is_trained_is_not_trained_again_and_another_recipe_is_another_training(
    lab: Lab,
) -> None:
    train(lab, contestant())
    lab.watched = Breaking(lab.watched)
    lab.watched.seen = True  # any further validation would raise
    train(lab, contestant())
    assert contestant(seed=1).folder != contestant().folder


def test_the_shrunk_photos_are_cut_too(lab: Lab) -> None:
    crops = open_training_crops(lab.photos, lab.out, DATA)
    assert len(crops) == 3 * (4 + 4)
    assert list(crops.photo_of) == [0] * 8 + [1] * 8 + [2] * 8


def test_photos_that_show_an_evaluation_image_are_not_trained_on(
    lab: Lab, draw_photo: DrawPhoto
) -> None:
    folder = lab.photos[0].parent
    held = Image.fromarray(draw_photo(11, height=96, width=96))
    held.resize((160, 160), Image.Resampling.LANCZOS).transpose(
        Image.Transpose.FLIP_LEFT_RIGHT
    ).save(folder / "copy.jpg", quality=80)
    photos, seen = training_photos(folder, lab.watched)
    assert photos == lab.photos
    assert [(each.held, each.trained, each.turned) for each in seen] == [("11", "copy.jpg", True)]


def test_choices_are_made_on_photos_that_no_training_sees(lab: Lab) -> None:
    trained, held = hold_out(lab.photos, 2)
    assert len(trained) == 1
    assert {pair.name for pair in held} == {path.stem for path in lab.photos} - {trained[0].stem}
    assert [pair.lr.pixels.shape[:2] for pair in held] == [(24, 24)] * 2
    assert hold_out(lab.photos[::-1], 2)[0] == trained, "the order of the files decides nothing"
    with pytest.raises(DataError, match="3 photos leave none"):
        hold_out(lab.photos, 3)


def test_networks_on_which_a_claim_rests_are_trained_with_several_seeds() -> None:
    for each in networks("c7498b4d"):
        seeds = each.seeds(3)
        decides = each.name.startswith(("fast", "few_photos", "srgan", "features"))
        assert [one.stage.seed for one in seeds] == ([0, 1, 2] if decides else [0]), each.name
        assert len({one.folder for one in seeds}) == len(seeds)
        assert {one.start for one in seeds} == {each.start}


def test_the_interval_over_seeds_is_students() -> None:
    figures = [Figures(psnr, 0.8, 1.5) for psnr in (30.0, 30.3, 30.6)]
    widths = half_widths(figures)
    assert widths is not None
    # A standard deviation of 0.3, t = 4.303 at two degrees of freedom.
    assert widths.psnr == pytest.approx(4.303 * 0.3 / 3**0.5)
    assert widths.ssim == pytest.approx(0)
    assert half_widths(figures[:1]) is None


def test_trainings_on_other_photos_want_a_folder_of_their_own(lab: Lab) -> None:
    claim(lab.out, lab.photos)
    claim(lab.out, lab.photos)
    del lab.photos[0]
    with pytest.raises(ConfigError, match="holds trainings on other photos"):
        claim(lab.out, lab.photos)


def test_a_set_whose_images_have_no_partner_is_refused(tmp_path: Path, lab: Lab) -> None:
    folder = tmp_path / "Set5"
    (folder / "LRx4").mkdir()
    Image.new("RGB", (24, 24)).save(folder / "LRx4" / "other.png")
    with pytest.raises(DataError, match="do not hold the same images"):
        open_set(folder)


def test_every_recipe_is_a_network_of_its_own_and_ablations_change_one_thing() -> None:
    trained = networks("c7498b4d")
    groups = dict(ablations())
    of_gan = dict(gan_ablations("c7498b4d"))
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


def test_the_page_has_our_figures_beside_the_papers(lab: Lab, tmp_path: Path) -> None:
    train(lab, contestant())
    distance = PerceptualDistance("squeezenet1_1", lab.weights, device=torch.device("cpu"))
    opponent = DiscriminatorConfig(num_channels=2, dense_size=4)
    stage = contestant().stage.model_dump(exclude={"stage", "loss"})
    against = AdversarialConfig.model_validate({**stage, "discriminator": opponent})
    fought = Contestant("gan", "SRGAN-MSE", against, contestant(), data=DATA)
    train(lab, fought)
    sets = {"Set5": lab.watched, "Set14": lab.watched}
    gan = read_training(lab, [fought], sets, distance, step_s=0.1)
    baselines = measure_baselines(sets, distance)
    assert baselines["bicubic"]["Set5"] == measure(method(Bicubic(4)), lab.watched, distance)
    page = tmp_path / "quality.md"
    write_page(
        page,
        Comparison(
            machine="a machine",
            date="2026-01-01",
            command="a command",
            baselines=baselines,
            trainings=[read_training(lab, [contestant()] * 2, sets, distance, step_s=0.1), gan],
            ensembles={"fast, self-ensemble": measure_ensemble(lab, contestant(), sets, distance)},
            ablations=[Ablation(WHOLE, [30.0, 30.2]), Ablation("L1", [29.0, 29.2])],
            gan_ablations=[
                GanAblation(WHOLE, [1.5, 1.7], [30.0, 31.0], [[0.9, 0.2], [0.7, 0.4]]),
                GanAblation("pixels", [1.9, 1.7], [29.0, 29.5], [[1.0, 0.0], [1.0, 0.0]]),
            ],
            strips=[],
            photos="photos",
            num_photos=3,
            num_held=2,
            num_seeds=2,
            left_out=["7.jpg"],
        ),
    )
    text = page.read_text()
    ours = baselines["bicubic"]["Set5"]
    assert f"| bicubic | {ours.psnr:.2f} | {ours.ssim:.4f} | {ours.distance:.3f} | – |" in text
    assert "| L1 | 29.10 | 29.00 | 29.20 | +1.00 |" in text
    assert "| nothing | 1.600 | 1.500 | 1.700 | 30.50 | – | 0.80 | 0.30 |" in text
    assert "| pixels | 1.800 | 1.700 | 1.900 | 29.25 | -0.200 | 1.00 | 0.00 |" in text
    for title, row in TABLES["Set5"].items():
        if title != "original":
            figures = f"{row.psnr:.2f} | {row.ssim:.4f} | – | {row.mos:.2f}"
            assert f"| {title} (paper) | {figures} |" in text
            assert text.count(figures) == 1, "the paper's figures stand in the paper's row only"
    # Two seeds that are the same training, and so an interval of no width.
    assert re.search(
        r"\| fast \| \d+\.\d\d ± 0.00 \| 0\.\d{4} ± 0.0000 \| .* ± 0.000 \| – \|", text
    )
    assert re.search(r"\| SRGAN-MSE \| .*\| 0\.\d\d \| 0\.\d\d \|$", text, re.MULTILINE)
    assert "| fast, self-ensemble | " in text
    assert "trained on the judge" in text.lower()
