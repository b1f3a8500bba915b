"""Folders of results measured against folders of originals."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from srgan.errors import DataError
from srgan.images.photo import luma
from srgan.measure.evaluation import Figures
from srgan.measure.folders import (
    FolderOriginals,
    FolderQuality,
    compare_folders,
    quality_table,
)
from srgan.measure.metrics import psnr, ssim
from srgan.measure.perceptual import PerceptualDistance
from tests.support.entries import forbid
from tests.support.perceptual_weights import drawn_weights

Pixels = NDArray[np.uint8]


def image(seed: int, height: int = 24, width: int = 28) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def folders(tmp_path: Path, **pairs: tuple[Pixels, Pixels]) -> tuple[Path, Path]:
    """Folders with an original and a result for each stem."""
    hr, sr = tmp_path / "hr", tmp_path / "sr"
    for folder in (hr, sr):
        folder.mkdir()
    for stem, (original, result) in pairs.items():
        Image.fromarray(original).save(hr / f"{stem}.png")
        Image.fromarray(result).save(sr / f"{stem}.tif")
    return hr, sr


def test_each_image_and_the_mean_over_images_are_measured(tmp_path: Path) -> None:
    pairs = {"a": (image(0), image(1)), "b": (image(2, 40, 40), image(3, 40, 40))}
    found = compare_folders(*folders(tmp_path, **pairs), scale=3)
    for stem, (hr, sr) in pairs.items():
        assert found.images[stem].psnr == psnr(hr, sr, border=3)
        assert found.images[stem].ssim == ssim(hr, sr, border=3)
    assert found.mean.psnr == pytest.approx(
        (found.images["a"].psnr + found.images["b"].psnr) / 2, abs=1e-12
    )
    assert found.mean.ssim == pytest.approx(
        (found.images["a"].ssim + found.images["b"].ssim) / 2, abs=1e-12
    )


def test_as_json_it_has_the_form_that_is_promised(tmp_path: Path) -> None:
    found = compare_folders(*folders(tmp_path, a=(image(0), image(1))), scale=4)
    figures = {"psnr": found.mean.psnr, "ssim": found.mean.ssim}
    assert json.loads(found.model_dump_json()) == {"mean": figures, "images": {"a": figures}}


def test_the_psnr_of_equal_images_is_null_in_json(tmp_path: Path) -> None:
    found = compare_folders(*folders(tmp_path, a=(image(0), image(0))), scale=4)
    assert json.loads(found.model_dump_json())["mean"] == {"psnr": None, "ssim": 1.0}


def test_a_folder_may_be_compared_with_itself(tmp_path: Path) -> None:
    hr, _ = folders(tmp_path, a=(image(0), image(0)))
    assert compare_folders(hr, hr, scale=2).identical == ["a"]


def test_an_identical_pair_is_infinite_and_left_out_of_the_mean_with_its_count(
    tmp_path: Path,
) -> None:
    pairs = {"blank": (image(0), image(0)), "photo": (image(1), image(2))}
    found = compare_folders(*folders(tmp_path, **pairs), scale=4)
    assert found.images["blank"].psnr == np.inf
    assert found.mean.psnr == found.images["photo"].psnr
    assert found.mean.ssim == (found.images["photo"].ssim + 1) / 2
    table = quality_table(found).splitlines()
    assert table[1].split() == ["blank", "∞", "dB", "1.0000"]
    assert table[-1].endswith("(PSNR without 1 identical)")
    figures = json.loads(found.model_dump_json())
    assert figures["identical"] == ["blank"]
    assert figures["mean"]["psnr"] == found.mean.psnr


@pytest.mark.parametrize("side", ["hr", "sr"])
def test_an_entry_that_cannot_be_read_costs_only_its_pair_and_is_named(
    tmp_path: Path, side: str
) -> None:
    pairs = {name: (image(0), image(1)) for name in "ab"}
    hr, sr = folders(tmp_path, **pairs)
    broken = {"hr": hr / "b.png", "sr": sr / "b.tif"}[side]
    for break_it in (
        lambda: broken.write_bytes(b"not a photo"),
        lambda: (broken.unlink(), broken.symlink_to("gone")),
        lambda: (broken.unlink(), broken.symlink_to(broken.name)),
    ):
        break_it()
        found = compare_folders(hr, sr, scale=4)
        assert list(found.images) == ["a"]
        assert any("b." in name for name in found.failed)
        assert quality_table(found).splitlines()[-1].startswith("mean of 1")
        assert json.loads(found.model_dump_json())["failed"] == found.failed


def test_photos_below_a_folder_that_cannot_be_listed_do_not_miss_their_partner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hr, sr = folders(tmp_path, a=(image(0), image(1)))
    for folder in (hr, sr):
        (folder / "sub").mkdir()
        Image.fromarray(image(2)).save(folder / "sub" / "b.png")
    forbid(monkeypatch, sr / "sub")
    found = compare_folders(hr, sr, scale=4)
    assert list(found.images) == ["a"]
    assert set(found.failed) == {str(sr / "sub"), str(hr / "sub" / "b.png")}
    (sr / "a.tif").unlink()
    with pytest.raises(DataError, match=r"no result in .*sr for: a$"):
        compare_folders(hr, sr, scale=4)


def test_names_that_are_not_utf8_and_what_is_not_a_photo_do_not_stop_the_others(
    tmp_path: Path,
) -> None:
    hr, sr = folders(tmp_path, a=(image(0), image(1)))
    for folder, suffix in ((hr, ".png"), (sr, ".tif")):
        (folder / f"a{suffix}").rename(folder / f"caf\udce9{suffix}")
        (folder / ".DS_Store").write_bytes(b"\0")
    found = compare_folders(hr, sr, scale=4)
    assert list(found.images) == [r"caf\xe9"]
    assert found.passed_over == (str(hr / ".DS_Store"), str(sr / ".DS_Store"))
    assert json.loads(found.model_dump_json())["images"].keys() == found.images.keys()


def test_the_table_ends_with_the_mean(tmp_path: Path) -> None:
    found = FolderQuality.model_validate(
        {
            "mean": {"psnr": 28.4317, "ssim": 0.8112},
            "images": {"butterfly": {"psnr": 22.1, "ssim": 0.7}},
        }
    )
    assert quality_table(found).splitlines() == [
        "           PSNR (Y)  SSIM (Y)",
        "butterfly  22.10 dB    0.7000",
        "mean       28.43 dB    0.8112",
    ]


def test_sides_that_differ_by_less_than_the_scale_are_cropped(tmp_path: Path) -> None:
    hr, sr = image(0, 27, 28), image(1, 24, 31)
    found = compare_folders(*folders(tmp_path, a=(hr, sr)), scale=4)
    assert found.mean.psnr == psnr(hr[:24], sr[:, :28], border=4)


def test_sides_that_differ_by_the_scale_are_refused_with_both_sizes(tmp_path: Path) -> None:
    pair = folders(tmp_path, a=(image(0, 28, 28), image(1, 24, 28)))
    with pytest.raises(
        DataError, match=r"a\.tif: .*28×24 pixels, but .*a\.png has 28×28; .* differ by 3 at most"
    ):
        compare_folders(*pair, scale=4)


@pytest.mark.parametrize("side", ["hr", "sr"])
def test_a_damaged_photo_without_a_partner_costs_only_itself(tmp_path: Path, side: str) -> None:
    hr, sr = folders(tmp_path, a=(image(0), image(1)))
    damaged = {"hr": hr, "sr": sr}[side] / "damaged.png"
    damaged.write_bytes(b"not a photo")
    found = compare_folders(hr, sr, scale=4)
    assert list(found.images) == ["a"]
    assert found.failed[str(damaged)].startswith("not_an_image")


@pytest.mark.parametrize("extra", ["hr", "sr"])
def test_a_file_without_a_partner_is_named(tmp_path: Path, extra: str) -> None:
    hr, sr = folders(tmp_path, a=(image(0), image(1)))
    Image.fromarray(image(2)).save({"hr": hr, "sr": sr}[extra] / "lonely.png")
    what = {"hr": "no result in .*sr", "sr": "no original in .*hr"}[extra]
    with pytest.raises(DataError, match=f"{what} for: lonely"):
        compare_folders(hr, sr, scale=4)


def test_the_file_of_the_original_decides_whether_it_is_grayscale(tmp_path: Path) -> None:
    gray, other = image(0)[..., 0], image(1)[..., 0]
    colours, others = np.dstack([gray] * 3), np.dstack([other] * 3)
    pairs = {"gg": (gray, other), "gc": (gray, others), "cg": (colours, other)}
    found = compare_folders(*folders(tmp_path, **pairs, cc=(colours, others)), scale=4).images
    assert found["gg"].psnr == found["gc"].psnr == psnr(gray, other, border=4)
    assert found["cg"].psnr == found["cc"].psnr == psnr(colours, others, border=4)


def test_a_grayscale_original_is_measured_with_the_luma_of_a_result_in_colours(
    tmp_path: Path,
) -> None:
    """As an evaluation does: other programs give three channels back that differ by a level."""
    gray, colour = image(0)[..., 0], image(1)
    found = compare_folders(*folders(tmp_path, a=(gray, colour)), scale=4)
    assert found.mean.psnr == psnr(gray, luma(colour), border=4)


def test_a_gray_result_of_an_original_in_colours_is_measured_in_colours(tmp_path: Path) -> None:
    colour, gray = image(0), image(1)[..., 0]
    found = compare_folders(*folders(tmp_path, a=(colour, gray)), scale=4)
    assert found.mean.psnr == psnr(colour, np.dstack([gray] * 3), border=4)


def test_photos_in_folders_below_are_measured_too(tmp_path: Path) -> None:
    hr, sr = folders(tmp_path, a=(image(0), image(1)))
    for folder in (hr, sr):
        (folder / "sub").mkdir()
        Image.fromarray(image(2)).save(folder / "sub" / "a.png")
    assert list(compare_folders(hr, sr, scale=4).images) == ["a", "sub/a"]


def test_images_too_small_to_measure_are_named(tmp_path: Path) -> None:
    pair = folders(tmp_path, a=(image(0, 12, 12), image(1, 12, 12)))
    with pytest.raises(DataError, match=r"a\.tif: cannot_be_measured: SSIM needs 11 pixels"):
        compare_folders(*pair, scale=4)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    hr, sr = folders(tmp_path, a=(image(0), image(1)))
    (sr / "a.tif").write_bytes(b"text")
    with pytest.raises(DataError, match=r"a\.tif: not_an_image"):
        compare_folders(hr, sr, scale=4)


class _Brightness:
    """A distance that the test can work out by hand."""

    name = "brightness"
    min_side = 1
    max_pixels: int | None = None

    def __call__(self, hr: Pixels, sr: Pixels, *, border: int) -> float:
        inside = np.s_[border : hr.shape[0] - border, border : hr.shape[1] - border]
        return float(abs(hr[inside].mean() - sr[inside].mean()))


def test_distances_stand_beside_the_other_figures_of_each_image_and_in_the_mean(
    tmp_path: Path,
) -> None:
    pairs = {"a": (image(0), image(1)), "b": (image(2), image(3))}
    found = compare_folders(*folders(tmp_path, **pairs), scale=4, distances=[_Brightness()])
    expected = {stem: _Brightness()(hr, sr, border=4) for stem, (hr, sr) in pairs.items()}
    figures = json.loads(found.model_dump_json())
    assert figures["images"]["a"] == {
        "psnr": found.images["a"].psnr,
        "ssim": found.images["a"].ssim,
        "brightness": expected["a"],
    }
    assert figures["mean"]["brightness"] == pytest.approx(sum(expected.values()) / 2)


def test_the_table_has_a_column_for_each_distance() -> None:
    one = Figures(psnr=28.4317, ssim=0.8112, distances={"squeezenet_distance": 2.69714, "l": 0.5})
    table = quality_table(FolderQuality(mean=one, images={"baby": one}))
    assert table.splitlines() == [
        "      PSNR (Y)  SSIM (Y)  squeezenet_distance  l",
        "baby  28.43 dB    0.8112               2.6971  0.5000",
        "mean  28.43 dB    0.8112               2.6971  0.5000",
    ]


class _OfSmallPhotos(_Brightness):
    name = "of_small_photos"
    max_pixels = 24 * 28


def test_a_photo_too_large_for_a_distance_has_the_other_figures_and_its_reason(
    tmp_path: Path,
) -> None:
    pairs = {"large": (image(0, 24, 32), image(1, 24, 32)), "small": (image(2), image(3))}
    judges = [_Brightness(), _OfSmallPhotos()]
    hr, sr = folders(tmp_path, **pairs)
    found = compare_folders(hr, sr, scale=4, distances=judges)
    plain = compare_folders(hr, sr, scale=4, distances=judges[:1])
    assert found.images["large"] == plain.images["large"]
    assert found.images["small"].distances.keys() == {"brightness", "of_small_photos"}
    assert found.mean == plain.mean, "not a mean over fewer photos than the others"
    why = "32×24 pixels are too many for of_small_photos: at most 672 are measured at once"
    assert found.too_large == {"large": f"{why}; measure crops"}
    assert json.loads(found.model_dump_json())["too_large"] == found.too_large
    rows = [line.split() for line in quality_table(found).splitlines()]
    assert rows[0][-1] == "of_small_photos"
    assert [row[-1] for row in rows[1:4:2]] == ["–", "–"]
    assert rows[2][-1] != "–"


def test_originals_too_large_for_a_distance_are_refused_with_their_size(tmp_path: Path) -> None:
    hr, _ = folders(tmp_path, large=(image(0, 32, 36), image(1)))
    assert FolderOriginals(hr, 4)[0].shape == (32, 36, 3)
    with pytest.raises(DataError, match=r"large\.png: 36×32 pixels are too many for of_small"):
        FolderOriginals(hr, 4, [_OfSmallPhotos()])[0]


@pytest.mark.parametrize(
    "error",
    [MemoryError("Unable to allocate 4 GiB"), RuntimeError("DefaultCPUAllocator: out of memory")],
)
def test_a_pair_for_which_memory_runs_out_costs_only_itself(
    tmp_path: Path, error: Exception
) -> None:
    class Greedy(_Brightness):
        def __call__(self, hr: Pixels, sr: Pixels, *, border: int) -> float:
            if hr.shape[1] > 28:
                raise error
            return super().__call__(hr, sr, border=border)

    pairs = {"a": (image(0), image(1)), "b": (image(2, 24, 32), image(3, 24, 32))}
    hr, sr = folders(tmp_path, **pairs, c=(image(4), image(5)))
    found = compare_folders(hr, sr, scale=4, distances=[Greedy()])
    assert list(found.images) == ["a", "c"]
    assert found.failed == {str(sr / "b.tif"): f"out_of_memory: measure crops: {error}"}


def test_other_errors_of_a_distance_are_bugs_and_are_raised(tmp_path: Path) -> None:
    class Broken(_Brightness):
        def __call__(self, hr: Pixels, sr: Pixels, *, border: int) -> float:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        compare_folders(*folders(tmp_path, a=(image(0), image(1))), scale=4, distances=[Broken()])


def test_a_result_too_small_for_a_distance_is_named(tmp_path: Path) -> None:
    pair = folders(tmp_path, a=(image(0), image(1)))
    judge = PerceptualDistance("squeezenet1_1", drawn_weights())
    with pytest.raises(DataError, match=r"a\.tif: cannot_be_measured: .* 24 pixels a side"):
        compare_folders(*pair, scale=4, distances=[judge])
