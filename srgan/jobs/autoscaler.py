"""Answers of Ray's autoscaler about a demand: which nodes it starts for it, or that it may not.

Only the second autoscaler (v2) tells what its node types and numbers of nodes can never meet.
Without it nothing is known but the nodes that are up.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from srgan.services.ray_jobs import HEAD

_TIMEOUT_S = 10


def outlook(bundle: Mapping[str, float]) -> str | None:
    """Say in words what the autoscaler does about processes that wait for a `bundle` each.

    None if it has refused all of them while its nodes do nothing else, or if there is none.
    """
    state = _cluster_state()
    scaling, cluster = state.autoscaling_state, state.cluster_resource_state
    if not state.HasField("autoscaling_state"):
        return None
    waiting = sum(
        each.count for each in cluster.pending_resource_requests if _asks(each.request, bundle)
    ) + _groups(cluster.pending_gang_resource_requests, bundle)
    refused = sum(_asks(each, bundle) for each in scaling.infeasible_resource_requests) + _groups(
        scaling.infeasible_gang_resource_requests, bundle
    )
    if refused >= waiting > 0:
        # It may have refused them only because of nodes that it has started for other work.
        in_use = any(map(_is_at_work, cluster.node_states))
        return "its autoscaler adds no node beside those in use" if in_use else None
    starting = [
        f"{each.count} {each.ray_node_type_name}" for each in scaling.pending_instance_requests
    ]
    starting += [f"1 {each.ray_node_type_name}" for each in scaling.pending_instances]
    failed = [
        f"; it could not start {each.ray_node_type_name}: {each.reason}"
        for each in scaling.failed_instance_requests[-1:]
    ]
    return f"its autoscaler starts {', '.join(starting) or 'nodes'}{''.join(failed)}"


def is_starting() -> bool:
    """True while the autoscaler starts nodes: it has asked for some that are not up yet.

    Unlike `outlook` it does not depend on a demand, so it can be asked when nothing waits.
    """
    scaling = _cluster_state().autoscaling_state
    return bool(scaling.pending_instance_requests or scaling.pending_instances)


def _cluster_state() -> Any:
    """Ask the head what waits, and what the autoscaler has last said about it."""
    import ray
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
    from ray.core.generated import autoscaler_pb2

    client = GcsClient(address=ray.get_runtime_context().gcs_address)
    reply = autoscaler_pb2.GetClusterStatusReply()  # type: ignore[attr-defined]  # protobuf makes it
    reply.ParseFromString(client.get_cluster_status(timeout_s=_TIMEOUT_S))
    return reply


def _groups(requests: Iterable[Any], bundle: Mapping[str, float]) -> int:
    return sum(any(_asks(part, bundle) for part in each.requests) for each in requests)


def _asks(request: Any, bundle: Mapping[str, float]) -> bool:
    return dict(request.resources_bundle) == dict(bundle)


def _is_at_work(node: Any) -> bool:
    """Tell a node that the autoscaler has started, and that it may end later, from all others."""
    from ray.core.generated.autoscaler_pb2 import RUNNING  # type: ignore[attr-defined]  # likewise

    is_head = HEAD in node.total_resources
    return bool(node.ray_node_type_name) and not is_head and node.status == RUNNING
