"""Generators that come with the project: trained by it, on photographs with a free licence.

`card.md` says what they learned from, what they reach, and where they end.
"""

from importlib.resources import files

SHIPPED = {"shipped": "x4.safetensors", "shipped:sharp": "x4_sharp.safetensors"}
"""Files of the generators, both ×4, by the name of the model. ``shipped`` has the highest PSNR;
``shipped:sharp`` is that one after a GAN stage."""


def read_shipped(name: str) -> bytes:
    """Return the generator file of one of `SHIPPED`, for `models.interchange.load_generator`."""
    return (files(__name__) / SHIPPED[name]).read_bytes()


def shipped_card() -> str:
    """Return the model card as Markdown."""
    return (files(__name__) / "card.md").read_text(encoding="utf-8")
