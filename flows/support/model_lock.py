"""Allow one retraining of a model at a time, whatever deployment or process starts it.

Each model has a global concurrency limit in Prefect, with a lease: the slot of a killed process is
free when the lease has run out. The flow run keeps the lease's id as a label, so that a run which
is put back does not wait for the slot of its dead process.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Literal
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder, State, StateType
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.context import ConcurrencyContext
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from flows.support.jobs import root_flow_run_id
from srgan.versions.services import open_services

IfBusy = Literal["wait", "refuse"]
# Renewed when three quarters are over; the server may be away for the rest.
_LEASE_S = 300.0
_LABEL = "srgan.retrain-lease"
_LOCKED = 423


def limit_name(model: str) -> str:
    """Return the name of a model's limit; ``prefect global-concurrency-limit inspect`` shows it."""
    return f"srgan-retrain-{open_services().settings.shared(model)}"


@contextmanager
def model_lock(model: str, if_busy: IfBusy) -> Iterator[bool]:
    """Hold the model's only slot around a block; False if it is taken and `if_busy` refuses."""
    name, flow_run_id = limit_name(model), UUID(root_flow_run_id())
    with get_client(sync_client=True) as client:
        free_lock(client, flow_run_id)
        taken = _is_taken(client, name)
    if taken and if_busy == "refuse":
        yield False
        return
    if taken:
        get_run_logger().info(
            "Waiting: another retraining of %s is at work (limit %s). If there is none, "
            "`prefect global-concurrency-limit update %s --active-slots 0` frees the slot",
            *(model, name, name),
        )
    with ExitStack() as stack:
        try:
            stack.enter_context(_slot(name, flow_run_id, wait=if_busy == "wait"))
        except ConcurrencySlotAcquisitionError as error:
            if not _came_too_late(error):
                raise
            yield False
            return
        _remember_lease(flow_run_id)
        yield True


def free_lock(client: SyncPrefectClient, flow_run_id: UUID) -> None:
    """Free the slot that a process of this flow run has held; that process must be dead."""
    lease_id = client.read_flow_run(flow_run_id).labels.get(_LABEL)
    if lease_id is not None:
        client.release_concurrency_slots_with_lease(UUID(str(lease_id)))


def refused(model: str) -> State[None]:
    """Return the final state of a run that was told not to wait: cancelled, not failed."""
    return State(
        type=StateType.CANCELLED,
        name="Refused",
        message=f"Another retraining of {model} is at work; with if_busy=wait this one would wait",
    )


def _slot(name: str, flow_run_id: UUID, *, wait: bool) -> AbstractContextManager[None]:
    return concurrency(
        name,
        max_retries=None if wait else 0,
        lease_duration=_LEASE_S,
        strict=True,
        holder=ConcurrencyLeaseHolder(type="flow_run", id=flow_run_id),
        # A training of days must not end because the server was away for minutes.
        raise_on_lease_renewal_failure=False,
    )


def _remember_lease(flow_run_id: UUID) -> None:
    context = ConcurrencyContext.get()
    assert context is not None  # `_slot` has just opened it
    with get_client(sync_client=True) as client:
        lease_id = str(context.cleanup_lease_ids[-1])
        client.update_flow_run_labels(flow_run_id, {_LABEL: lease_id})


def _is_taken(client: SyncPrefectClient, name: str) -> bool:
    """Return whether no slot is free. A limit that does not exist yet is created with one slot."""
    try:
        limit = client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        with suppress(ObjectAlreadyExists):
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
        return False
    return limit.active_slots >= limit.limit


def _came_too_late(error: ConcurrencySlotAcquisitionError) -> bool:
    """Return whether another run took the slot after `_is_taken` had looked."""
    cause = error.__cause__
    return isinstance(cause, httpx.HTTPStatusError) and cause.response.status_code == _LOCKED
