"""Runs that the demo starts and watches."""

from types import SimpleNamespace
from typing import Any, cast

from prefect.states import Completed

from srgan.demo.watch import RunWatch


def test_a_request_to_start_a_run_can_be_repeated_and_another_run_is_another() -> None:
    keys: list[str] = []

    def create(deployment: str, *, idempotency_key: str, **_: object) -> object:
        keys.append(idempotency_key)
        return SimpleNamespace(state=Completed())

    client = SimpleNamespace(
        read_deployment_by_name=lambda name: SimpleNamespace(id=name),
        create_flow_run_from_deployment=create,
    )
    watch = RunWatch(*cast(Any, (client, None, None)))
    for _ in range(2):
        watch.run("upscale/upscale", {}, lambda _: None)
    assert len(set(keys)) == 2
