"""Several processes over gloo against one."""

import multiprocessing
import re
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import torch

from srgan.config import AdversarialConfig, PretrainConfig
from srgan.keys import part_key
from srgan.losses import adversarial_loss, discriminator_loss, pixel_loss
from srgan.refs import DatasetRef, to_json
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.train.adversarial import Adversarial
from srgan.train.checkpoint import CheckpointManifest
from tests.support.stages import start, windows
from tests.train.rank_program import (
    NUM_STEPS,
    SGD_STEP,
    gan_config,
    learned,
    normalised_config,
    plain_config,
    plain_gan_config,
    run,
    train_with_sgd,
    use_sgd,
)

NUM_RANKS = 2
TIMEOUT_S = 180


# Ranks are forked from a process that has loaded torch, and what its optimisers load at their
# first step: ten seconds of a core for each rank otherwise.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.train.rank_program", "torch._dynamo"])


def start_ranks(
    scenario: str,
    directory: Path,
    environment: dict[str, str],
    *,
    num_ranks: int = NUM_RANKS,
    kill_at: str | None = None,
) -> list[ForkServerProcess]:
    """The processes of `rank_program`."""
    (directory / f"{scenario}-meeting").unlink(missing_ok=True)
    options = {"kill_at": kill_at} if kill_at else {}
    started = [
        FORKS.Process(target=run, args=(rank, num_ranks, directory, scenario, environment, options))
        for rank in range(num_ranks)
    ]
    for process in started:
        process.start()
    return started


def end(started: list[ForkServerProcess]) -> None:
    """End the ranks that have not ended."""
    for process in started:
        process.kill()
        process.join()


def printed_by(scenario: str, directory: Path) -> str:
    """The ends of the ranks' logs."""
    logs = sorted(directory.glob(f"{scenario}-*.log"))
    return "\n".join(log.read_text()[-20_000:] for log in logs)


def end_ranks(
    scenario: str,
    directory: Path,
    environment: dict[str, str],
    *,
    num_ranks: int = NUM_RANKS,
    kill_at: str | None = None,
) -> tuple[list[int | None], str]:
    """Exit codes of the ranks, None where one has not ended in time; and what they printed."""
    started = start_ranks(scenario, directory, environment, num_ranks=num_ranks, kill_at=kill_at)
    deadline = time.monotonic() + TIMEOUT_S
    try:
        for process in started:
            process.join(max(1.0, deadline - time.monotonic()))
        codes = [process.exitcode for process in started]
    finally:
        end(started)
    return codes, printed_by(scenario, directory)


def run_ranks(
    scenario: str, directory: Path, environment: dict[str, str], *, num_ranks: int = NUM_RANKS
) -> list:
    """Results of each rank of `rank_program`."""
    codes, printed = end_ranks(scenario, directory, environment, num_ranks=num_ranks)
    assert codes == [0] * num_ranks, printed
    return [
        torch.load(directory / f"{scenario}-{rank}.pt", weights_only=True)
        for rank in range(num_ranks)
    ]


def reference(config: PretrainConfig | AdversarialConfig) -> dict[str, torch.Tensor]:
    """The steps in one process whose batch norm normalises each rank's share separately."""
    stage = start(config)
    use_sgd(stage)
    for step in range(NUM_STEPS):
        shares = [stage._images(share, step) for share in windows(stage, step).chunk(NUM_RANKS)]
        images = [(stage.generator(lr), hr) for lr, hr in shares]
        content = sum(pixel_loss("mse", sr, hr) for sr, hr in images) / NUM_RANKS
        if isinstance(stage, Adversarial):
            judge = stage.discriminator
            losses = [discriminator_loss(judge(hr), judge(sr.detach())) for sr, hr in images]
            stage.updates["discriminator"].step(sum(losses) / NUM_RANKS, SGD_STEP.peak)
            judge.requires_grad_(False)
            content = content + sum(adversarial_loss(judge(sr)) for sr, _ in images) / NUM_RANKS
        stage.updates["generator"].step(content, SGD_STEP.peak)
        if isinstance(stage, Adversarial):
            judge.requires_grad_(True)
    return learned(stage)


