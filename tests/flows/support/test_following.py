"""The lines of a driver's log that reach the log of the flow run."""

import pytest

from flows.support.following import LogRelay, relevant
from srgan.services.ray_jobs import Job, RayJobs


class Logs(RayJobs):
    """The log of one job, growing as a test says."""

    def __init__(self) -> None:
        super().__init__("nowhere")
        self.text: str | None = ""
        self.num_read = 0

    def log(self, job: Job, num_lines: int) -> str | None:
        if self.text is None:
            return None
        found = self.text.splitlines(keepends=True)[-num_lines:]
        self.num_read += len(found)
        return "".join(found)


JOB = Job("job", "RUNNING", {}, "", 0, "node")


def numbered(*numbers: int) -> str:
    return "".join(f"line {number}\n" for number in range(*numbers))


def test_only_whole_new_lines_are_relayed() -> None:
    logs = Logs()
    relay = LogRelay(logs, attached=False)
    logs.text = "one\ntw"
    assert relay.new_lines(JOB) == ["one"]
    logs.text = "one\ntwo\nthree\n"
    assert relay.new_lines(JOB) == ["two", "three"]
    assert relay.new_lines(JOB) == []


def test_of_a_job_that_is_attached_to_the_last_lines_come_first() -> None:
    logs = Logs()
    logs.text = numbered(1000)
    relay = LogRelay(logs, attached=True)
    assert relay.new_lines(JOB) == ["line 997", "line 998", "line 999"]
    logs.text += "line 1000\n"
    assert relay.new_lines(JOB) == ["line 1000"]


@pytest.mark.parametrize("step", [1, 7, 19, 20, 21, 99, 100, 101, 1234, 10_000])
def test_each_line_is_relayed_once_however_many_come_between_two_looks(step: int) -> None:
    logs = Logs()
    relay = LogRelay(logs, attached=False)
    shown = []
    for end in range(0, 13 * step, step):
        logs.text = numbered(end) + "half a li"
        shown += relay.new_lines(JOB)
    assert shown == numbered(end).splitlines()


def test_a_look_at_a_long_log_reads_only_its_end() -> None:
    logs = Logs()
    logs.text = numbered(50_000)
    relay = LogRelay(logs, attached=True)
    for end in range(50_000, 50_100, 10):
        logs.text = numbered(end)
        relay.new_lines(JOB)
    assert logs.num_read == 10 * 100


def test_lines_that_look_alike_are_told_apart_by_those_before_them() -> None:
    logs = Logs()
    relay = LogRelay(logs, attached=False)
    logs.text, shown = "", []
    for number in range(300):
        logs.text += f"waits\nstep {number}\n\nwaits\n"
        shown += relay.new_lines(JOB)
    assert shown == [line for line in logs.text.splitlines() if line]


def test_the_first_lines_are_told_apart_although_few_came_before() -> None:
    logs = Logs()
    relay = LogRelay(logs, attached=False)
    logs.text = "waits\n"
    assert relay.new_lines(JOB) == ["waits"]
    logs.text += "starts\nwaits\n"
    assert relay.new_lines(JOB) == ["starts", "waits"]


def test_a_job_server_that_is_away_costs_no_line() -> None:
    logs = Logs()
    relay = LogRelay(logs, attached=False)
    logs.text = numbered(50)
    assert len(relay.new_lines(JOB)) == 50
    logs.text = None
    assert relay.new_lines(JOB) == []
    logs.text = numbered(500)
    assert relay.new_lines(JOB) == numbered(50, 500).splitlines()


def test_rays_own_chatter_is_left_out_and_its_trouble_is_kept() -> None:
    log = (
        "2026-11-22 10:51:40,767\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
        "2026-11-22 10:51:41,001\tWARNING worker.py:12 -- disk is nearly full\n"
        "\x1b[36m(TrainController pid=7)\x1b[0m [State Transition] INITIALIZING -> SCHEDULING.\n"
        "\x1b[36m(TrainController pid=7)\x1b[0m Worker group failed: out of memory\n"
        "\x1b[36m(RayTrainWorker pid=9, ip=10.0.0.2)\x1b[0m pretrain 20/60  8 crops/s\n"
        "(RayTrainWorker pid=9) Setting up process group for: env:// [rank=0]\n"
        "\n"
        "finished\n"
    )
    assert relevant(log) == [
        "2026-11-22 10:51:41,001\tWARNING worker.py:12 -- disk is nearly full",
        "Worker group failed: out of memory",
        "pretrain 20/60  8 crops/s",
        "finished",
    ]
