"""Training of contestants: on pixels alone, in a GAN stage, or with perceptual networks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from srgan.config import FeatureContentConfig, Recipe
from srgan.config.networks import JUDGES, FeatureNetwork, counted_judges
from srgan.errors import ConfigError
from srgan.measure.evaluation import MODEL, PRETRAINED
from srgan.models.weights import GET_A_JUDGE
from srgan.refs import CheckpointRef, ModelRef
from srgan.storage import ObjectStore
from srgan.train.checkpoint import CheckpointManifest, history_of, newest_manifest


@dataclass(frozen=True)
class Training:
    """Training of a contestant's weights."""

    beyond_pixels: bool
    """True after a GAN stage or a feature loss; PSNR alone is not fair to such a model."""
    networks: frozenset[str] = frozenset()
    """Perceptual networks in the content losses."""


_UNKNOWN = Training(beyond_pixels=True)


def trainings(
    store: ObjectStore, contestants: Mapping[str, CheckpointRef | ModelRef]
) -> dict[str, Training]:
    """Find what each contestant was trained on, by name.

    A model that starts from a pretrained generator inherits that generator's training.
    """
    found = {name: training_of(store, ref) for name, ref in contestants.items()}
    if PRETRAINED in found:
        found[MODEL] = _together([found[MODEL], found[PRETRAINED]])
    return found


def training_of(store: ObjectStore, ref: CheckpointRef | ModelRef) -> Training:
    """Find what the stages of a checkpoint or model version were trained on.

    A blend was trained on whatever its two generators were. The training of imported weights is
    unknown. They count as trained beyond pixels, because a
    perceptual distance is fair to any model and PSNR is not.
    """
    if isinstance(ref, CheckpointRef):
        return _stages_of(store, ref)
    return _together([_finished_stage(store, run) for run in ref.training_runs])


def training_of_recipe(recipe: Recipe) -> Training:
    """Tell what a model of this recipe will have been trained on."""
    networks = {content.network for content in teachers_of(recipe)}
    return Training(recipe.adversarial is not None or bool(networks), frozenset(networks))


def teachers_of(recipe: Recipe) -> list[FeatureContentConfig]:
    """List the content losses of a recipe that need a perceptual network's weights."""
    contents = [recipe.pretrain.loss, recipe.adversarial and recipe.adversarial.content]
    return [one for one in contents if isinstance(one, FeatureContentConfig)]


def trained_on_judge(
    contestants: Mapping[str, Training], judges: Mapping[FeatureNetwork, str]
) -> dict[str, list[str]]:
    """Find contestants whose training used a judge, by the name of the judge's distance.

    Such a figure tells how well the model learned to please the judge, not how good its images
    look, so tables mark it.
    """
    found = {
        distance: [name for name, one in contestants.items() if judge.network in one.networks]
        for distance, judge in JUDGES.items()
        if judge.network in judges
    }
    return {distance: names for distance, names in found.items() if names}


def fair_judges(
    mirrored: Iterable[FeatureNetwork], compared: Iterable[Training], named: Sequence[str] = ()
) -> list[str]:
    """Return the judges by which a gate will decide that has `named` these, or none.

    They are measured with the networks that are `mirrored`, and taught none of the compared.
    """
    taught = frozenset[str]().union(*(one.networks for one in compared))
    networks = {None, *mirrored} - taught
    fair = [name for name, judge in JUDGES.items() if judge.network in networks]
    return counted_judges(fair, named)


def refuse_without_judge(
    compared: Mapping[str, bool], judges: Sequence[str], named: Sequence[str] = ()
) -> None:
    """Raise `ConfigError` if there is only PSNR to compare models that were trained on more.

    `compared` tells for each model whether it was trained beyond pixels; its keys are the words
    for the models in the message. `judges` are those that taught neither, and that the gate has
    `named` if it names any.
    """
    beyond = [who for who, is_beyond in compared.items() if is_beyond]
    if not beyond or judges:
        return
    lack = (
        f"of the judges that gate.judges names ({', '.join(named)}) there is none that taught "
        "neither and whose network is in the bucket. Name another there, or none, then start again"
        if named
        else "no perceptual network that taught neither is in the bucket. Get one there with "
        f"{GET_A_JUDGE}, or another network if that one taught, then start again"
    )
    raise ConfigError(
        f"{' and '.join(compared)} cannot be compared: PSNR alone is not fair to a model "
        f"trained on more than pixels (here {' and '.join(beyond)}: a GAN stage, a feature "
        f"loss, or training elsewhere), and {lack}"
    )


def _finished_stage(store: ObjectStore, run: str) -> Training:
    newest = newest_manifest(store, run)
    return _UNKNOWN if newest is None else _stages_of(store, newest.ref(None))


def _stages_of(store: ObjectStore, ref: CheckpointRef) -> Training:
    """Training of a stage and of all stages before it, back to random weights."""
    manifests = list(history_of(store, ref))
    parts = [_stage(manifest) for manifest in manifests]
    if manifests[-1].init_run is not None:  # that run is not there any more
        parts.append(_UNKNOWN)
    return _together(parts)


def _stage(manifest: CheckpointManifest) -> Training:
    losses = (manifest.config.get("content"), manifest.config.get("loss"))
    networks = {loss["network"] for loss in losses if isinstance(loss, dict) and "network" in loss}
    return Training(manifest.stage == "adversarial" or bool(networks), frozenset(networks))


def _together(parts: list[Training]) -> Training:
    return Training(
        any(part.beyond_pixels for part in parts),
        frozenset().union(*(part.networks for part in parts)),
    )
