"""Find the inputs of training and evaluation, and refuse unfair comparisons before they cost.

Datasets and evaluation sets are named without a version; here they become the newest one.
"""

from collections.abc import Sequence

from prefect import get_run_logger

from flows.support.tasks import io_task
from srgan.config import Recipe
from srgan.config.networks import JUDGES
from srgan.data.manifest import read_latest, read_manifest
from srgan.errors import ConfigError, DataError
from srgan.keys import WEIGHTS
from srgan.measure.overlap import TrainedOn, find_learned, refuse_overlap
from srgan.measure.sets import newest_set, refuse_scale
from srgan.models.weights import find_judges, find_mirrored, find_weights
from srgan.promotion.teachers import (
    fair_judges,
    refuse_without_judge,
    teachers_of,
    training_of,
    training_of_recipe,
)
from srgan.refs import DatasetRef, ModelRef, SetRef
from srgan.services.mlflow_models import Registry
from srgan.storage import ObjectStore
from srgan.versions.services import open_services


@io_task
def find_newest(dataset: str) -> DatasetRef:
    """Return the newest version of a prepared dataset; `DataError` if there is none."""
    return newest_version(open_services().store, dataset)


@io_task
def find_dataset(version: ModelRef, dataset: str | None) -> DatasetRef:
    """Return the newest version of a dataset; without a name, the one that a model came from."""
    services = open_services()
    if dataset is None:
        return services.registry.dataset_of(version)
    found = newest_version(services.store, dataset)
    if found.lr_source is not None:
        raise ConfigError(f"dataset {dataset!r} holds pairs; measure on a dataset of photos")
    return found


@io_task
def find_pairs(recipe: Recipe) -> DatasetRef | None:
    """Return the newest version of the recipe's pairs; None if it names none.

    `DataError` if there is no such dataset, `ConfigError` if it does not fit the recipe.
    """
    if recipe.pairs is None:
        return None
    store = open_services().store
    found = newest_version(store, recipe.pairs)
    if found.lr_source is None:
        raise ConfigError(
            f"pairs: dataset {recipe.pairs!r} holds photos without LR; name one that the flow "
            "prepare-pairs has made"
        )
    if found.scale != recipe.data.scale:
        raise ConfigError(
            f"pairs: dataset {recipe.pairs!r} has scale {found.scale}, data.scale is "
            f"{recipe.data.scale}"
        )
    crop_size = read_manifest(store, found.key).config.crop_size
    for stage in (recipe.pretrain, recipe.adversarial):
        if stage and stage.num_pairs and stage.patch_size > crop_size:
            raise ConfigError(
                f"{stage.stage}.patch_size {stage.patch_size} exceeds the crops of "
                f"{recipe.pairs!r}, {crop_size} pixels; run prepare-pairs with a larger crop_size"
            )
    return found


def newest_version(store: ObjectStore, dataset: str) -> DatasetRef:
    """Return the newest version of a prepared dataset; `DataError` if there is none."""
    manifest, _ = read_latest(store, dataset)
    if manifest is None:
        raise DataError(
            f"there is no dataset {dataset!r}; run the flow prepare to make it (prepare-pairs for "
            "pairs)"
        )
    return manifest.ref(num_read=0)


@io_task
def named_sets(version: ModelRef) -> tuple[str, ...]:
    """Return the names of the evaluation sets in a version's gate."""
    return open_services().registry.record(version).gate.sets


@io_task
def find_sets(
    names: Sequence[str],
    scale: int,
    datasets: Sequence[DatasetRef] = (),
    models: Sequence[ModelRef] = (),
) -> tuple[SetRef, ...]:
    """Return the newest versions of evaluation sets, none of which may have been trained on.

    `DataError` names both photos where a set shows one from the train side of `datasets`, or of
    those that `models` and their ancestors were trained on. What imported models were trained on
    is not known. `ConfigError` if a set holds pairs of another scale than `scale`.
    """
    services = open_services()
    found = [newest_set(services.store, name) for name in dict.fromkeys(names)]
    if not found:
        return ()
    for each in found:
        refuse_scale(each, scale)
    by_key = {ref.key: ref for ref in datasets}
    for model in models:
        origins, gone = services.registry.datasets_of(model)
        by_key |= {ref.key: ref for ref in origins}
        if gone:
            get_run_logger().warning(
                "%s was made from %s, which is gone from the registry: whether the "
                "evaluation sets show what that one was trained on cannot be checked",
                *(model.uri, gone),
            )
    for ref in refuse_overlap(services.store, found, by_key.values()):
        get_run_logger().warning(
            "%s version %s was prepared by an earlier release: its photos were compared with the "
            "evaluation sets by their pixels alone, not by how they look",
            ref.dataset,
            ref.version[:12],
        )
    return tuple(each.ref for each in found)


