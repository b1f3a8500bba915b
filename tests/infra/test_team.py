"""A second team's worker runs beside the first one's, and only its own runs are taken by it."""

from itertools import permutations

import pytest

from srgan.settings import Settings
from tests.support.manifests import (
    OVERLAYS,
    command,
    environment,
    find,
    pod,
    rendered,
)

BOTH = ("Deployment/srgan-worker", "Deployment/srgan-worker-anna")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_was_there_stays_as_it_was(overlay: str) -> None:
    with_team = rendered(f"{overlay} + team")
    for one in rendered(overlay):
        assert one in with_team


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_deployment_selects_its_own_pods_only(overlay: str) -> None:
    place = f"{overlay} + team"
    for one, other in permutations(BOTH):
        kind, name = one.split("/")
        wanted = find(place, kind, name)["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= pod(place, one).labels.items()
        assert not wanted.items() <= pod(place, other).labels.items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_its_worker_and_its_deployments_are_of_its_pool(overlay: str) -> None:
    place = f"{overlay} + team"
    worker, deploy = (pod(place, owner).container for owner in (BOTH[1], "Job/srgan-deploy-anna"))
    teams = {environment(place, one)["SRGAN_TEAM"] for one in (worker, deploy)}
    assert teams == {"anna"}
    words = command(place, worker)
    assert words[words.index("--pool") + 1] == Settings(team="anna").shared("srgan")
    first = command(place, pod(place, BOTH[0]).container)
    assert [word for word in words if "srgan" not in word] == [
        word for word in first if "srgan" not in word
    ]
    assert (
        environment(place, worker)["SRGAN_ACTOR"]
        != environment(place, pod(place, BOTH[0]).container)["SRGAN_ACTOR"]
    )
