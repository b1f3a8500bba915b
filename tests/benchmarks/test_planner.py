"""The plan of a training on GPUs: what a step launches."""

from benchmarks.training.planner import operations_of
from tests.support.stages import BATCH_NORM, adversarial, pretrain


def test_a_steps_operations_are_those_of_forward_backward_and_updates() -> None:
    found = operations_of(pretrain(BATCH_NORM))
    num_convolutions = 6  # at both ends, two in the block, the bridge and the upsampling
    assert found["convolution_backward"] == num_convolutions
    # The degradation shrinks in two passes.
    assert found["convolution"] == num_convolutions + 2
    assert found["_fused_adam_"] == 1
    assert found["_foreach_copy_"] == 2, "running statistics and their counters, each in one go"


def test_precision_and_a_discriminator_add_operations() -> None:
    plain = operations_of(pretrain(BATCH_NORM)).total()
    mixed = operations_of(pretrain(BATCH_NORM, precision="bf16"))
    assert mixed.total() > plain
    assert mixed["_to_copy"] > 6, "autocast converts weights and activations"
    assert operations_of(adversarial(BATCH_NORM, patch_size=32)).total() > 2 * plain
