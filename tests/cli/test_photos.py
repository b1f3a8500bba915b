"""`srgan degrade`, `upscale`, `evaluate` and `import-weights`, as a shell meets them."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from typer import Exit

from srgan.bulk import decoders
from srgan.cli.photos import degrade, evaluate, upscale
from srgan.cli.progress import ProgressBar
from srgan.cli.weights import import_weights
from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, ConfigError, StorageError
from srgan.images import Photo, decode
from srgan.images.files import read_photo, write_photo
from srgan.inference.engine import Engine
from srgan.inference.ensemble import SelfEnsemble
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.interchange import dump_generator, load_generator
from srgan.models.interpolation import Bicubic
from srgan.resize.arrays import imresize, resample
from srgan.services.mlflow_models import Registry
from srgan.settings import Settings
from tests.support.commands import srgan
from tests.support.ncnn_files import written
from tests.support.networks import random_generator
from tests.support.perceptual_weights import drawn_weights

GENERATOR = random_generator(
    GeneratorConfig(kind="msrresnet", scale=2, num_blocks=1, num_channels=4)
)


def image(seed: int) -> NDArray[np.uint8]:
    rough = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    return imresize(rough, scale=4)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, name in enumerate(("one.png", "two.bmp")):
        Image.fromarray(image(seed)).save(folder / name)
    return folder


def test_degrade_upscale_evaluate_go_hand_in_hand(photos: Path, tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    done = srgan("degrade", str(photos), str(small), "--scale", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(small / "one.png"), str(small / "two.bmp")]
    np.testing.assert_array_equal(
        read_photo(small / "one.png").pixels, imresize(image(0), scale=0.5)
    )
    done = srgan("upscale", str(small), str(large), "--model", "bicubic", "--scale", "2")
    assert (done.returncode, done.stderr) == (0, "")
    again = ("evaluate", "--hr", str(photos), "--sr", str(large), "--scale", "2")
    figures = json.loads(srgan(*again, "--json").stdout)
    assert list(figures["images"]) == ["one", "two"]
    assert 30 < figures["mean"]["psnr"] < 60
    last = srgan(*again).stdout.splitlines()[-1]
    assert last.split() == [
        "mean", f"{figures['mean']['psnr']:.2f}", "dB", f"{figures['mean']['ssim']:.4f}"
    ]  # fmt: skip


def test_weights_of_others_are_imported_and_upscale(photos: Path, tmp_path: Path) -> None:
    weights = tmp_path / "theirs.pth"
    torch.save({"params": GENERATOR.state_dict()}, weights)
    done = srgan("import-weights", str(weights))
    assert done.returncode == 0, done.stderr
    ours = tmp_path / "theirs.safetensors"
    assert done.stdout.startswith(f"msrresnet ×2, 1 blocks of 4 channels, 1,259 parameters\n{ours}")
    assert load_generator(ours.read_bytes()).config == GENERATOR.config
    expected = Engine(GENERATOR, tile=64).upscale(image(0))
    for file in (weights, ours):
        target = tmp_path / f"{file.suffix[1:]}.png"
        upscale(photos / "one.png", target, model=str(file), precision="fp32")
        np.testing.assert_array_equal(read_photo(target).pixels, expected)
    done = srgan("import-weights", str(weights))
    assert done.returncode == 2
    assert "exists; choose another one with --to" in done.stderr


def test_a_pair_of_ncnn_is_imported_by_either_file(photos: Path, tmp_path: Path) -> None:
    small = random_generator(GeneratorConfig(kind="srvgg", scale=2, num_blocks=1, num_channels=4))
    files = written(small, half=False)
    (tmp_path / "net.param").write_text(files.param)
    (tmp_path / "net.bin").write_bytes(files.weights)
    import_weights(tmp_path / "net.param")
    assert (tmp_path / "net.safetensors").read_bytes() == dump_generator(small)
    upscale(photos / "one.png", tmp_path / "large.png", model=str(tmp_path / "net.bin"), context=9)
    expected = Engine(small, precision="auto").upscale(image(0))
    np.testing.assert_array_equal(read_photo(tmp_path / "large.png").pixels, expected)


@pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")
def test_imported_weights_become_a_version_that_upscales_and_no_file(
    photos: Path,
    tmp_path: Path,
    mlflow_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = tmp_path / "theirs.pth"
    torch.save({"params": GENERATOR.state_dict()}, weights)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_settings.require("mlflow_tracking_uri"))
    for _ in range(2):  # the second time it is already there
        done = srgan("import-weights", str(weights), "--register", "theirs-x2")
        assert done.returncode == 0, done.stderr
        # MLflow's client may print the page of the run before it.
        assert done.stdout.splitlines()[-1].startswith("models:/theirs-x2/1, import-")
    assert not (tmp_path / "theirs.safetensors").exists()
    registry = Registry(mlflow_settings)
    tags = registry.record(registry.resolve("models:/theirs-x2/1")).tags
    assert tags["source_file"] == "theirs.pth"
    assert tags["source_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert tags["source_format"] == "MSRResNet of BasicSR, torch.save"
    target = tmp_path / "large.png"
    upscale(photos / "one.png", target, model="models:/theirs-x2/1", precision="fp32")
    expected = Engine(GENERATOR, tile=64).upscale(image(0))
    np.testing.assert_array_equal(read_photo(target).pixels, expected)


def test_lower_precision_is_the_default_and_close_to_fp32(photos: Path, tmp_path: Path) -> None:
    weights = tmp_path / "theirs.pth"
    torch.save(GENERATOR.state_dict(), weights)
    for name, options in (("fp32", ("--precision", "fp32")), ("default", ())):
        target = tmp_path / f"{name}.png"
        done = srgan(
            "upscale", str(photos / "one.png"), str(target), "--model", str(weights), *options
        )
        assert (done.returncode, done.stderr) == (0, "")
    exact, fast = (read_photo(tmp_path / f"{n}.png").pixels for n in ("fp32", "default"))
    auto = Engine(GENERATOR, tile=64, precision="auto").upscale(image(0))
    np.testing.assert_array_equal(fast, auto)
    assert np.abs(exact.astype(int) - fast).max() <= 3


def test_a_budget_and_a_tile_change_no_pixel(photos: Path, tmp_path: Path) -> None:
    expected = Engine(Bicubic(4)).upscale(image(0))
    for number, options in enumerate(({"memory": "900 mb"}, {"memory": "1.5GiB"}, {"tile": 20})):
        target = tmp_path / f"{number}.png"
        upscale(photos / "one.png", target, model="bicubic", **options)
        np.testing.assert_array_equal(read_photo(target).pixels, expected)


def test_a_plan_says_what_it_takes_and_writes_nothing(photos: Path, tmp_path: Path) -> None:
    done = srgan("upscale", str(photos), str(tmp_path / "to"), "--model", "bicubic", "--plan")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2 images to upscale (")
    for part in ("judged by a few of the photos", " of work", "B free at the destination"):
        assert part in done.stdout
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_plan_names_what_will_fail_and_its_exit_code_says_so(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    (photos / "bad.png").write_bytes(b"text")
    (photos / "gone.png").symlink_to("nowhere")
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "one.png").write_bytes(b"somebody else's")
    with pytest.raises(Exit) as stopped:
        upscale(photos, tmp_path / "to", model="bicubic", plan=True, as_json=as_json)
    assert stopped.value.exit_code == 1
    said = capsys.readouterr()
    assert said.out.startswith("{" if as_json else "2 images to upscale (")
    *named, last = said.err.splitlines()
    problems = {line.split(": ")[0]: line.split(": ")[1] for line in named}
    assert problems == {
        str(photos / "bad.png"): "not_an_image",
        str(photos / "gone.png"): "unreadable",
        str(photos / "one.png"): "occupied",
    }
    assert last == "3 of 4 photos could not be used"


def test_a_plan_in_json_is_its_numbers(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "one.xmp").touch()
    upscale(photos, tmp_path / "to", model="bicubic", plan=True, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["num_todo"], found["num_refused"], found["num_others"]) == (2, 0, 1)
    assert found["output_megapixels"] == pytest.approx(2 * 160 * 192 / 1e6)
    assert found["seconds"] > 0


def test_results_in_json_are_one_document_and_failures_are_said_apart(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "bad.png").write_bytes(b"text")
    with pytest.raises(Exit) as stopped:
        upscale(photos, tmp_path / "to", model="bicubic", as_json=True)
    said = capsys.readouterr()
    assert stopped.value.exit_code == 1
    found = json.loads(said.out)
    assert (found["num_done"], found["num_failed"]) == (2, 1)
    bad, one, _ = found["photos"]
    assert one == {
        "source": str(photos / "one.png"),
        "result": str(tmp_path / "to" / "one.png"),
        "lost": [],
        "kept": False,
        "error": None,
    }
    assert (bad["result"], bad["error"]["reason"]) == (None, "not_an_image")
    assert f"{photos / 'bad.png'}: not_an_image" in said.err


def test_a_terminal_sees_progress_within_a_photo(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    monkeypatch.setattr(ProgressBar, "__call__", lambda bar, done, total: seen.append(done / total))
    Image.fromarray(np.zeros((200, 300, 3), np.uint8)).save(photos / "wide.png")
    upscale(photos, tmp_path / "to", model="bicubic", tile=144)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 1)
    assert len(seen) == 3 + 1 + 1 + 6, "three beginnings, and tiles of 144 pixels"
    assert len(set(seen)) == 1 + 1 + 1 + 6, "a photo begins where the one before ended"


def test_a_plan_refuses_a_disk_that_is_too_small(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(ConfigError, match=r"the disk of .*/to is too small"):
        upscale(photos, tmp_path / "to", model="bicubic", plan=True)


@pytest.mark.parametrize("memory", ["2 GIGS", "-1GiB", "lots", "1.5.2GB", ""])
def test_a_budget_that_is_no_size_is_refused(memory: str, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"--memory '{memory}' is not a size; write it as 20GiB"):
        upscale(photos, tmp_path / "large", model="bicubic", memory=memory)


def test_a_budget_that_holds_no_tile_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"memory budget is too small .* raise --memory"):
        upscale(photos, tmp_path / "large", model="bicubic", memory="512MiB")


def test_a_damaged_photo_is_named_and_the_others_are_done(photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").write_bytes(b"text")
    done = srgan("degrade", str(photos), str(tmp_path / "small"))
    assert done.returncode == 1
    assert f"{photos / 'bad.png'}: not_an_image" in done.stderr
    assert "1 of 3 photos could not be used" in done.stderr
    assert {path.name for path in (tmp_path / "small").iterdir()} == {"one.png", "two.bmp"}


def test_a_photo_that_kills_the_decoder_costs_no_other(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (photos / "bad.png").write_bytes(b"kills")
    code = (
        "import os, srgan.bulk.decoder_process as process\n"
        "decode = process.decode\n"
        "process.decode = lambda data, **options: (\n"
        "    os.abort() if data == b'kills' else decode(data, **options))\n"
        "process.main()"
    )
    monkeypatch.setattr(decoders, "_CODE", code)
    with pytest.raises(Exit):
        upscale(photos, tmp_path / "to", model="nearest")
    assert f"{photos / 'bad.png'}: crashed: the decoder died by SIGABRT" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "to").iterdir()} == {"one.png", "two.bmp"}


def test_a_file_that_is_larger_than_any_photo_is_not_read(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (photos / "huge.png").open("wb") as file:
        file.truncate(2**31)  # takes no disk
    with pytest.raises(Exit):
        upscale(photos / "huge.png", tmp_path / "to", model="nearest")
    assert "too_large: the file has 2.1 GB" in capsys.readouterr().err


def test_an_odd_entry_is_named_the_rest_is_done_and_the_exit_status_says_it(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(image(2)).save(photos / "NOSUFFIX", "jpeg")
    for name in (".DS_Store", "one.xmp", "README"):
        (photos / name).write_bytes(b"\0\5\x16\7")
    (photos / "gone.png").symlink_to("/not/there.png")
    (photos / "page.jpg").write_bytes(b"<html>")
    (photos / ("n" * 251 + ".png")).write_bytes(b"")
    said = "3 entries are not photos: "
    for work in (
        lambda out: degrade(photos, out, scale=2),
        lambda out: upscale(photos, out, model="nearest", scale=2, format="png", oversize="tiff"),
    ):
        out = tmp_path / "out"
        with pytest.raises(Exit) as stopped:
            work(out)
        shown = capsys.readouterr()
        assert stopped.value.exit_code == 1
        assert {Path(line).stem for line in shown.out.splitlines()} == {"NOSUFFIX", "one", "two"}
        lines = shown.err.splitlines()
        assert any(line.startswith(said) and "README" in line for line in lines)
        assert f"{photos / 'gone.png'}: unreadable: a link to /not/there.png" in shown.err
        assert f"{photos / 'page.jpg'}: not_an_image" in shown.err
        assert lines[-1] == "3 of 6 photos could not be used"
        shutil.rmtree(out)


def test_names_that_are_not_utf8_are_written_as_they_are_and_shown_escaped(
    photos: Path, tmp_path: Path
) -> None:
    (photos / "two.bmp").unlink()
    (photos / "one.png").rename(photos / "写 caf\udce9\n.png")
    done = srgan("degrade", str(photos), str(tmp_path / "out"), encoding="latin-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path}/out/\\u5199 caf\\xe9\\n.png\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["写 caf\udce9\n.png"]


def test_an_evaluation_of_fewer_images_than_originals_is_an_error(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(photos, tmp_path / "results")
    (photos / "three.png").symlink_to("/not/there.png")
    with pytest.raises(Exit) as stopped:
        evaluate(photos, tmp_path / "results", as_json=True)
    said = capsys.readouterr()
    assert stopped.value.exit_code == 1
    assert list(json.loads(said.out)["failed"]) == [str(photos / "three.png")]
    assert f"{photos / 'three.png'}: unreadable: a link to /not/there.png" in said.err


def test_results_that_exist_are_kept_refused_or_written_over(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    upscale(photos, out, model="nearest", scale=2)
    (out / "two.bmp").unlink()
    kept = (out / "one.png").stat()
    capsys.readouterr()
    upscale(photos, out, model="nearest", scale=2)  # as after an interrupted run
    said = capsys.readouterr()
    assert said.out.split() == [str(out / "one.png"), str(out / "two.bmp")]
    assert said.err == "1 of 2 results were made earlier and are kept\n"
    assert (out / "one.png").stat().st_ino == kept.st_ino
    upscale(photos, out, model="nearest", scale=2, plan=True)
    assert "0 images to upscale" in (text := capsys.readouterr().out)
    assert "2 done by earlier runs, 0 refused" in text
    for other in ({"model": "bicubic"}, {"model": "nearest", "existing": "fail"}):
        with pytest.raises(Exit):
            upscale(photos, out, scale=2, **other)  # type: ignore[arg-type]  # strings
        assert capsys.readouterr().err.count("occupied: ") == 2
    upscale(photos, out, model="bicubic", scale=2, existing="overwrite")
    expected = Engine(Bicubic(2)).upscale(image(0))
    np.testing.assert_array_equal(read_photo(out / "one.png").pixels, expected)
    assert sorted(path.name for path in out.iterdir()) == ["one.png", "two.bmp"]


def test_what_the_user_gave_wrong_is_a_message_and_no_traceback(tmp_path: Path) -> None:
    done = srgan("degrade", str(tmp_path / "missing"), str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {tmp_path / 'missing'} does not exist\n"


def test_a_perceptual_network_in_a_file_adds_its_distance(photos: Path, tmp_path: Path) -> None:
    weights = tmp_path / "squeezenet.safetensors"
    weights.write_bytes(drawn_weights())
    upscaled = tmp_path / "blurred"
    upscaled.mkdir()
    for path in photos.iterdir():
        Image.fromarray(image(7)).save(upscaled / path.name)
    options = ("evaluate", "--hr", str(photos), "--sr", str(upscaled))
    done = srgan(*options, "--distance", f"squeezenet1_1={weights}", "--json")
    digest = hashlib.sha256(drawn_weights()).hexdigest()
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"squeezenet_distance: weights with SHA-256 {digest}\n"
    figures = json.loads(done.stdout)
    assert list(figures["mean"]) == ["psnr", "ssim", "squeezenet_distance"]
    judge = PerceptualDistance("squeezenet1_1", drawn_weights())
    assert figures["images"]["one"]["squeezenet_distance"] == pytest.approx(
        judge(image(0), image(7), border=4), rel=1e-4
    )


@pytest.mark.parametrize(
    "given",
    [["alexnet=FILE"], ["alexnet"], ["vgg19="], ["squeezenet1_1=FILE", "squeezenet1_1=FILE"]],
)
def test_a_distance_that_is_none_says_what_there_is(photos: Path, given: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"NETWORK=FILE, .* squeezenet1_1, vgg19"):
        evaluate(photos, photos, distance=given)


def test_a_distance_without_services_says_how_to_get_them_or_do_without(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(photos / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(photos / "none"))
    with pytest.raises(
        StorageError, match=r"no credentials\. Start .*`srgan stack up`.* vgg19=FILE$"
    ):
        evaluate(photos, photos, distance=["vgg19"])


def test_a_weights_file_of_a_distance_is_named_where_it_is_none(
    photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="cannot read missing: No such file"):
        evaluate(photos, photos, distance=["vgg19=missing"])
    (tmp_path / "other").write_bytes(drawn_weights())
    with pytest.raises(CheckpointError, match=r"other: these are .*vgg19 weights"):
        evaluate(photos, photos, distance=[f"vgg19={tmp_path / 'other'}"])
    altered = tmp_path / "squeezenet1_1-b8a52dc0.pth"
    altered.write_bytes(drawn_weights())
    with pytest.raises(CheckpointError, match="SHA-256 that begins with b8a52dc0"):
        evaluate(photos, photos, distance=[f"squeezenet1_1={altered}"])


@pytest.mark.parametrize("model", ["bicubic", "nearest", "bilinear"])
def test_interpolation_has_scale_4_unless_told(model: str, photos: Path, tmp_path: Path) -> None:
    upscale(photos / "one.png", tmp_path / "large.png", model=model)
    upscale(photos / "one.png", tmp_path / "larger.png", model=model, scale=5)
    assert read_photo(tmp_path / "large.png").pixels.shape == (160, 192, 3)
    assert read_photo(tmp_path / "larger.png").pixels.shape == (200, 240, 3)


def test_an_unknown_model_lists_what_there_is(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model 'lanczos'.*nearest, bilinear, bicubic"):
        upscale(photos, tmp_path / "large", model="lanczos")


def test_another_scale_or_size_is_resampled_from_the_models_result(
    photos: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "theirs.pth"
    torch.save(GENERATOR.state_dict(), weights)
    options = {"model": str(weights), "precision": "fp32"}
    result = Engine(GENERATOR, tile=64).upscale(image(0))
    for name, wanted, height, width in (
        ("a", {"scale": 1.5}, 60, 72), ("b", {"size": "60x"}, 50, 60), ("c", {"scale": 3}, 120, 144)
    ):  # fmt: skip
        target = tmp_path / f"{name}.png"
        upscale(photos / "one.png", target, **options, **wanted)
        np.testing.assert_array_equal(read_photo(target).pixels, resample(result, height, width))
    with pytest.raises(ConfigError, match="scale 5: a model of scale 2 is used from 1 to 4"):
        upscale(photos, tmp_path / "large", **options, scale=5)


@pytest.mark.parametrize(("scale", "height"), [(2.5, 100), (1, 40), (16, 640)])
def test_interpolation_has_any_scale(
    photos: Path, tmp_path: Path, scale: float, height: int
) -> None:
    upscale(photos / "one.png", tmp_path / "a.png", model="bicubic", scale=scale)
    assert read_photo(tmp_path / "a.png").pixels.shape[0] == height
    with pytest.raises(ConfigError, match="scale 17: bicubic takes 1 to 16"):
        upscale(photos, tmp_path / "large", model="bicubic", scale=17)


def test_results_have_the_format_of_their_photo_or_the_chosen_one(
    photos: Path, tmp_path: Path
) -> None:
    Image.fromarray(image(3)).save(photos / "three.jpg")
    (photos / "deep").mkdir()
    Image.fromarray(image(3)).save(photos / "deep" / "four.webp")
    for format, names in (
        ("same", ["deep/four.webp", "one.png", "three.jpg", "two.bmp"]),
        ("jpeg", ["deep/four.jpg", "one.jpg", "three.jpg", "two.jpg"]),
    ):
        done = srgan(
            "upscale", str(photos), str(tmp_path / format), "--model", "nearest",
            "--format", format, "--quality", "80", "--subsampling", "4:2:0",
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split() == [str(tmp_path / format / name) for name in names]


def test_a_result_too_large_for_its_format_is_refused_or_rerouted(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros((1, 5000, 3), np.uint8)).save(photos / "wide.webp")
    with pytest.raises(Exit):
        upscale(photos / "wide.webp", tmp_path / "out", model="nearest")
    assert "too_large: 20000×4 pixels; webp allows 16383" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    upscale(photos / "wide.webp", tmp_path / "out", model="nearest", oversize="png")
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'wide.webp.png'}\n"
    assert read_photo(tmp_path / "out" / "wide.webp.png").pixels.shape == (4, 20_000, 3)


def test_the_content_of_a_photo_decides_its_format_and_not_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for kind in ("png", "webp"):
        Image.fromarray(image(1)).save(tmp_path / "in" / f"{kind}.jpg", kind, lossless=True)
    upscale(tmp_path / "in", tmp_path / "out", model="nearest", scale=2)
    for kind in ("png", "webp"):
        made = decode((tmp_path / "out" / f"{kind}.jpg").read_bytes(), max_pixels=10**6)
        assert made.format == kind
        np.testing.assert_array_equal(made.pixels[::2, ::2], image(1))
    upscale(tmp_path / "in" / "png.jpg", tmp_path / "named.jpg", model="nearest", scale=2)
    assert (tmp_path / "named.jpg").read_bytes().startswith(b"\xff\xd8"), "named, so meant"


def test_a_line_says_what_a_result_lost_and_a_cut_jpeg_can_be_salvaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(image(1)).save(tmp_path / "whole.jpg", comment=b"hello")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((tmp_path / "whole.jpg").read_bytes()[:-2])
    with pytest.raises(Exit):
        upscale(cut, tmp_path / "out", model="nearest")
    assert "truncated" in capsys.readouterr().err
    upscale(cut, tmp_path / "out", model="nearest", format="webp", salvage=True)
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'out' / 'cut.webp'}\n"
    assert said.err == f"{cut}: lost: end of the file, comments\n"


def test_results_made_without_salvage_are_kept_with_it_and_the_other_way_round(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(image(3)).save(photos / "cut.jpg")
    (photos / "cut.jpg").write_bytes((photos / "cut.jpg").read_bytes()[:-2])
    with pytest.raises(Exit):
        upscale(photos, tmp_path / "out", model="nearest")
    for salvage, num_kept in ((True, 2), (False, 3)):
        capsys.readouterr()
        upscale(photos, tmp_path / "out", model="nearest", salvage=salvage, as_json=True)
        counts = json.loads(capsys.readouterr().out)
        assert (counts["num_done"], counts["num_kept"]) == (3, num_kept)


def test_a_gif_becomes_a_png_beside_it_and_a_second_run_keeps_that(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(image(1)).save(photos / "still.gif")
    for _ in range(2):
        upscale(photos / "still.gif", tmp_path / "out", model="nearest")
        assert capsys.readouterr().out.split()[0] == str(tmp_path / "out" / "still.gif.png")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["still.gif.png"]


def test_16_bits_and_pages_come_out_as_they_went_in(photos: Path, tmp_path: Path) -> None:
    deep = Photo(image(1).astype(np.uint16) * 256 + 7)
    photo = replace(deep, format="tiff", pages=(Photo(image(2)),))
    write_photo(photos / "two-pages.tif", photo)
    upscale(photos / "two-pages.tif", tmp_path, model="nearest", scale=2)
    copy = decode((tmp_path / "two-pages.tif").read_bytes(), max_pixels=10**6)
    np.testing.assert_array_equal(copy.pixels[::2, ::2], deep.pixels, strict=True)
    np.testing.assert_array_equal(copy.pages[0].pixels[::2, ::2], image(2), strict=True)


def test_photos_are_never_overwritten(photos: Path) -> None:
    with pytest.raises(ConfigError, match=r"would overwrite .*one\.png"):
        upscale(photos / "one.png", photos, model="bicubic")
    with pytest.raises(ConfigError, match="lies inside it, so results would become sources"):
        upscale(photos, photos, model="bicubic")


def test_the_self_ensemble_of_a_model_is_another_result_than_its_own(
    photos: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "theirs.pth"
    torch.save(GENERATOR.state_dict(), weights)
    target = tmp_path / "ensemble.png"
    upscale(photos / "one.png", target, model=str(weights), precision="fp32", self_ensemble=True)
    expected = Engine(SelfEnsemble(GENERATOR), tile=64).upscale(image(0))
    np.testing.assert_array_equal(read_photo(target).pixels, expected)
    assert not np.array_equal(expected, Engine(GENERATOR, tile=64).upscale(image(0)))


def test_a_photo_is_upscaled_without_loading_what_only_services_need(
    photos: Path, tmp_path: Path
) -> None:
    """Each of them costs seconds."""
    program = (
        "import sys; from srgan.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "finally: print(sorted({'mlflow', 'ray', 'prefect', 'boto3', 'pyarrow', 'pyvips', "
        "'torch._dynamo', 'onnx'} & set(sys.modules)))"
    )
    weights = tmp_path / "ours.safetensors"
    weights.write_bytes(dump_generator(GENERATOR))
    arguments = ["upscale", str(photos / "one.png"), str(tmp_path / "large.png")]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--model", str(weights)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
