"""Perceptual networks as feature extractors, one file for each family of networks."""

from srgan.models.features.extractor import FeatureExtractor, load_calibration, load_extractor

__all__ = ["FeatureExtractor", "load_calibration", "load_extractor"]
