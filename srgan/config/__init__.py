"""Frozen run configs. Unknown keys and contradictions are refused at submit."""

from srgan.config.base import Config, Name, Positive, Scale
from srgan.config.data import DataConfig, SetConfig
from srgan.config.degradation import (
    DegradationConfig,
    KernelConfig,
    NoiseConfig,
    ResizeConfig,
    RoundConfig,
    SecondOrderConfig,
)
from srgan.config.generator import DiscriminatorConfig, GeneratorConfig
from srgan.config.recipe import GateConfig, GrowthConfig, Recipe, RetrainConfig
from srgan.config.stages import (
    AdversarialConfig,
    ContentLossConfig,
    FeatureContentConfig,
    LearningRate,
    MseContentConfig,
    PretrainConfig,
    StageConfig,
    deciding,
)
from srgan.config.upscale import UpscaleConfig
from srgan.refs import Gpu

__all__ = [
    "AdversarialConfig",
    "Config",
    "ContentLossConfig",
    "DataConfig",
    "DegradationConfig",
    "DiscriminatorConfig",
    "FeatureContentConfig",
    "GateConfig",
    "GeneratorConfig",
    "Gpu",
    "GrowthConfig",
    "KernelConfig",
    "LearningRate",
    "MseContentConfig",
    "Name",
    "NoiseConfig",
    "Positive",
    "PretrainConfig",
    "Recipe",
    "ResizeConfig",
    "RetrainConfig",
    "RoundConfig",
    "Scale",
    "SecondOrderConfig",
    "SetConfig",
    "StageConfig",
    "UpscaleConfig",
    "deciding",
]
