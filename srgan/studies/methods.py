"""Methods of a study that compute: networks, and the anchors that every study of ratings has."""

from srgan.errors import ConfigError
from srgan.inference.engine import Engine
from srgan.models.base import Generator
from srgan.mos.ratings import LOW_ANCHOR, REFERENCE
from srgan.refs import ModelRef
from srgan.studies.create import Make, Pixels, Subject, nearest, original
from srgan.studies.design import Method

Methods = dict[str, tuple[Method, Make]]
"""Methods by name, in their order."""


def method_of(version: ModelRef, source: str) -> Method:
    """The method that a registered version is; `source` is the address that it was given by."""
    return Method(name=f"{version.name}/{version.version}", source=source, version=version)


def by_network(generator: Generator, address: str, scale: int) -> Make:
    """Make results with a network; `ConfigError` if it has another scale than the study."""
    if generator.scale != scale:
        raise ConfigError(
            f"--methods {address} has scale {generator.scale}, the study {scale}; see --scale"
        )
    engine = Engine(generator)  # in fp32, so that every machine makes the same pictures

    def make(subject: Subject) -> Pixels:
        return engine.upscale(subject.lr)

    return make


def with_anchors(methods: Methods, scale: int) -> Methods:
    """Add the low anchor and the hidden reference where they are missing."""
    anchors = {
        LOW_ANCHOR: (Method(name=LOW_ANCHOR, source=LOW_ANCHOR), nearest(scale)),
        REFERENCE: (Method(name=REFERENCE, source=REFERENCE), original),
    }
    return methods | {name: each for name, each in anchors.items() if name not in methods}
