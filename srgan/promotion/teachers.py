"""The losses and networks that the contestants of an evaluation have learned from."""

from collections.abc import Mapping
from dataclasses import dataclass

from srgan.config import FeatureContentConfig, Recipe
from srgan.config.networks import DISTANCES, FeatureNetwork
from srgan.errors import ConfigError
from srgan.measure.evaluation import MODEL, PRETRAINED
from srgan.models.weights import GET_A_JUDGE
from srgan.refs import CheckpointRef, ModelRef
from srgan.storage import ObjectStore
from srgan.train.checkpoint import Manifest, checkpoint_keys, read_manifest


@dataclass(frozen=True)
class Training:
    """What the weights of a contestant were trained on."""

    beyond_pixels: bool
    """A GAN stage or a feature loss had a part in it: PSNR alone does not judge such a model."""
    networks: frozenset[str] = frozenset()
    """Perceptual networks in its content losses."""


def trainings(
    store: ObjectStore, contestants: Mapping[str, CheckpointRef | ModelRef]
) -> dict[str, Training]:
    """What each contestant was trained on, by its name.

    A model that starts from a pretrained generator inherits what that one learned from.
    """
    found = {name: training_of(store, ref) for name, ref in contestants.items()}
    if PRETRAINED in found:
        found[MODEL] = _together([found[MODEL], found[PRETRAINED]])
    return found


def training_of(store: ObjectStore, ref: CheckpointRef | ModelRef) -> Training:
    """What the stages of a checkpoint or model version were trained on.

    Of weights that no stage of ours has made nothing is known. They count as trained beyond
    pixels: a perceptual distance judges any model fairly, PSNR does not.
    """
    if isinstance(ref, CheckpointRef):
        return _history(store, read_manifest(store, ref.key))
    runs = [run for run in (ref.run, ref.pretrained_run) if run]
    return _together([_finished_stage(store, run) for run in runs])


def training_of_recipe(recipe: Recipe) -> Training:
    """What a model that this recipe makes will have been trained on."""
    contents = [recipe.pretrain.loss, recipe.adversarial and recipe.adversarial.content]
    networks = {one.network for one in contents if isinstance(one, FeatureContentConfig)}
    return Training(recipe.adversarial is not None or bool(networks), frozenset(networks))


def trained_on_judge(
    contestants: Mapping[str, Training], judges: Mapping[FeatureNetwork, str]
) -> dict[str, list[str]]:
    """Contestants that learned from the network which judges them, by the distance's name.

    Such a figure says how well the network was learned, not how well it looks; tables mark it.
    """
    found = {
        DISTANCES[network]: [name for name, one in contestants.items() if network in one.networks]
        for network in judges
    }
    return {distance: names for distance, names in found.items() if names}


def refuse_without_judge(
    compared: Mapping[str, bool], judges: Mapping[FeatureNetwork, str]
) -> None:
    """`ConfigError` where PSNR alone would compare models that it cannot judge.

    `compared` says of each model, by the words that the message calls it, whether it was trained
    beyond pixels.
    """
    beyond = [who for who, is_beyond in compared.items() if is_beyond]
    if beyond and not judges:
        raise ConfigError(
            f"{' and '.join(compared)} cannot be compared: PSNR alone does not judge what learned "
            f"from more than pixels (here {' and '.join(beyond)}: a GAN stage, a feature loss, or "
            "training elsewhere), and no perceptual network is in the bucket. Get one there with "
            f"{GET_A_JUDGE}, then start again"
        )


def _finished_stage(store: ObjectStore, run: str) -> Training:
    keys = checkpoint_keys(store, run)
    if not keys:
        return Training(beyond_pixels=True)
    return _history(store, read_manifest(store, keys[-1]))


def _history(store: ObjectStore, manifest: Manifest) -> Training:
    """What a stage was trained on, and what it started from, and so on back to random weights."""
    if manifest.init_run is None:
        return _stage(manifest)
    return _together([_stage(manifest), _finished_stage(store, manifest.init_run)])


def _stage(manifest: Manifest) -> Training:
    losses = (manifest.config.get("content"), manifest.config.get("loss"))
    networks = {loss["network"] for loss in losses if isinstance(loss, dict) and "network" in loss}
    return Training(manifest.stage == "adversarial" or bool(networks), frozenset(networks))


def _together(parts: list[Training]) -> Training:
    return Training(
        any(part.beyond_pixels for part in parts),
        frozenset().union(*(part.networks for part in parts)),
    )
