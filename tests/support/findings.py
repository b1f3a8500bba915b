"""Findings of the doctor's checks, by their names."""

from collections.abc import Sequence

from srgan.doctor.checks import Check, Diagnosis, run


def look(checks: Sequence[Check]) -> dict[str, Diagnosis]:
    """Run checks and return what each found."""
    return {each.check: each for each in run("part", checks)}


def outcomes(found: dict[str, Diagnosis]) -> dict[str, str]:
    return {name: each.outcome for name, each in found.items()}
