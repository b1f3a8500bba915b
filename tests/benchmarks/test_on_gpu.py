"""The script for a GPU, run whole on a CPU: every part says what it found."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.on_gpu import __main__ as script
from benchmarks.on_gpu import steps
from srgan.config import FeatureContentConfig
from srgan.errors import ConfigError
from tests.support.perceptual_weights import drawn_weights
from tests.support.photos import DrawPhoto

PARTS = [
    r"loader, batches of 4 patches of 96²: \d+ patches/s, \d+ MB/s",
    r"upscaling 320×320, SRResNet, fp32: \d+\.\d output MP/s",
    r"upscaling 320×320, SRResNet, auto: \d+\.\d output MP/s",
    r"upscaling 320×320, a free network \(nearest\): \d+\.\d output MP/s",
    r"JPEG files of 640×480 to JPEG, \d+ CPUs: \d+\.\d files/s, \d+\.\d output MP/s",
    r"auto against fp32: (\d+\.\d|inf) dB, the worst photo of Set5 \(10\)",
    r"memory fallback: the tile went from 320 to 160; 0 of 4,915,200 values differ",
    r"gloo, one rank, SRResNet: \d+\.\d MB all-reduced in \d+\.\d\d ms",
    r"gloo, one rank, forward and backward of SRResNet: \d+\.\d\d ms with DDP",
    r"degradation bicubic, 4 patches of \d+²: \d+ patches/s",
    r"degradation real_x4, 4 patches of \d+²: \d+ patches/s",
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


def test_each_compiled_stage_is_compiled_as_if_it_were_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resets: list[str] = []
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append("reset"))
    monkeypatch.setattr(torch, "compile", lambda network, dynamic: network)
    compiled = [changes for changes in steps.SETTINGS.values() if changes.get("compile")]
    monkeypatch.setattr(steps, "vgg16", lambda: (_ for _ in ()).throw(ConfigError("left out")))
    size = replace(steps.TINY, compiles=True, warm_s=0.01, timed_s=0.01)
    steps.measure_steps(torch.device("cpu"), size)
    assert len(resets) == len(compiled) == 2


def test_without_a_gpu_it_says_how_to_try_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script.main(["photos", "sets", "--device", "cuda"])
    assert "--tiny --device cpu only shows that the script runs" in capsys.readouterr().err
