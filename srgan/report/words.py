"""Names, figures and times of a report in words."""

from srgan.evaluate.report import TITLES
from srgan.evaluate.spec import CHAMPION, MODEL
from srgan.report.content import Content

OPINION = "mos"
"""Mean opinion score, beside the figures that are measured."""
_NAMES = {"psnr": "PSNR", "ssim": "SSIM", OPINION: "Mean opinion score"}
_UNITS = {"psnr": " dB"}
_DIGITS = {"psnr": 2, OPINION: 2}


def title_of(content: Content, method: str) -> str:
    """``Champion (version 3)``: what a contestant is called on the page."""
    if method == MODEL:
        return f"Version {content.decision.challenger}"
    if method == CHAMPION:
        before = content.decision.champion_before
        return f"Champion (version {before})" if before else "Champion"
    return TITLES.get(method, method.capitalize())


def figure_name(figure: str) -> str:
    """``squeezenet_distance`` → ``SqueezeNet distance``, for people."""
    words = _NAMES.get(figure) or figure.replace("_", " ")
    return words.replace("squeezenet", "SqueezeNet").replace("vgg19", "VGG19")


def figure_head(figure: str) -> str:
    """The name with an arrow where lower is better."""
    return figure_name(figure) + ("" if rises(figure) else "\N{NO-BREAK SPACE}↓")


def rises(figure: str) -> bool:
    """Whether higher is better; of distances lower is."""
    return figure in _NAMES


def better(figure: str, difference: float) -> bool:
    """Whether a model minus opponent of that sign is a gain."""
    return difference > 0 if rises(figure) else difference < 0


def figure_text(figure: str, value: float, *, signed: bool = False) -> str:
    digits = _DIGITS.get(figure, 4)
    return f"{value:{'+' if signed else ''}.{digits}f}{_UNITS.get(figure, '')}".replace("-", "−")
