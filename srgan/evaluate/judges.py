"""Which perceptual networks judge an evaluation, and whom of the contestants they have taught."""

from collections.abc import Mapping

from srgan.evaluate.spec import MODEL, PRETRAINED
from srgan.models.weights import find_mirrored
from srgan.perceptual import DISTANCES, FeatureNetwork
from srgan.refs import CheckpointRef, ModelRef
from srgan.storage import ObjectStore
from srgan.train.checkpoint import checkpoints_prefix, read_manifest


def find_judges(store: ObjectStore) -> dict[FeatureNetwork, str]:
    """SHA-256 of the weights of every network that is mirrored in the bucket, by its name."""
    mirrored = {network: find_mirrored(store, network) for network in DISTANCES}
    return {network: found.sha256 for network, found in mirrored.items() if found}


def trained_on_judge(
    store: ObjectStore,
    contestants: Mapping[str, CheckpointRef | ModelRef],
    judges: Mapping[FeatureNetwork, str],
) -> dict[str, list[str]]:
    """Contestants that learned from the network which judges them, by the distance's name.

    Such a figure says how well the network was learned, not how well it looks; tables mark it.
    A model that starts from a pretrained generator inherits what that one learned from.
    """
    taught = {name: _learned_from(store, ref) for name, ref in contestants.items()}
    if PRETRAINED in taught:
        taught[MODEL] = taught[MODEL] | taught[PRETRAINED]
    found = {
        DISTANCES[network]: [name for name, networks in taught.items() if network in networks]
        for network in judges
    }
    return {distance: names for distance, names in found.items() if names}


def _learned_from(store: ObjectStore, ref: CheckpointRef | ModelRef) -> set[str]:
    """Networks in the content loss of the stage that made the weights.

    Nothing is known of weights that no stage of ours has made.
    """
    if isinstance(ref, CheckpointRef):
        key = ref.key
    else:
        keys = [info.key for info in store.list(checkpoints_prefix(ref.run))]
        if not keys:
            return set()
        key = keys[-1]
    config = read_manifest(store, key).config
    losses = (config.get("content"), config.get("loss"))
    return {loss["network"] for loss in losses if isinstance(loss, dict) and "network" in loss}
