"""The script for a GPU, run whole on a CPU: every part says what it found."""

import re
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.on_gpu import __main__ as script
from benchmarks.on_gpu import steps
from srgan.config import FeatureContentConfig
from tests.support.perceptual_weights import drawn_weights
from tests.support.photos import DrawPhoto

PARTS = [
    r"loader, batches of 4 patches of 96²: \d+ patches/s, \d+ MB/s",
    r"upscaling 320×320, SRResNet, fp32: \d+\.\d output MP/s",
    r"upscaling 320×320, SRResNet, auto: \d+\.\d output MP/s",
    r"upscaling 320×320, a free network \(nearest\): \d+\.\d output MP/s",
    r"auto against fp32: (\d+\.\d|inf) dB, the worst photo of Set5 \(10\)",
    r"memory fallback: the tile went from 320 to 160; 0 of 4,915,200 values differ",
    r"gloo, one rank, SRResNet: \d+\.\d MB all-reduced in \d+\.\d\d ms",
    r"gloo, one rank, forward and backward of SRResNet: \d+\.\d\d ms with DDP",
    r"SRResNet-MSE, fp32, batch 1: \d+\.\d steps/s",
    r"SRGAN-VGG16-53, bf16, batch 1: \d+\.\d steps/s",
    r"SRResNet-MSE, \d+ steps of 4 patches in \d+ s .*: \d+\.\d\d dB on Set5",
    r"all: \d+ s",
]


def test_every_part_runs_and_says_what_it_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    draw_photo: DrawPhoto,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos, hr = tmp_path / "photos", tmp_path / "Set5" / "HR"
    for folder, seeds, side in ((photos, range(2), 384), (hr, range(10, 11), 96)):
        folder.mkdir(parents=True)
        for seed in seeds:
            Image.fromarray(draw_photo(seed, height=side, width=side)).save(folder / f"{seed}.png")
    content = FeatureContentConfig(
        network="squeezenet1_1", layer="fire5", feature_scale=0.1, weights="0" * 8
    )
    monkeypatch.setattr(steps, "vgg16", lambda: (drawn_weights(), content))
    monkeypatch.setattr(script, "_TINY_S", 0.2)
    script.main([str(photos), str(tmp_path), "--tiny", "--device", "cpu"])
    said = capsys.readouterr().out
    for part in PARTS:
        assert re.search(part, said), f"{part} is not in:\n{said}"


def test_without_a_gpu_it_says_how_to_try_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script.main(["photos", "sets", "--device", "cuda"])
    assert "--tiny --device cpu only shows that the script runs" in capsys.readouterr().err
