"""Read photos in a Ray job, for the flows that prepare them."""

from typing import TypeVar

from flows.support.jobs import run_job
from srgan.jobs.prepare import PrepareSpec, Work
from srgan.keys import prepared_key
from srgan.refs import DatasetRef, SetRef, config_digest
from srgan.storage import read_document
from srgan.version import release_version
from srgan.versions.services import open_services

MadeT = TypeVar("MadeT", DatasetRef, SetRef)

_DIGITS = 16


def have_prepared(work: Work, seen: str, kind: type[MadeT]) -> MadeT:
    """Return what a job has made of the photos whose listing has the digest `seen`.

    A job that another flow run has started for the same photos is followed.
    """
    services = open_services()
    name = config_digest(work, seen)
    run = f"prepare-{name[:_DIGITS]}"
    run_job(
        services=services,
        # With a digest: a flow run may prepare several datasets, or one again after a change.
        label=f"prepare-{name[:8]}",
        run=run,
        module="srgan.jobs.prepare",
        spec=PrepareSpec(run=run, work=work, release_version=release_version()),
        shows_progress=True,
    )
    return read_document(services.store, prepared_key(run), kind)