@pytest.fixture(scope="module")
def of_two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Results of both ranks in the scenario ``steps``."""
    return run_ranks("steps", tmp_path_factory.mktemp("ranks"), {})


STAGES = ("pretrain", "normalised pretrain", "adversarial", "normalised adversarial")


@pytest.mark.parametrize("stage", STAGES)
def test_both_ranks_have_the_same_gradients_and_weights(
    of_two_ranks: list[dict], stage: str
) -> None:
    first, second = of_two_ranks
    torch.testing.assert_close(first[stage], second[stage], rtol=0, atol=0)


@pytest.mark.parametrize("config", [plain_config(), plain_gan_config()], ids=lambda c: c.stage)
def test_without_batch_norm_two_ranks_learn_what_one_learns_from_the_whole_batch(
    of_two_ranks: list[dict], config: PretrainConfig | AdversarialConfig
) -> None:
    alone = train_with_sgd(config, 0, 1)
    torch.testing.assert_close(of_two_ranks[0][config.stage], alone, rtol=1e-4, atol=1e-5)
    begun = dict(start(config).generator.named_parameters())
    assert not torch.allclose(alone["generator.exit.weight"], begun["exit.weight"], atol=1e-4)


def test_ranks_whose_shares_differ_learn_what_one_learns_from_the_whole_batch(
    tmp_path: Path,
) -> None:
    assert plain_config().batch_size % 3
    found = run_ranks("uneven", tmp_path, {}, num_ranks=3)
    for config in (plain_config(), plain_gan_config()):
        alone = train_with_sgd(config, 0, 1)
        for rank in found:
            torch.testing.assert_close(rank[config.stage], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", [normalised_config(), gan_config()], ids=lambda c: c.stage)
def test_with_batch_norm_two_ranks_learn_as_one_process_that_normalises_per_share(
    of_two_ranks: list[dict], config: PretrainConfig | AdversarialConfig
) -> None:
    found = of_two_ranks[0][f"normalised {config.stage}"]
    torch.testing.assert_close(found, reference(config), rtol=1e-3, atol=1e-4)


def test_a_batch_that_is_not_finite_on_one_rank_changes_nothing_on_any(
    of_two_ranks: list[dict],
) -> None:
    assert [found["poisoned"] for found in of_two_ranks] == [[], []]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch's SyncBatchNorm needs a GPU")
def test_synchronised_batch_norm_learns_what_one_rank_learns_from_the_whole_batch(
    tmp_path: Path,
) -> None:
    found = run_ranks("synchronised", tmp_path, {})
    alone = train_with_sgd(gan_config(), 0, 1, device=torch.device("cuda:0"))
    torch.testing.assert_close(found[0], alone, rtol=1e-3, atol=1e-4)


@pytest.fixture
def environment(
    tmp_path: Path, object_store: S3Store, s3_settings: Settings, dataset: DatasetRef
) -> dict[str, str]:
    """Environment with which ranks find the store; the dataset and a run's name lie in files."""
    assert s3_settings.s3_access_key is not None
    assert s3_settings.s3_secret_key is not None
    (tmp_path / "dataset.json").write_bytes(to_json(dataset))
    (tmp_path / "run").write_text("run")
    return {
        "AWS_ENDPOINT_URL": s3_settings.require("s3_endpoint_url"),
        "AWS_ACCESS_KEY_ID": s3_settings.s3_access_key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": s3_settings.s3_secret_key.get_secret_value(),
        "AWS_DEFAULT_REGION": s3_settings.s3_region,
        "SRGAN_BUCKET": s3_settings.bucket,
    }


