"""`srgan doctor`: look at every service and at this machine, and say what to do."""

from collections.abc import Iterator
from pathlib import Path

from srgan.doctor.bucket import bucket_checks
from srgan.doctor.checks import Finding, run
from srgan.doctor.cluster import cluster_checks
from srgan.doctor.machine import machine_checks
from srgan.doctor.orchestrator import orchestrator_checks
from srgan.doctor.registry import registry_checks
from srgan.settings import Settings

__all__ = ["Finding", "examine"]


def examine(settings: Settings, checkout: Path, file: Path) -> Iterator[Finding]:
    """Run all checks in order and yield what each found; nothing is raised.

    `checkout` is the folder with ``flows/``, `file` its ``prefect.yaml``.
    """
    yield from run("S3", bucket_checks(settings))
    yield from run("MLflow", registry_checks(settings))
    yield from run("Prefect", orchestrator_checks(settings, checkout, file))
    yield from run("Ray", cluster_checks(settings))
    yield from run("this machine", machine_checks(settings))
