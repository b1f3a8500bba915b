"""A bulk run as flow and workers hold it: both stores open, the model and the settings.

Each process opens it once and passes it down.
"""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from srgan.config import UpscaleConfig
from srgan.refs import ModelRef, config_digest
from srgan.storage import Place

_LIMITS = ("max_pixels", "memory_bytes", "oversize", "salvage")
"""Settings that decide whether a source fails, and not what its output is."""


class UsedModel(BaseModel):
    """The version that a bulk run used."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    version: int


class BulkUse(BaseModel):
    """Fields of the spec of any bulk run, of this release or another, that say what it used."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: str
    source: str
    destination: str
    model: UsedModel


@dataclass(frozen=True, slots=True)
class Stamp:
    """Everything besides its source that an output depends on: one stamp gives the same pixels."""

    model: str
    config_digest: str


@dataclass(frozen=True, slots=True)
class BulkRun:
    """One run; passed to all that reads sources, or reads and writes outputs and records."""

    name: str
    """Name of the folder ``<destination>/_srgan/<name>/`` that holds the objects of the run."""
    source: Place
    destination: Place
    model: ModelRef
    config: UpscaleConfig
    trial: ModelRef | None = None
    """Version whose results the samples show beside those of `model`."""

    @property
    def stamp(self) -> Stamp:
        """The stamp of all outputs of the run."""
        return stamp_of(self.model, self.config)

    @property
    def limits(self) -> str:
        """Digest of the settings within which sources fail; empty if all are at their defaults."""
        default = UpscaleConfig()
        limits = {name: getattr(self.config, name) for name in _LIMITS}
        changed = {name: value for name, value in limits.items() if value != getattr(default, name)}
        return config_digest(changed) if changed else ""


def stamp_of(model: ModelRef, config: UpscaleConfig) -> Stamp:
    """Make a stamp of what decides the bytes of an output; tiles and batches do not.

    `oversize` decides where the bytes go; outputs that fit are the same with any. `salvage` only
    decides whether a JPEG that ends too early has an output. Options that came later count only if
    they are not at their defaults, so that outputs of earlier releases count.
    """
    default = UpscaleConfig()
    later = {name: getattr(config, name) for name in ("compression", "context", "self_ensemble")}
    changed = {name: value for name, value in later.items() if value != getattr(default, name)}
    return Stamp(
        model=f"{model.name}/{model.version}@{model.weights_digest[:16]}",
        config_digest=config_digest(
            config.output_format,
            config.jpeg_quality,
            config.jpeg_subsampling,
            config.precision,
            config.scale,
            config.size,
            *([changed] if changed else []),
        ),
    )
