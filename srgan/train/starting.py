"""A registered version's weights as a checkpoint that a stage can start from."""

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError
from srgan.models.interchange import load_generator
from srgan.refs import CheckpointRef, ModelRef
from srgan.storage import ObjectStore
from srgan.train.checkpoint import CheckpointManifest, CheckpointWriter

STAGE = "registered"
_DIGITS = 16


def publish_start(
    store: ObjectStore, version: ModelRef, weights: bytes, wanted: GeneratorConfig
) -> CheckpointRef:
    """Store the weights of a version below ``runs/registered-<digest>`` for a stage to start from.

    The weights come from the registry, so training can also start from a version whose run was
    deleted or whose weights others published. `CheckpointError` names both generators if they
    differ.
    """
    found = load_generator(weights).config
    assert found is not None  # it came from a file
    if found != wanted:
        raise CheckpointError(
            f"{version.uri} is a {_words(found)}, the recipe trains a {_words(wanted)}: "
            "its weights do not fit. Set retrain.start to scratch, or use a recipe with that "
            "generator"
        )
    manifest = CheckpointManifest(
        run=f"{STAGE}-{version.weights_digest[:_DIGITS]}",
        stage=STAGE,
        step=0,
        final=True,
        generator=found,
        config={},
        dataset_version="",
        init_from=version.weights_digest,
        # The run that made these weights knows what they have learned from.
        init_run=version.run,
        release_version="",
        num_ranks=0,
        metrics={},
        parts={},
    )
    with CheckpointWriter(store) as writer:
        writer.save(manifest, {"generator": weights})
    return CheckpointRef(
        run=manifest.run,
        stage=STAGE,
        step=0,
        key=manifest.key,
        digest=version.weights_digest,
        dataset_version="",
    )


def _words(config: GeneratorConfig) -> str:
    return (
        f"{config.kind} ×{config.scale} of {config.num_blocks} blocks and "
        f"{config.num_channels} channels"
    )
