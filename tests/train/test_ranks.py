"""Two processes over gloo against one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from srgan.adapters.s3 import S3Store
from srgan.losses import adversarial_loss, discriminator_loss, pixel_loss
from srgan.refs import DatasetRef, to_json
from srgan.settings import Settings
from srgan.train.adversarial import Adversarial
from srgan.train.checkpoint import Manifest
from tests.train.rank_program import NUM_STEPS, SGD_STEP, gan_config, train_with_sgd, use_sgd
from tests.train.stages import pretrain, start, windows

NUM_RANKS = 2
TIMEOUT_S = 120


def run_ranks(scenario: str, directory: Path, environment: dict[str, str]) -> list[dict]:
    """What each rank of `rank_program` found."""
    logs = [directory / f"{scenario}-{rank}.log" for rank in range(NUM_RANKS)]
    started = []
    for rank, log in enumerate(logs):
        command = [sys.executable, "-m", "tests.train.rank_program"]
        with log.open("wb") as output:
            started.append(
                subprocess.Popen(
                    [*command, str(rank), str(NUM_RANKS), str(directory), scenario],
                    env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
                    cwd=Path(__file__).parents[2],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
    deadline = time.monotonic() + TIMEOUT_S
    try:
        codes = [process.wait(max(1.0, deadline - time.monotonic())) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert codes == [0] * NUM_RANKS, "\n".join(log.read_text()[-3000:] for log in logs)
    return [
        torch.load(directory / f"{scenario}-{rank}.pt", weights_only=True)
        for rank in range(NUM_RANKS)
    ]


def reference_gan() -> dict[str, torch.Tensor]:
    """The GAN steps in one process whose discriminator normalises each rank's share alone."""
    stage = start(gan_config())
    assert isinstance(stage, Adversarial)
    use_sgd(stage)
    judge = stage.discriminator
    for step in range(NUM_STEPS):
        shares = [stage._images(share, step) for share in windows(stage, step).chunk(NUM_RANKS)]
        images = [(stage.generator(lr), hr) for lr, hr in shares]
        losses = [discriminator_loss(judge(hr), judge(sr.detach())) for sr, hr in images]
        stage.updates["discriminator"].step(sum(losses) / NUM_RANKS, SGD_STEP.peak)
        losses = [pixel_loss("mse", sr, hr) + adversarial_loss(judge(sr)) for sr, hr in images]
        stage.updates["generator"].step(sum(losses) / NUM_RANKS, SGD_STEP.peak)
    return {
        f"{part}.{name}": parameter.detach()
        for part, network in stage.networks().items()
        for name, parameter in network.named_parameters()
    }


def test_two_ranks_learn_what_one_rank_learns_from_the_whole_batch(tmp_path: Path) -> None:
    first, second = run_ranks("equivalence", tmp_path, {})
    for stage in ("pretrain", "adversarial"):
        torch.testing.assert_close(first[stage], second[stage], rtol=0, atol=0)
    alone = train_with_sgd(pretrain(learning_rate=SGD_STEP), 0, 1)
    torch.testing.assert_close(first["pretrain"], alone)
    torch.testing.assert_close(first["adversarial"], reference_gan(), rtol=1e-4, atol=1e-5)
    begun = dict(start(pretrain()).generator.named_parameters())
    assert not torch.allclose(alone["generator.exit.weight"], begun["exit.weight"], atol=1e-4)


@pytest.mark.timeout(TIMEOUT_S + 60)
def test_a_gan_stage_of_two_ranks_that_goes_on_from_half_ends_bit_identical(
    tmp_path: Path, object_store: S3Store, s3_settings: Settings, dataset: DatasetRef
) -> None:
    assert s3_settings.s3_access_key is not None
    assert s3_settings.s3_secret_key is not None
    (tmp_path / "dataset.json").write_bytes(to_json(dataset))
    environment = {
        "AWS_ENDPOINT_URL": s3_settings.require("s3_endpoint_url"),
        "AWS_ACCESS_KEY_ID": s3_settings.s3_access_key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": s3_settings.s3_secret_key.get_secret_value(),
        "AWS_DEFAULT_REGION": s3_settings.s3_region,
        "SRGAN_BUCKET": s3_settings.bucket,
    }
    found = run_ranks("resuming", tmp_path, environment)
    whole = Manifest.model_validate_json(found[0]["whole"])
    resumed = Manifest.model_validate_json(found[0]["resumed"])
    assert (resumed.step, resumed.num_ranks) == (8, NUM_RANKS)
    assert resumed.parts == whole.parts
    assert resumed.metrics == whole.metrics
    assert found[1] == found[0], "both ranks must return the same final checkpoint"
