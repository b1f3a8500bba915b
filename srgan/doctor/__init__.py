"""`srgan doctor`: look at every service and at this machine, and say what to do."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from srgan.doctor.bucket import bucket_checks
from srgan.doctor.checks import Diagnosis, run
from srgan.doctor.cluster import cluster_checks
from srgan.doctor.machine import machine_checks
from srgan.doctor.orchestrator import orchestrator_checks
from srgan.doctor.registry import registry_checks
from srgan.logs import secrets_of
from srgan.settings import Settings

__all__ = ["Diagnosis", "examine"]


def examine(
    settings: Settings, checkout: Path, find_file: Callable[[], Path]
) -> Iterator[Diagnosis]:
    """Run all checks in order and yield what each found, without secrets; nothing is raised.

    `checkout` is the folder with ``flows/``, and `find_file` returns its ``prefect.yaml``.
    """
    secrets = secrets_of(settings)
    return chain(
        run("S3", bucket_checks(settings), secrets),
        run("MLflow", registry_checks(settings), secrets),
        run("Prefect", orchestrator_checks(settings, checkout, find_file), secrets),
        run("Ray", cluster_checks(settings), secrets),
        run("this machine", machine_checks(settings), secrets),
    )
