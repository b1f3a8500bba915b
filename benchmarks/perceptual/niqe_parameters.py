"""Compute the parameters of NIQE from free photographs: ``niqe_parameters.py FOLDER RESULT.npz``.

FOLDER holds the files of Debian's packages lomiri-wallpapers-16.04 and lomiri-wallpapers-20.04::

    apt-get download lomiri-wallpapers-16.04 lomiri-wallpapers-20.04
    for package in lomiri-*.deb; do dpkg -x $package FOLDER; done

The others in them are drawings. docs/perceptual.md names the photographers and licences.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np

from srgan.images import decode_in_8_bits
from srgan.measure.niqe import block_features, statistics_of
from srgan.resize.arrays import resample

PHOTOS = (
    "Bridge_by_Sander_Klootwijk.jpg",
    "Dragonfly_by_Bolly.jpg",
    "Kleiber_by_Lukas_Baubkus.jpg",
    "Picture_0B_by_freespace.jpg",
    "Picture_1A_by_freespace.jpg",
    "Wine_by_Jakkub_Mede.jpg",
    "aitzgorri_by_Aitzol_Berasategi.jpg",
    "friends_by_Aitzol_Berasategi.jpg",
    "greentock_by_Peter_Nerlich.jpg",
    "life_by_Aitzol_Berasategi.jpg",
    "picosdeeuropa_by_Aitzol_Berasategi.jpg",
    "seeding_by_Clements_Engelhardt.jpg",
    "sunset_by_Aitzol_Berasategi.jpg",
)
SHORT_SIDE = 1080  # shrinking takes away the softness and noise of the camera's own pixels
LEAST_SHARPNESS = 0.5  # of the sharpest block of a photo; 0.75 in the paper leaves too few here


def features_of(path: Path) -> np.ndarray:
    photo = decode_in_8_bits(path.read_bytes(), max_pixels=200_000_000).rgb
    shrink = SHORT_SIDE / min(photo.shape[:2])
    height, width = (round(side * shrink) for side in photo.shape[:2])
    return block_features(resample(photo, height, width), least_sharpness=LEAST_SHARPNESS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the unpacked packages")
    parser.add_argument("result", type=Path, help="the parameter file, .npz")
    arguments = parser.parse_args()
    features = []
    for name in PHOTOS:
        (path,) = arguments.folder.rglob(name)
        features.append(features_of(path))
        print(f"{name}: {len(features[-1])} blocks", flush=True)
    mean, covariance = statistics_of(np.concatenate(features))
    np.savez(arguments.result, mean=mean, covariance=covariance)
    data = arguments.result.read_bytes()
    print(f"{len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
