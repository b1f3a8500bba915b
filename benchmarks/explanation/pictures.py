"""Pictures of a photograph: equal errors that look different, and what layers see of errors.

The photograph is ``chelsea.png`` of scikit-image, by Stefan van der Walt, CC0.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import srgan
from srgan.config.networks import PUBLISHED_WEIGHTS, FeatureNetwork
from srgan.demo.photos import shipped_photos
from srgan.images.files import read_photo
from srgan.images.strip import stack, strip
from srgan.measure.metrics import psnr, ssim
from srgan.measure.niqe import Naturalness
from srgan.measure.perceptual import PerceptualDistance, image_pair
from srgan.models.features import FeatureExtractor, load_extractor
from srgan.resize.arrays import imresize
from srgan.settings import Settings
from srgan.versions.mirror_weights import fetch

Pixels = NDArray[np.uint8]

_PHOTO = "chelsea.png"
_SCALE = 4
_WINDOW = np.s_[64:208, 100:244]
"""The part of the photo that is shown."""
_LAYERS = ("block1", "block5")
_HALVINGS = 24


class Changed(NamedTuple):
    """A changed photo and its figures."""

    name: str
    image: Pixels
    psnr: float
    ssim: float
    distance: float
    """By EfficientNet-Lite1."""
    niqe: float


def photo() -> Pixels:
    """The photograph, uint8 (H, W, 3), cut to sides that the scale divides."""
    rgb = read_photo(shipped_photos()[_PHOTO]).rgb
    height, width = (side - side % _SCALE for side in rgb.shape[:2])
    return np.ascontiguousarray(rgb[:height, :width])


def equal_errors() -> list[Changed]:
    """Changes of the photo, each made so strong that its PSNR is that of bicubic ×4."""
    hr = photo()
    bicubic = imresize(imresize(hr, scale=1 / _SCALE), scale=_SCALE)
    goal = psnr(hr, bicubic)
    random = np.random.default_rng(0)
    noise = random.standard_normal(hr.shape)
    columns = np.broadcast_to((np.arange(hr.shape[1]) // 2 % 2 * 2 - 1)[None, :, None], hr.shape)
    changes: dict[str, Callable[[float], NDArray[np.floating]]] = {
        "brighter": lambda by: np.full(hr.shape, by),
        "noise": lambda by: noise * by,
        "lines": lambda by: columns * by,
        "moved": lambda by: _moved(hr, by / 32) - hr,
    }
    found = {"original": hr, "bicubic": bicubic}
    for name, change in changes.items():
        found[name] = _tuned(hr, change, goal)
    judge = _judge("efficientnet_lite1")
    natural = Naturalness()
    return [
        Changed(
            name,
            image,
            psnr(hr, image),
            ssim(hr, image),
            judge(hr, image, border=_SCALE),
            natural(hr, image, border=_SCALE),
        )
        for name, image in found.items()
    ]


def picture_of_equal_errors(changed: Sequence[Changed]) -> bytes:
    """A strip of the same window of each."""
    return strip([(each.name, each.image[_WINDOW]) for each in changed])


def _tuned(hr: Pixels, change: Callable[[float], NDArray[np.floating]], goal: float) -> Pixels:
    """The photo changed so strongly that its PSNR is `goal`, found by halving."""
    low, high = 0.0, 64.0
    image = hr
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        image = np.clip(hr + change(middle), 0, 255).round().astype(np.uint8)
        low, high = (middle, high) if psnr(hr, image) > goal else (low, middle)
    return image


def _moved(image: Pixels, by: float) -> NDArray[np.float64]:
    """The photo moved to the right by a part of a pixel or more, between pixels linearly."""
    whole = int(by)
    one, other = (np.roll(image.astype(np.float64), whole + each, axis=1) for each in (0, 1))
    return one + (by - whole) * (other - one)


def errors_of_layers() -> tuple[bytes, dict[str, dict[str, float]]]:
    """A picture of where results differ from the original, in pixels and in features.

    Also the mean square errors by result; those of features are scaled as a content loss.
    """
    hr = photo()
    lr = imresize(hr, scale=1 / _SCALE)
    extractor = _extractor("efficientnet_lite0", _LAYERS)
    rows, means = list[bytes](), dict[str, dict[str, float]]()
    brightest: dict[str, float] = {}
    for model in ("bicubic", "shipped", "shipped:sharp"):
        sr = np.asarray(srgan.upscale(lr, model))
        maps = {"pixels": _of_pixels(hr, sr), **_of_features(extractor, hr, sr)}
        means[model] = {name: float(each.mean()) for name, each in maps.items()}
        # Bicubic's errors, which come first, say how bright those of all rows are.
        brightest = brightest or {
            name: float(np.quantile(each, 0.99)) for name, each in maps.items()
        }
        shown = [(model, sr[_WINDOW])]
        shown += [(name, _grey(each[_WINDOW] / brightest[name])) for name, each in maps.items()]
        rows.append(strip(shown))
    return stack(rows), means


def _of_pixels(hr: Pixels, sr: Pixels) -> NDArray[np.float64]:
    one, other = image_pair(hr, sr, 0).double().numpy()
    found: NDArray[np.float64] = np.square(one - other).mean(axis=0)
    return found


def _of_features(
    extractor: FeatureExtractor, hr: Pixels, sr: Pixels
) -> dict[str, NDArray[np.float64]]:
    """Square error of each layer at each pixel, (H, W)."""
    with torch.inference_mode():
        layers = extractor(image_pair(hr, sr, 0))
    found = {}
    for name, features in zip(extractor.layers, layers, strict=True):
        errors = (features[0] - features[1]).square().mean(dim=0)
        large = torch.nn.functional.interpolate(errors[None, None], size=hr.shape[:2])
        found[name] = large[0, 0].double().numpy()
    return found


def _grey(errors: NDArray[np.float64]) -> Pixels:
    """Errors from 0 to 1 and above as gray, uint8 (H, W, 3)."""
    grey = np.clip(errors, 0, 1) ** 0.5 * 255
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)


def _weights(network: FeatureNetwork) -> bytes:
    return fetch(Settings(), PUBLISHED_WEIGHTS[network].source)


def _judge(network: FeatureNetwork) -> PerceptualDistance:
    return PerceptualDistance(network, _weights(network), device=torch.device("cpu"))


def _extractor(network: FeatureNetwork, layers: Sequence[str]) -> FeatureExtractor:
    return load_extractor(_weights(network), network, layers)
