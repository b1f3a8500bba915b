"""How people name a model version: by its name alone, an alias, or its number."""

import re

from srgan.errors import RegistryError

_NAME = r"[a-z0-9][a-z0-9_.-]{0,62}"
_ADDRESS = re.compile(rf"(?:models:/)?({_NAME})(?:@([A-Za-z][\w-]*)|/([1-9]\d*))?")


def parse_address(address: str) -> tuple[str, str | None, int | None]:
    """Name, and alias or version where the address has one."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise RegistryError(
            f"{address!r} names no model; expected NAME, models:/NAME@ALIAS or models:/NAME/VERSION"
        )
    name, alias, version = match.groups()
    return name, alias, int(version) if version else None


def check_name(name: str) -> None:
    """`RegistryError` for what cannot be the name of a model."""
    if not re.fullmatch(_NAME, name):
        raise RegistryError(
            f"{name!r} cannot be a model's name: a letter or digit, then up to 62 of a-z, 0-9, "
            "_, . and -"
        )
