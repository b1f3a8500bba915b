"""The lines of a driver's log that reach the log of the flow run."""

from flows.support.following import LogRelay, relevant
from srgan.services.ray_jobs import RayJobs


class Logs(RayJobs):
    """The log of one job, growing as a test says."""

    def __init__(self) -> None:
        super().__init__("nowhere")
        self.text = ""

    def log(self, job_id: str) -> str | None:
        return self.text


def test_only_whole_new_lines_are_relayed() -> None:
    logs = Logs()
    relay = LogRelay(logs, "job", attached=False)
    logs.text = "one\ntw"
    assert relay.new_lines() == ["one"]
    logs.text = "one\ntwo\nthree\n"
    assert relay.new_lines() == ["two", "three"]
    assert relay.new_lines() == []


def test_of_a_job_that_is_attached_to_the_last_lines_come_first() -> None:
    logs = Logs()
    logs.text = "".join(f"line {number}\n" for number in range(10))
    relay = LogRelay(logs, "job", attached=True)
    assert relay.new_lines() == ["line 7", "line 8", "line 9"]
    logs.text += "line 10\n"
    assert relay.new_lines() == ["line 10"]


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
