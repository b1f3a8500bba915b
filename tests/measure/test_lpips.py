"""LPIPS from torchmetrics; tests that need the extra are skipped without it."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from srgan.errors import CheckpointError, ConfigError
from srgan.measure import lpips
from srgan.measure.lpips import LPIPS, MIN_SIDE

Pixels = NDArray[np.uint8]
CPU = torch.device("cpu")
WEIGHTS = "alexnet-owt-7be5be79.pth"


def has_extra() -> bool:
    return all(importlib.util.find_spec(name) for name in ("torchmetrics", "torchvision"))


@pytest.mark.skipif(has_extra(), reason="srgan[lpips] is installed")
def test_without_the_extra_the_error_names_it() -> None:
    with pytest.raises(ConfigError, match=r"needs more packages .*pip install -e '\.\[lpips\]'"):
        LPIPS(device=CPU)


@pytest.mark.parametrize("package", ["torchmetrics.image.lpip", "torchvision"])
def test_a_package_that_python_is_told_is_missing_is_an_error_that_names_the_extra(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r"pip install -e '\.\[lpips\]'"):
        LPIPS(device=CPU)


def test_weights_that_cannot_be_fetched_are_an_error_that_says_where_they_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchmetrics")
    pytest.importorskip("torchvision")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(CheckpointError, match=rf"{WEIGHTS} into {tmp_path}/checkpoints"):
        LPIPS(device=CPU)


def test_it_is_computed_in_ieee_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    class Metric(torch.nn.Module):
        def forward(self, hr: torch.Tensor, sr: torch.Tensor) -> torch.Tensor:
            assert torch.backends.cudnn.conv.fp32_precision == "ieee"
            return (hr - sr).mean()

    monkeypatch.setattr(lpips, "_load_metric", Metric)
    assert LPIPS(device=CPU)(*np.zeros((2, 40, 40, 3), np.uint8), border=0) == 0


@pytest.fixture(scope="module")
def on_drawn_weights(tmp_path_factory: pytest.TempPathFactory) -> LPIPS:
    """LPIPS whose AlexNet is drawn from a seed and lies where torchvision's would."""
    pytest.importorskip("torchmetrics")
    torchvision = pytest.importorskip("torchvision")
    folder = tmp_path_factory.mktemp("hub")
    (folder / "checkpoints").mkdir()
    torch.manual_seed(0)
    torch.save(
        torchvision.models.alexnet(weights=None).state_dict(), folder / "checkpoints" / WEIGHTS
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.hub, "_hub_dir", str(folder))
        return LPIPS(device=CPU)


def test_identical_images_have_distance_zero_and_noise_adds_to_it(
    on_drawn_weights: LPIPS, draw_photo: Callable[..., Pixels]
) -> None:
    hr = draw_photo(1, 64, 72)
    noise = np.random.default_rng(0).integers(-40, 41, hr.shape)
    noisy = np.clip(hr.astype(int) + noise, 0, 255).astype(np.uint8)
    little = np.clip(hr.astype(int) + noise // 8, 0, 255).astype(np.uint8)
    distances = [on_drawn_weights(hr, sr, border=4) for sr in (hr, little, noisy)]
    assert distances[0] == 0
    assert distances[0] < distances[1] < distances[2]


def test_it_is_torchmetrics_distance_of_images_without_the_border(
    on_drawn_weights: LPIPS, draw_photo: Callable[..., Pixels]
) -> None:
    hr, sr = draw_photo(1, 48, 56), draw_photo(2, 48, 56)
    as_tensors = [
        torch.from_numpy(np.ascontiguousarray(each[4:-4, 4:-4])).permute(2, 0, 1)[None] / 127.5 - 1
        for each in (hr, sr)
    ]
    expected = float(on_drawn_weights._metric.net(*as_tensors))
    assert on_drawn_weights(hr, sr, border=4) == pytest.approx(expected, rel=1e-5)


def test_the_smallest_image_is_measured_and_a_smaller_one_refused(
    on_drawn_weights: LPIPS, draw_photo: Callable[..., Pixels]
) -> None:
    hr, sr = draw_photo(1, MIN_SIDE, MIN_SIDE)[:, :, 0], draw_photo(2, MIN_SIDE, MIN_SIDE)[:, :, 0]
    assert on_drawn_weights(hr, sr, border=0) > 0
    with pytest.raises(ValueError, match=f"needs {MIN_SIDE} pixels a side"):
        on_drawn_weights(hr[1:], sr[1:], border=0)