@pytest.fixture
def stage_run(
    tmp_path: Path, environment: dict[str, str]
) -> Callable[..., CheckpointManifest | None]:
    """`stage_run(run, num_ranks)`: a GAN stage to its end, or with `kill_at` to that point."""

    def whole_stage(
        name: str, num_ranks: int, kill_at: str | None = None
    ) -> CheckpointManifest | None:
        (tmp_path / "run").write_text(name)
        options = {"num_ranks": num_ranks}
        if kill_at:
            codes, printed = end_ranks(
                "stage_run", tmp_path, environment, kill_at=kill_at, **options
            )
            assert -signal.SIGKILL in codes, printed
            return None
        found = run_ranks("stage_run", tmp_path, environment, **options)
        assert found == [found[0]] * num_ranks, "all ranks must return the same final checkpoint"
        return CheckpointManifest.model_validate_json(found[0])

    return whole_stage


@pytest.mark.timeout(4 * TIMEOUT_S)
@pytest.mark.slow(group="parts")
@pytest.mark.parametrize("num_ranks", [1, 2])
def test_a_gan_stage_that_is_killed_anywhere_ends_bit_identical(
    stage_run, object_store: S3Store, num_ranks: int
) -> None:
    whole = stage_run("whole", num_ranks)
    assert (whole.step, whole.num_ranks) == (8, num_ranks)
    # One attempt after the other, each killed later in the stage; the last one ends.
    for point in (
        "after the first part",
        "before manifest 4",
        "within step 5",
        "before old ones are deleted",
    ):
        stage_run("killed", num_ranks, kill_at=point)
    resumed = stage_run("killed", num_ranks)
    assert resumed.parts == whole.parts
    assert resumed.metrics == whole.metrics
    used = {part.digest for part in whole.parts.values()}
    assert used <= {
        info.key.rpartition("/")[2] for info in object_store.list(part_key.below("killed"))
    }


@pytest.mark.slow(group="parts")
@pytest.mark.timeout(4 * TIMEOUT_S)
def test_three_ranks_sum_in_the_same_order_before_and_after_a_kill(stage_run) -> None:
    whole = stage_run("whole", 3)
    stage_run("killed", 3, kill_at="within step 5")
    assert stage_run("killed", 3).parts == whole.parts


def report_of(scenario: str, directory: Path, environment: dict[str, str], pattern: str) -> str:
    """The report of stalled ranks that a pattern matches.

    A slow machine has others before it, of ranks that have not come to their first step.
    """
    started = start_ranks(scenario, directory, environment)
    deadline = time.monotonic() + TIMEOUT_S
    try:
        while True:
            text = printed_by(scenario, directory)
            for report in text.split("run has stalled: no step for ")[1:]:
                if re.search(pattern, report):
                    return report
            ended = [process.exitcode for process in started]
            assert ended == [None] * NUM_RANKS, text
            assert time.monotonic() < deadline, text
            time.sleep(0.2)
    finally:
        end(started)


@pytest.mark.timeout(TIMEOUT_S + 60)
def test_a_stalled_rank_is_reported_with_the_last_step_and_stack_of_every_rank(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    stalled = r"rank 1, 3 steps done, is in\n(.|\n)*threading\.Event\(\)\.wait\(\)"
    report = report_of("stalling", tmp_path, environment, stalled)
    waiting = report.split("rank 1, ")[0]
    assert "rank 0, 3 steps done, is in\n" in waiting, report
    assert "backward" in waiting, "rank 0 waits for the gradients of rank 1"


@pytest.mark.slow(group="parts")
@pytest.mark.timeout(TIMEOUT_S + 60)
def test_a_frozen_process_is_named_by_a_rank_that_is_alive(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    frozen = r"rank 0, last seen after step \d, has no heartbeat"
    report = report_of("freezing", tmp_path, environment, frozen)
    assert re.search(r"rank 1, \d steps done, is in\n  thread training:", report), report
