"""How many workers a cluster gets, and with what."""

import pytest

from srgan.jobs.train import Workers, plan_workers


def node(cpus: float, gpus: float = 0, *, alive: bool = True) -> dict[str, object]:
    return {"Alive": alive, "Resources": {"CPU": cpus, **({"GPU": gpus} if gpus else {})}}


@pytest.mark.parametrize(
    ("nodes", "asked", "expected"),
    [
        ([node(2)], None, Workers(2, 1, False)),
        ([node(8)], None, Workers(2, 4, False)),
        ([node(8)], 1, Workers(1, 8, False)),
        ([node(2), node(4)], 2, Workers(2, 2, False)),
        ([node(3), node(3)], 2, Workers(2, 3, False)),
        ([node(64, 4), node(64, 4)], None, Workers(8, 4, True)),
        ([node(64, 4)], 2, Workers(2, 4, True)),
        ([node(4, 4), node(32)], None, Workers(4, 1, True)),
    ],
)
def test_all_cpus_are_used_as_far_as_every_worker_finds_a_node(
    nodes: list[dict[str, object]], asked: int | None, expected: Workers
) -> None:
    assert plan_workers(nodes, asked, 16) == expected


def test_dead_nodes_do_not_count() -> None:
    nodes = [node(2), node(64, 8, alive=False)]
    assert plan_workers(nodes, None, 16) == Workers(2, 1, False)


def test_more_workers_than_places_are_planned_with_one_cpu_for_the_wait_to_refuse() -> None:
    assert plan_workers([node(2)], 5, 16) == Workers(5, 1, False)
    assert plan_workers([node(8, 1)], 3, 16) == Workers(3, 1, True)


def test_a_plan_reads_as_words() -> None:
    assert str(Workers(2, 1, False)) == "2 workers with 1 CPU each"
    assert str(Workers(8, 4, True)) == "8 workers with 4 CPU and a GPU each"


def test_unasked_the_workers_are_as_many_as_can_share_the_batch() -> None:
    assert plan_workers([node(32, 6)], None, 16).num_workers == 4
    assert plan_workers([node(64, 24)], None, 16).num_workers == 16
