"""How LR images are made: bicubic, and the damage that photographs collect on their way."""

import math
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from srgan.config.base import Config

Chance = Annotated[float, Field(ge=0, le=1)]
KernelShape = Literal[
    "isotropic",
    "anisotropic",
    "generalised_isotropic",
    "generalised_anisotropic",
    "plateau_isotropic",
    "plateau_anisotropic",
    "sinc",
]

_BICUBIC_REACH = 2  # LR pixels
_BLUR_REACH = 3  # deviations: beyond them a Gaussian has 0.3 % of its weight
_RESIZE_REACH = 2.5  # pixels before resizing, from the border of one to the border of another
_MAX_SIDE = 31
_PUBLISHED_SHAPES: dict[KernelShape, float] = {
    "isotropic": 0.405,
    "anisotropic": 0.225,
    "generalised_isotropic": 0.108,
    "generalised_anisotropic": 0.027,
    "plateau_isotropic": 0.108,
    "plateau_anisotropic": 0.027,
    "sinc": 0.1,
}
"""A sinc filter for one patch in ten, else the code's 45, 25, 12, 3, 12 and 3 per cent."""


def _check_range(name: str, drawn: tuple[float, float], least: float, most: float) -> None:
    if not least <= drawn[0] <= drawn[1] <= most:
        raise ValueError(f"{name} {drawn} is not a range (lowest, highest) within {least}–{most}")


def _check_sides(name: str, sides: tuple[int, int]) -> None:
    _check_range(name, sides, 3, _MAX_SIDE)
    if any(side % 2 == 0 for side in sides):
        raise ValueError(f"{name} {sides} are not odd: a kernel needs a pixel in its middle")


