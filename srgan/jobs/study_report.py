"""The report of a closed study as a Ray job: ``python -m srgan.jobs.study_report <spec> <job>``.

Measures what raters saw, which takes the networks of judges and their memory.
"""

import logging
import sys

from srgan.config import Config
from srgan.jobs.failure import leaving_failure
from srgan.jobs.node import Need, options_of, start, wait_for_cluster
from srgan.readable import Countdown
from srgan.services.mlflow_models import Registry
from srgan.studies.close import note_with_versions, write_report
from srgan.studies.design import read_design
from srgan.studies.parts import read_parts

logger = logging.getLogger(__name__)


class StudyReportSpec(Config):
    """The work of one job."""

    run: str
    study: str
    release_version: str


def main(spec_key: str, job_id: str) -> None:
    """Wait for one CPU, and measure and write there."""
    import ray

    # Imported under its own name: as part of ``__main__`` it would travel by value.
    from srgan.jobs.study_report import report_study

    settings, _, _ = start(spec_key, StudyReportSpec)
    found = wait_for_cluster(lambda: Need("study", cpus=1), settings.cluster_wait_s, job_id)
    remote = ray.remote(max_retries=2, **options_of(found))(report_study)
    ray.get(remote.remote(spec_key))


def report_study(spec_key: str) -> None:
    """Write the report, and keep it with the versions that were judged. Safe to repeat."""
    settings, store, spec = start(spec_key, StudyReportSpec)
    design = read_design(store, spec.study)
    parts = read_parts(store, spec.study)
    written = write_report(store, design, parts, Countdown(logger.info, "images measured"))
    if written:
        for address in note_with_versions(settings, Registry(settings), design, *written):
            logger.info("people's opinion is kept with %s", address)


if __name__ == "__main__":
    with leaving_failure(*sys.argv[1:]):
        main(*sys.argv[1:])