@io_task
def find_scale(version: ModelRef) -> int:
    """Return how many times a version upscales."""
    return _scale(open_services().registry, version)


@io_task
def check_scales(scale: int, versions: Sequence[ModelRef]) -> None:
    """Refuse versions that upscale by another factor than crops are reduced by: `ConfigError`."""
    registry = open_services().registry
    for version in versions:
        found = _scale(registry, version)
        if found != scale:
            raise ConfigError(
                f"{version.uri} upscales {found} times, and it would be measured at scale {scale}: "
                "a model of another scale needs its own name and its own dataset"
            )


def _scale(registry: Registry, version: ModelRef) -> int:
    # Imports torch, which costs seconds; most flow runs do not compare versions.
    from srgan.models.interchange import load_generator

    return load_generator(registry.load_generator_bytes(version)).scale


@io_task
def check_held_out(data: DatasetRef, versions: Sequence[ModelRef], *, decides: bool) -> None:
    """Look for held-out photos of `data` that one of the versions has learned.

    Those flatter it. `DataError` if they decide about a promotion, a warning if they are only
    shown. What imported models were trained on is not known.
    """
    services = open_services()
    for version in versions:
        records, gone = services.registry.ancestry(version)
        trainings = [TrainedOn(each.dataset, each.pairs) for each in records if each.dataset]
        learned, lost = find_learned(services.store, data, trainings)
        for unknown in ([gone] if gone else []) + [f"dataset {each.dataset}" for each in lost]:
            get_run_logger().warning(
                "%s was made from %s, which is gone: whether it was trained on photos that dataset "
                "%s holds out cannot be checked",
                *(version.uri, unknown, data.dataset),
            )
        if not learned:
            continue
        found = "; ".join(each.by(version.uri) for each in learned)
        if decides:
            raise DataError(
                f"{found}. It would be measured on what it learned. Keep the dataset's name, begin "
                "another model, or decide on evaluation sets (gate.sets)"
            )
        get_run_logger().warning("%s. Its figures on these photos are too good", found)


@io_task
def check_teachers(recipe: Recipe) -> None:
    """Refuse a recipe whose content losses need weights that the bucket does not have.

    `CheckpointError` names the command that puts them there.
    """
    for content in teachers_of(recipe):
        find_weights(open_services().store, content.network, content.weights)


@io_task
def check_named_judges(recipe: Recipe) -> None:
    """Refuse `gate.judges` that could not be measured: `ConfigError` names the command that helps.

    The gate would say so only after the training.
    """
    store = open_services().store
    for name in recipe.gate.judges:
        if name not in JUDGES:
            raise ConfigError(f"gate.judges: no judge {name!r}; there are {', '.join(JUDGES)}")
        network = JUDGES[name].network
        if network and find_mirrored(store, network) is None:
            raise ConfigError(
                f"gate.judges: {name} needs weights that are not in {store.uri(WEIGHTS)}; run "
                f"`srgan weights mirror {network}`"
            )


@io_task
def check_judges(champion: ModelRef, challenger: ModelRef | Recipe) -> None:
    """Refuse a comparison that only PSNR could decide although it must not.

    `ConfigError` names the command that gets a perceptual network. The challenger may be a recipe
    that has not been trained yet.
    """
    services = open_services()
    store = services.store
    if isinstance(challenger, Recipe):
        who, trained = f"a model of recipe {challenger.name}", training_of_recipe(challenger)
        gate = challenger.gate
    else:
        who, trained = f"version {challenger.version}", training_of(store, challenger)
        gate = services.registry.record(challenger).gate
    before = f"champion version {champion.version} of {champion.name}"
    theirs = training_of(store, champion)
    fair = fair_judges(find_judges(store), [trained, theirs], gate.judges)
    beyond = {who: trained.beyond_pixels, before: theirs.beyond_pixels}
    refuse_without_judge(beyond, fair, gate.judges)
