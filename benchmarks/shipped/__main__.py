"""Train the generators that come with srgan, from photographs of Debian packages.

``python -m benchmarks.shipped PACKAGES`` takes up to three hours on two cores; a second call goes
on where the first was stopped. Without PACKAGES it prints the commands that get them. The model
card, ``srgan/models/shipped/card.md``, has the commands that measure the result.
"""

import argparse
import logging
import sys
from pathlib import Path

import torch

from benchmarks.quality.photos import claim, hold_out
from benchmarks.quality.training import Lab, train
from benchmarks.shipped.photos import credits_table, unpacked
from benchmarks.shipped.stages import TEACHER, plain, sharp
from srgan import models
from srgan.allocator import use_large_pages
from srgan.config.networks import PUBLISHED_WEIGHTS
from srgan.models.blending import blend
from srgan.models.interchange import dump_generator, load_generator
from srgan.models.shipped import SHIPPED
from srgan.settings import Settings
from srgan.versions.mirror_weights import fetch_named

_ALPHA = 0.6
"""Share of the GAN's result in ``shipped:sharp``; the rest is its start (Wang et al. 2018, section
3.4). The largest at which EfficientNet-Lite1, which did not teach it, likes photos that nobody
trained on as well as at any; the model card has the figures."""
_NUM_HELD = 3
"""Photos that no network is trained on; trainings are followed on them."""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shipped", description=__doc__)
    parser.add_argument("packages", type=Path, help="folder with the unpacked Debian packages")
    parser.add_argument("--out", type=Path, default=Path(".srgan/shipped"), help="for trainings")
    parser.add_argument("--threads", type=int, help="threads of torch; default: all cores")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if options.threads:
        torch.set_num_threads(options.threads)
    use_large_pages()
    options.out.mkdir(parents=True, exist_ok=True)
    photos, watched = hold_out(unpacked(options.packages), _NUM_HELD)
    claim(options.out, photos)
    published = PUBLISHED_WEIGHTS[TEACHER]
    weights = fetch_named(Settings(), published.source, digest=published.digest)
    lab = Lab(out=options.out, photos=photos, watched=watched, weights={TEACHER: weights})
    for contestant in (plain(), sharp()):
        train(lab, contestant)
    first, second = (load_generator(lab.generator(each)) for each in (plain(), sharp()))
    first.origin, second.origin = "plain", "sharp"
    shipped = (first, blend(first, second, _ALPHA))
    package = Path(models.__file__).parent / "shipped"
    for file, generator in zip(SHIPPED.values(), shipped, strict=True):
        (package / file).write_bytes(dump_generator(generator))
        print(f"wrote {package / file}")
    print(f"The model card has to name:\n\n{credits_table()}")


if __name__ == "__main__":
    main(sys.argv[1:])