def reach(
    scale: int, sides: tuple[int, int, int], factors: tuple[float | None, float | None]
) -> int:
    """HR pixels on each side of a patch that second-order kernels and resizing use.

    `sides` are those of the kernels of both rounds and of the sinc filter, 1 for none; `factors`
    those of both rounds, None for rounds without resizing. A multiple of `scale`. JPEG is not
    counted: its blocks at the border are filled up as in every file.
    """
    first, second = factors
    total, pixel = float(sides[0] // 2), 1.0  # `pixel`: side of a pixel so far, in HR pixels
    if first is not None:
        total, pixel = total + _RESIZE_REACH * pixel, 1 / first
    total += sides[1] // 2 * pixel
    if second is not None:
        total, pixel = total + _RESIZE_REACH * pixel, scale / second
    total += _BICUBIC_REACH * scale if factors == (None, None) else _RESIZE_REACH * pixel
    total += sides[2] // 2 * scale
    return scale * math.ceil(max(total / scale, _BICUBIC_REACH) - 1e-9)


class KernelConfig(Config):
    """Blur kernels of one round, drawn again for each patch. Defaults as published."""

    sides: tuple[int, int] = (7, 21)
    """Smallest and largest side in pixels; both odd, and only odd ones are drawn."""
    sigma: tuple[float, float] = (0.2, 3.0)
    """Deviation in pixels along each axis of a kernel."""
    shapes: dict[KernelShape, Chance] = _PUBLISHED_SHAPES
    """Probability of each shape; together 1."""
    generalised_beta: tuple[float, float] = (0.5, 4.0)
    """Exponent of generalised Gaussians: 1 is a Gaussian, more is flatter in the middle."""
    plateau_beta: tuple[float, float] = (1.0, 2.0)
    """Exponent of plateau-shaped kernels."""

    @field_validator("shapes")
    @classmethod
    def _in_one_order(cls, given: dict[KernelShape, float]) -> dict[KernelShape, float]:
        # What is drawn depends on the order, and JSON may come back with another.
        return {shape: given[shape] for shape in get_args(KernelShape) if shape in given}

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_sides("sides", self.sides)
        _check_range("sigma", self.sigma, 0.01, 8)
        _check_range("generalised_beta", self.generalised_beta, 0.1, 8)
        _check_range("plateau_beta", self.plateau_beta, 0.1, 8)
        total = sum(self.shapes.values())
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise ValueError(f"shapes have probabilities of {total:g} together instead of 1")
        return self


class ResizeConfig(Config):
    """Resizing of one round by area, bilinear or bicubic, each as likely. Defaults as published.

    Neither bilinear nor bicubic smooths first, as in OpenCV and in the published code.
    """

    up: Chance = 0.2
    """Probability that the factor is above 1."""
    down: Chance = 0.7
    """Probability that the factor is below 1; the rest keeps the size."""
    factors: tuple[float, float] = (0.15, 1.5)
    """Smallest and largest factor; 1 lies between them."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.up + self.down > 1 + 1e-6:
            raise ValueError(f"up {self.up} and down {self.down} are more than 1 together")
        least, most = self.factors
        if not 0.05 <= least <= 1 <= most <= 4:
            raise ValueError(f"factors {self.factors} is not a range within 0.05–4 around 1")
        return self


class NoiseConfig(Config):
    """Noise of one round, on every patch. Defaults as published."""

    gaussian: Chance = 0.5
    """Probability of Gaussian noise; the rest is Poisson noise."""
    sigma: tuple[float, float] = (1.0, 30.0)
    """Deviation of Gaussian noise in levels of 255."""
    poisson_scale: tuple[float, float] = (0.05, 3.0)
    """Factor on Poisson noise, whose variance is its square times the level (0–255)."""
    gray: Chance = 0.4
    """Probability that all channels get the same noise."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range("sigma", self.sigma, 0, 100)
        _check_range("poisson_scale", self.poisson_scale, 0, 10)
        return self


class RoundConfig(Config):
    """One round of damage: blur, resize, noise, JPEG. None leaves a step out."""

    blur_chance: Chance = 1.0
    """Probability that a patch is blurred."""
    blur: KernelConfig | None = KernelConfig()
    """Blur kernels."""
    resize: ResizeConfig | None = ResizeConfig()
    """Resizing."""
    noise: NoiseConfig | None = NoiseConfig()
    """Noise."""
    jpeg_quality: tuple[int, int] | None = (30, 95)
    """JPEG compression, 1–100."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.jpeg_quality is not None:
            _check_range("jpeg_quality", self.jpeg_quality, 1, 100)
        return self

    @property
    def widest_blur(self) -> int:
        """Side of the largest kernel that can be drawn; 1 for none."""
        return self.blur.sides[1] if self.blur and self.blur_chance else 1

    @property
    def smallest_factor(self) -> float | None:
        """Smallest factor that can be drawn; None if nothing is resized."""
        if self.resize is None:
            return None
        return self.resize.factors[0] if self.resize.down else 1.0


class SecondOrderConfig(Config):
    """Real-ESRGAN's degradation (Wang et al. 2021, section 3): two rounds and a sinc filter.

    Factors of the first round are relative to HR, those of the second to LR. The second round's
    JPEG comes after its last resizing, to LR, or before it, equally often. The defaults are those
    of the published ×4 model, which was trained on crops of 400 pixels.
    """

    first: RoundConfig = RoundConfig()
    """First round of damage, from HR."""
    second: RoundConfig = RoundConfig(
        blur_chance=0.8,
        blur=KernelConfig(sigma=(0.2, 1.5)),
        resize=ResizeConfig(up=0.3, down=0.4, factors=(0.3, 1.2)),
        noise=NoiseConfig(sigma=(1.0, 25.0), poisson_scale=(0.05, 2.5)),
    )
    """Second round of damage, to LR."""
    sinc_chance: Chance = 0.8
    """Probability of a sinc filter on the LR image, the ringing of sharpened photos."""
    sinc_sides: tuple[int, int] = (7, 21)
    """Smallest and largest side of that filter in LR pixels, odd."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_sides("sinc_sides", self.sinc_sides)
        return self

    def margin(self, scale: int) -> int:
        """`reach` of the widest kernels and the smallest factors that can be drawn."""
        first, second = self.first, self.second
        sinc = self.sinc_sides[1] if self.sinc_chance else 1
        return reach(
            scale,
            (first.widest_blur, second.widest_blur, sinc),
            (first.smallest_factor, second.smallest_factor),
        )


class DegradationConfig(Config):
    """How LR images are made for training: bicubic, plus the damage that real photographs have.

    Every range is (lowest, highest), drawn again for each patch; None leaves that step out.
    """

    blur_sigma: tuple[float, float] | None = None
    """Gaussian blur before subsampling (section 2), σ in HR pixels."""
    noise_sigma: tuple[float, float] | None = None
    """Gaussian noise on the LR image, σ in levels of 255, independent per channel."""
    jpeg_quality: tuple[int, int] | None = None
    """JPEG compression of the LR image with its colours at half resolution, 1–100."""
    second_order: SecondOrderConfig | None = None
    """Two rounds of damage, instead of the three ranges above."""

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        limits = {"blur_sigma": (0, 8), "noise_sigma": (0, 100), "jpeg_quality": (1, 100)}
        for name, (least, most) in limits.items():
            drawn = getattr(self, name)
            if drawn is None:
                continue
            if self.second_order:
                raise ValueError(f"{name} and second_order exclude each other; leave one out")
            _check_range(name, drawn, least, most)
        return self

    def blur_margin(self, scale: int) -> int:
        """HR pixels on each side that the widest `blur_sigma` needs, a multiple of `scale`."""
        reach = _BLUR_REACH * self.blur_sigma[1] if self.blur_sigma else 0
        return scale * math.ceil(reach / scale)

    def margin(self, scale: int) -> int:
        """HR pixels that a training window has on each side of its patch."""
        if self.second_order:
            return self.second_order.margin(scale)
        return _BICUBIC_REACH * scale + self.blur_margin(scale)
