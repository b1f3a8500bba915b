"""Networks of the package spandrel; it needs a torchvision that fits the installed torch."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, ConfigError
from srgan.inference.engine import Engine
from srgan.inference.reach import SHARE, reach_of
from srgan.models.adopted import Adopted
from srgan.models.foreign import read_import
from srgan.models.interchange import dump_generator, load_generator
from srgan.models.onnx_export import export_onnx
from tests.support.networks import random_generator
from tests.support.pixels import photo_of, to_pixels, whole_image

spandrel = pytest.importorskip("spandrel", exc_type=ImportError)


def drawn(network: nn.Module) -> nn.Module:
    """The network with weights that matter, so that nothing cancels."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.7 / parameter[0].numel() ** 0.5)
    return network.eval()


def swinir() -> nn.Module:
    """Attention in windows of 8 pixels, shifted in every other layer."""
    sizes = {"embed_dim": 12, "depths": [2, 2], "num_heads": [2, 2], "mlp_ratio": 2}
    network: nn.Module = spandrel.architectures.SwinIR.SwinIR(
        upscale=2, window_size=8, upsampler="pixelshuffledirect", img_size=16, **sizes
    )
    return drawn(network)


class RealESRGANx2(nn.Module):
    """RRDBNet on 2×2 pixels folded into channels, with the keys of Real-ESRGAN's ×2."""

    def __init__(self) -> None:
        super().__init__()
        self.network = random_generator(GeneratorConfig(kind="rrdbnet", num_blocks=1))
        self.network.conv_first = nn.Conv2d(12, 64, 3, padding=1)

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:
        return dict(self.network.state_dict())

    def forward(self, lr: Tensor) -> Tensor:
        folded = nn.functional.pixel_unshuffle(lr, 2)
        sr: Tensor = self.network.head(self.network.trunk(folded), lr)
        return (sr + 1) / 2


def span() -> nn.Module:
    network: nn.Module = spandrel.architectures.SPAN.SPAN(
        num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=4, norm=False
    )
    return drawn(network)


NETWORKS = {"swinir": swinir, "real_esrgan_x2": RealESRGANx2, "span": span}


def saved(state: Any) -> bytes:
    target = BytesIO()
    torch.save(state, target)
    return target.getvalue()


@pytest.mark.parametrize("name", NETWORKS)
def test_it_computes_what_the_network_does_and_is_saved_with_its_weights(name: str) -> None:
    network = NETWORKS[name]()
    imported = read_import(saved({"params_ema": network.state_dict()})).generator
    lr = torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        expected = 2 * network(lr).clamp(0, 1) - 1
        torch.testing.assert_close(imported(lr), expected)
        data = dump_generator(imported)
        torch.testing.assert_close(load_generator(data)(lr), expected)
    assert dump_generator(load_generator(data)) == data
    assert imported.config == GeneratorConfig(kind="spandrel", scale=imported.scale)


def test_sides_that_a_network_does_not_take_are_padded() -> None:
    imported = read_import(saved(RealESRGANx2().state_dict())).generator
    assert imported(torch.rand(1, 3, 7, 5)).shape == (1, 3, 14, 10)


def test_the_format_names_the_architecture() -> None:
    assert read_import(saved(span().state_dict())).format == "SPAN by spandrel, torch.save"


@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_equal_the_whole_image_within_the_bound(name: str) -> None:
    imported = read_import(saved(NETWORKS[name]().state_dict())).generator
    image = photo_of(150, 460)
    whole = to_pixels(whole_image(imported, image)).astype(int)
    engine = Engine(imported, tile=144, device="cpu", precision="auto")
    assert engine._reach.total < 150
    difference = np.abs(engine.upscale(image).astype(int) - whole)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= SHARE


def test_only_networks_with_windows_keep_their_tiles_at_multiples() -> None:
    steps = {
        name: reach_of(read_import(saved(make().state_dict())).generator).step
        for name, make in NETWORKS.items()
    }
    assert steps == {"swinir": 96, "real_esrgan_x2": 96, "span": 1}


def test_weights_of_our_own_networks_do_not_need_it() -> None:
    network = spandrel.architectures.Compact.Compact(num_feat=8, num_conv=2, upscale=2)
    assert not isinstance(read_import(saved(network.state_dict())).generator, Adopted)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a.weight": torch.zeros(2)}, "unknown keys: a.weight; .*; spandrel does not know"),
        ({**span().state_dict(), "conv_1.sk.bias": torch.full((8,), torch.nan)}, "NaN"),
    ],
)
def test_what_it_does_not_know_is_refused(state: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_import(saved(state))


def test_it_is_not_written_as_onnx(tmp_path: Path) -> None:
    imported = read_import(saved(span().state_dict())).generator
    with pytest.raises(ConfigError, match="SPAN of spandrel cannot be written as ONNX"):
        export_onnx(imported, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_context_is_asked_for_if_the_network_sees_everything() -> None:
    network = spandrel.architectures.RCAN.RCAN(
        scale=2, n_resgroups=1, n_resblocks=1, n_feats=8, reduction=2
    )
    imported = read_import(saved(drawn(network).state_dict())).generator
    with pytest.raises(ConfigError, match="choose their context with --context"):
        Engine(imported, device="cpu")
    assert Engine(imported, context=16, device="cpu").upscale(photo_of(20, 20)).shape == (40, 40, 3)
