"""Rendering a study as a Ray job: ``python -m srgan.jobs.study <spec_key> <job_id>``.

A model's challenger beside its champion, nearest and the original, for people to judge.
"""

import logging
import sys

from srgan.config import Config, Gpu
from srgan.jobs.failure import leaving_failure
from srgan.jobs.node import (
    Need,
    node_resources,
    options_of,
    start,
    uses_gpu,
    wait_for_cluster,
)
from srgan.measure.sets import read_set
from srgan.mos.ratings import LOW_ANCHOR, REFERENCE
from srgan.readable import Countdown
from srgan.refs import ModelRef, SetRef
from srgan.services.mlflow_models import Registry
from srgan.storage import ObjectStore
from srgan.studies.create import Asked, check_asked, create_study
from srgan.studies.design import StudyDesign, find_design

logger = logging.getLogger(__name__)


class StudySpec(Config):
    """The work of one job."""

    run: str
    asked: Asked
    on: SetRef
    challenger: ModelRef
    champion: ModelRef
    gpu: Gpu = "auto"
    release_version: str

    def check(self, store: ObjectStore) -> None:
        """Raise `ConfigError` for what cannot be a study, before it costs anything."""
        if self.find(store):
            return  # a job that an earlier attempt of the flow run started has made it meanwhile
        names = (self.champion.uri, self.challenger.uri, LOW_ANCHOR, REFERENCE)
        check_asked(store, self.asked, dict.fromkeys(names))

    def find(self, store: ObjectStore) -> StudyDesign | None:
        """Return the study if the flow run that waits for it has made it, else None."""
        found = find_design(store, self.asked.name)
        return found if found and found.flow_run == self.asked.flow_run else None


def main(spec_key: str, job_id: str) -> None:
    """Wait for one CPU, and a GPU as the spec asks, and render there."""
    import ray

    # Imported under its own name: as part of ``__main__`` it would travel by value.
    from srgan.jobs.study import render_study

    settings, _, spec = start(spec_key, StudySpec)

    def need() -> Need:
        return Need("study", cpus=1, gpus=1 if uses_gpu(spec.gpu, node_resources()) else 0)

    found = wait_for_cluster(need, settings.cluster_wait_s, job_id)
    remote = ray.remote(max_retries=2, **options_of(found))(render_study)
    ray.get(remote.remote(spec_key))


def render_study(spec_key: str) -> None:
    """Render every image by every method and publish the design, which marks it as complete."""
    # Imports torch, which costs seconds; flows only read the spec.
    from srgan.models.interchange import load_generator
    from srgan.studies.methods import Methods, by_network, method_of, with_anchors

    settings, store, spec = start(spec_key, StudySpec)
    if spec.find(store):
        return  # an attempt before this one died after it had published
    scale = spec.asked.scale
    methods: Methods = {}
    for version in (spec.champion, spec.challenger):
        method = method_of(version, version.uri)
        generator = load_generator(Registry(settings).load_generator_bytes(version))
        methods[method.name] = method, by_network(generator, version.uri, scale)
    on = read_set(store, spec.on.key)
    progress = Countdown(logger.info, "images rendered")
    create_study(store, spec.asked, on, with_anchors(methods, scale), on, progress)


if __name__ == "__main__":
    with leaving_failure(*sys.argv[1:]):
        main(*sys.argv[1:])
