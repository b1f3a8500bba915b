"""One retraining of a model at a time, whatever deployment or process has started it.

A global concurrency limit of Prefect for each model, with a lease: the slot of a process that was
killed is free again when the lease has run out.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Literal
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder, State, StateType
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from flows.jobs import root_flow_run_id

IfBusy = Literal["wait", "refuse"]
# Renewed when three quarters are over. Shorter, a server that restarts would lose the slots of
# the living; longer, a run that is put back waits longer for the slot of its own dead process.
_LEASE_S = 120.0
_LOCKED = 423


def limit_name(model: str) -> str:
    """Name of the model's limit; ``prefect global-concurrency-limit inspect`` shows it."""
    return f"srgan-retrain-{model}"


@contextmanager
def turn(model: str, if_busy: IfBusy) -> Iterator[bool]:
    """The model's only slot around a block, waited for or not; False when it was refused."""
    name = limit_name(model)
    _ensure_limit(name)
    with ExitStack() as stack:
        try:
            stack.enter_context(_slot(name, max_retries=0))
        except ConcurrencySlotAcquisitionError as error:
            if not _is_taken(error):
                raise
            if if_busy == "refuse":
                yield False
                return
            get_run_logger().info(
                "Waiting: another retraining of %s is at work (limit %s). Should there be none, "
                "`prefect global-concurrency-limit update %s --active-slots 0` frees the slot",
                *(model, name, name),
            )
            stack.enter_context(_slot(name, max_retries=None))
        yield True


def refused(model: str) -> State[None]:
    """State of a run that was not to wait: of the kind of a cancellation, and nobody's failure."""
    return State(
        type=StateType.CANCELLED,
        name="Refused",
        message=f"Another retraining of {model} is at work; with if_busy=wait this one would wait",
    )


def _slot(name: str, *, max_retries: int | None) -> AbstractContextManager[None]:
    return concurrency(
        name,
        max_retries=max_retries,
        lease_duration=_LEASE_S,
        strict=True,
        holder=ConcurrencyLeaseHolder(type="flow_run", id=UUID(root_flow_run_id())),
        # A training of days does not end because the server was away for minutes.
        raise_on_lease_renewal_failure=False,
    )


def _ensure_limit(name: str) -> None:
    """Create the limit with one slot; one that somebody has changed stays as it is."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):
                client.create_global_concurrency_limit(
                    GlobalConcurrencyLimitCreate(name=name, limit=1)
                )


def _is_taken(error: ConcurrencySlotAcquisitionError) -> bool:
    cause = error.__cause__
    return isinstance(cause, httpx.HTTPStatusError) and cause.response.status_code == _LOCKED
