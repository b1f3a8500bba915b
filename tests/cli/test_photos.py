"""`srgan degrade` and `upscale`, as a shell meets them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from typer import Exit

from srgan.bulk import decoders
from srgan.bulk.decoders import Decoders
from srgan.cli.photos import degrade, upscale
from srgan.cli.progress import ProgressBar
from srgan.errors import ConfigError
from srgan.images.files import read_photo
from srgan.inference.engine import Engine
from srgan.models.interchange import dump_generator
from srgan.models.interpolation import Bicubic
from srgan.resize.arrays import imresize
from tests.support.commands import srgan
from tests.support.gpus import pretend_gpu
from tests.support.networks import MSRRESNET, random_generator
from tests.support.photos import image

GENERATOR = random_generator(MSRRESNET)


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


def test_without_a_model_the_shipped_one_enlarges_four_times(photos: Path, tmp_path: Path) -> None:
    for name, options in (("default", ()), ("named", ("--model", "shipped"))):
        done = srgan("upscale", str(photos / "one.png"), str(tmp_path / f"{name}.png"), *options)
        assert (done.returncode, done.stderr) == (0, "")
    found, expected = (read_photo(tmp_path / f"{name}.png").pixels for name in ("default", "named"))
    assert found.shape == (160, 192, 3)
    np.testing.assert_array_equal(found, expected)
    done = srgan("upscale", str(photos), str(tmp_path / "other"), "--model", "shipped:best")
    assert "no model 'shipped:best'" in done.stderr
    assert "shipped, shipped:sharp, nearest" in done.stderr


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


def test_a_pretended_gpu_that_breaks_ends_the_command_with_a_message(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_gpu(monkeypatch, broken=True)
    monkeypatch.setattr(decoders, "Decoders", Decoders)  # not those that other tests share
    tried: list[object] = []

    def broken(engine: Engine, photo: object, share: object) -> None:
        tried.append(photo)
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(Engine, "upscale_photo", broken)
    ended = srgan("upscale", str(photos), str(tmp_path / "to"), "--model", "bicubic")
    assert (ended.returncode, len(tried)) == (1, 1), "the next photo would fail too"
    assert ended.stderr.splitlines()[-1] == (
        "error: the GPU failed, this process cannot go on with it: "
        "CUDA error: unspecified launch failure"
    )


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
    monkeypatch.setattr(decoders, "Decoders", Decoders)  # not those that other tests share
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


def test_what_the_user_gave_wrong_is_a_message_and_no_traceback(tmp_path: Path) -> None:
    done = srgan("degrade", str(tmp_path / "missing"), str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {tmp_path / 'missing'} does not exist\n"


def test_an_unknown_model_lists_what_there_is(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model 'lanczos'.*nearest, bilinear, bicubic"):
        upscale(photos, tmp_path / "large", model="lanczos")


def test_a_photo_is_upscaled_without_loading_what_only_services_need(
    photos: Path, tmp_path: Path
) -> None:
    """Each of them costs seconds."""
    program = (
        "import sys; from srgan.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "finally: print(sorted({'mlflow', 'ray', 'prefect', 'boto3', 'pyarrow', "
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
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
