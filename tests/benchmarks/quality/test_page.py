"""The page: figures of what is trained, beside the paper's, and what is missing."""

import re
from pathlib import Path

import pytest

from benchmarks.quality.ablations import WHOLE, Without
from benchmarks.quality.contestants import Given
from benchmarks.quality.judges import measure_contents, open_panel
from benchmarks.quality.measuring import Row, measure, method
from benchmarks.quality.paper import TABLES
from benchmarks.quality.photos import pair_of
from benchmarks.quality.plan import Plan, Wish
from benchmarks.quality.results import Measurements
from benchmarks.quality.timing import StepTimes
from benchmarks.quality.training import Lab, train
from benchmarks.quality.writing import Findings, write
from srgan.images import Photo
from srgan.models.interpolation import Bicubic
from tests.support.photos import DrawPhoto
from tests.support.quality import contestant, gan


def findings(lab: Lab) -> Findings:
    """Two of three seeds, GANs by pixels and by the judge, ablations; one of each is missing."""
    squeezenet = measure_contents(lab.weights, lab.watched)["fire9"]
    gans = [gan("SRGAN-MSE"), gan("SRGAN-SqueezeNet", content=squeezenet.model_dump())]
    fast = contestant().seeds(3)
    untrained = [gan("MSE alone", adversarial_weight=0.0), fast[2]]
    networks = [fast, [gans[0]], [gans[1]], [untrained[0]]]
    choices = {WHOLE: {}, "Muon, Adam instead": {"optimizer": "adam"}}
    ablations = [
        Without(choice, [contestant(seed=9, **changes)]) for choice, changes in choices.items()
    ]
    of_gan = [Without(WHOLE, [gans[1]]), Without("pixels", [untrained[0]])]
    plan = Plan(0.1, networks, ablations, of_gan, missing=["SRCNN"])
    for each in plan.everyone:
        if each not in untrained:
            train(lab, each)
    return Findings(
        lab=lab,
        sets={"Set5": lab.watched},
        panel=open_panel(lab.weights),
        plan=plan,
        wish=Wish([], 0.1, 3, None),
        times=StepTimes(lab.out, lab.weights),
        extras=[Given("shipped", lab.generator(fast[0]), frozenset({"squeezenet1_1"}))],
        photos="photos",
        left_out=["7.jpg"],
        command="a command",
        opening="# Ours\n\nSome rows came later.",
    )


def test_the_page_has_our_figures_beside_the_papers(lab: Lab, tmp_path: Path) -> None:
    found = findings(lab)
    page = tmp_path / "pages" / "quality.md"
    write(found, page, planes=found.panel.names, strips=tmp_path / "Set5" / "HR")
    text = page.read_text()
    assert text.startswith("# Ours\n\nSome rows came later.\n\nWritten by `a command` on ")
    assert re.search(r"\| fast \| [\d,]+ \| 4 \| 2 of 32² \| ", text), "steps, batch and patch"
    bicubic = measure(method(Bicubic(4)), lab.watched, found.panel.distances)
    ours = Row("bicubic", [{"Set5": bicubic}]).figures("Set5")
    assert (
        f"| bicubic | {ours['psnr']:.2f} | {ours['ssim']:.4f} | {ours['squeezenet_distance']:.3f} "
        f"| {ours['niqe']:.2f} | – |"
    ) in text
    for title, row in TABLES["Set5"].items():
        if title != "original":
            figures = f"{row.psnr:.2f} | {row.ssim:.4f} | – | – | {row.mos:.2f}"
            assert f"| {title} (paper) | {figures} |" in text
            assert text.count(figures) == 1, "the paper's figures stand in the paper's row only"
    assert re.search(r"\| fast \| \d+\.\d\d ± \d+\.\d\d \| 0\.\d{4} ± 0\.\d{4} \| [^†]*\n", text)
    assert re.search(r"\| SRGAN-MSE \| .*\| 0\.\d\d \| 0\.\d\d \|$", text, re.MULTILINE)
    assert "| fast, self-ensemble | " in text
    for title in ("SRGAN-SqueezeNet", "shipped"):
        assert re.search(rf"\| {title} \| [^†\n]*\d † \| [^†\n]*\n", text), "marked once"
    missing = "SRCNN, fast (2 of 3 seeds), MSE alone, ablations of its GAN stage (1 of 2)."
    assert f"**Not trained in this run:** {missing}" in text
    assert "| MSE alone | " not in text
    assert "SRGAN-VGG16-22, SRGAN-VGG16-53 are missing in this run." in text
    assert re.search(r"\| Muon, Adam instead \| [\d.]+ \| [\d.]+ \| [\d.]+ \| [+-][\d.]+ \|", text)
    for link in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (page.parent / link).is_file(), link
    assert {path.name for path in (tmp_path / "pages" / "quality").iterdir()} == {
        *("curves.svg", "curves-gan.svg"),
        *("plane-squeezenet_distance.svg", "plane-niqe.svg"),
        *(f"strip-{n}-{size}.png" for n in (10, 11) for size in ("native", "enlarged")),
    }


def test_figures_of_the_same_file_are_measured_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(lab, contestant())
    sets, panel = {"Set5": lab.watched}, open_panel({})
    first = Measurements(lab, sets, panel).training([contestant()], 0.1)
    monkeypatch.setattr("benchmarks.quality.results.measure", None)  # calling it would raise
    assert Measurements(lab, sets, panel).training([contestant()], 0.1) == first
    with pytest.raises(TypeError):
        Measurements(lab, sets, open_panel(lab.weights)).training([contestant()], 0.1)


def test_an_image_too_small_for_niqe_has_no_figure_of_it(draw_photo: DrawPhoto) -> None:
    pixels = draw_photo(0, height=96, width=96)
    small = pair_of("small", Photo(pixels=pixels, format="PNG"))
    figures = measure(method(Bicubic(4)), [small], open_panel({}).distances)
    assert figures["small"].keys() == {"psnr", "ssim"}
