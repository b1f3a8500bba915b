"""Compute the feature scale that each layer needs: ``feature_scale.py NETWORK WEIGHTS PHOTOS``.

Bicubic ×4 against the original on crops of real photos: the scale at which the loss on the
layer's features is as large as the MSE of the pixels in [−1, 1].
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from srgan.config.networks import FEATURE_LAYERS
from srgan.images import decode_in_8_bits
from srgan.models.features import load_extractor
from srgan.resize.arrays import imresize

SCALE, SIDE, MAX_PHOTOS = 4, 192, 100


def pair(data: bytes) -> Tensor | None:
    """Cut original and bicubic (2, 3, SIDE, SIDE) in [−1, 1]; None if the photo is too small."""
    photo = decode_in_8_bits(data, max_pixels=200_000_000).rgb
    top, left = ((side - SIDE) // 2 for side in photo.shape[:2])
    if min(top, left) < 0:
        return None
    hr = photo[top : top + SIDE, left : left + SIDE]
    bicubic = imresize(imresize(hr, scale=1 / SCALE), scale=SCALE)
    return torch.from_numpy(np.stack([hr, bicubic])).permute(0, 3, 1, 2).float() / 127.5 - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=FEATURE_LAYERS)
    parser.add_argument("weights", type=Path, help="the network's weights file")
    parser.add_argument("photos", type=Path, help="folder of photos")
    arguments = parser.parse_args()
    layers = FEATURE_LAYERS[arguments.network]
    extractor = load_extractor(arguments.weights.read_bytes(), arguments.network, layers)
    paths = sorted(path for path in arguments.photos.iterdir() if path.is_file())
    chosen = paths[:: -(-len(paths) // MAX_PHOTOS)]
    errors: list[list[float]] = []
    for path in chosen:
        images = pair(path.read_bytes())
        if images is not None:
            with torch.no_grad():
                both = [images, *extractor(images)]
            errors.append([float((one - other).square().mean()) for one, other in both])
    pixels, *features = np.mean(errors, axis=0)
    print(f"{len(errors)} photos, MSE of the pixels in [−1, 1]: {pixels:.5f}")
    for layer, error in zip(layers, features, strict=True):
        print(
            f"{layer:<8} MSE of the features {error:10.2f}   scale 1/{(error / pixels) ** 0.5:.1f}"
        )


if __name__ == "__main__":
    main()
