"""Compute the feature scale that each layer needs: ``feature_scale.py NETWORK WEIGHTS PHOTOS``.

Bicubic ×4 against the original on crops of real photos: the scale at which the loss on the
layer's features is as large as the MSE of the pixels in [−1, 1]. Beside it stands the scale on the
drawn images with which `srgan weights mirror` measures it.
"""

import argparse
from pathlib import Path

from torch import Tensor

from srgan.config.networks import FEATURE_LAYERS
from srgan.images import decode_in_8_bits
from srgan.models.feature_scale import drawn_pairs, measure_scales, pair_of
from srgan.models.features import load_extractor

SIDE, MAX_PHOTOS = 192, 100


def pair(data: bytes) -> Tensor | None:
    """Cut original and bicubic (2, 3, SIDE, SIDE) in [−1, 1]; None if the photo is too small."""
    photo = decode_in_8_bits(data, max_pixels=200_000_000).rgb
    top, left = ((side - SIDE) // 2 for side in photo.shape[:2])
    if min(top, left) < 0:
        return None
    return pair_of(photo[top : top + SIDE, left : left + SIDE])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=FEATURE_LAYERS)
    parser.add_argument("weights", type=Path, help="the network's weights file")
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--most", type=int, default=MAX_PHOTOS, help="number of photos")
    arguments = parser.parse_args()
    layers = FEATURE_LAYERS[arguments.network]
    extractor = load_extractor(arguments.weights.read_bytes(), arguments.network, layers)
    paths = sorted(path for path in arguments.photos.iterdir() if path.is_file())
    pairs = [pair(path.read_bytes()) for path in paths[:: -(-len(paths) // arguments.most)]]
    whole = [each for each in pairs if each is not None]
    on_photos = measure_scales(extractor, whole)
    on_drawn = measure_scales(extractor, drawn_pairs())
    print(f"{len(whole)} photos; scales at which features weigh as much as pixels")
    for layer in on_photos:
        print(f"{layer:<8} photos 1/{1 / on_photos[layer]:.1f}   drawn 1/{1 / on_drawn[layer]:.1f}")


if __name__ == "__main__":
    main()
