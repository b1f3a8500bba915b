"""Trace an image to everything that it was made of, on a real registry and object store."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import torch

from srgan.bulk.batch import BatchPipeline
from srgan.bulk.plan import make_plan, read_batch
from srgan.bulk.run import BulkRun
from srgan.config import DataConfig, UpscaleConfig
from srgan.data.prepare import prepare_dataset
from srgan.errors import ConfigError, DataError, RegistryError, StorageError
from srgan.images import decode
from srgan.inference.engine import Engine
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.models.blending import blend
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator, load_generator
from srgan.promotion.lineage import ImportLineage, Lineage
from srgan.recipes import tiny
from srgan.refs import CheckpointRef, DatasetRef, EvaluationRef, ModelRef, to_json
from srgan.report.chain import Link, as_text
from srgan.services.mlflow_models import CHAMPION
from srgan.services.mlflow_runs import mlflow_client, tracked_run
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.storage import Place
from srgan.train.checkpoint import CheckpointManifest, CheckpointWriter, read_manifest
from srgan.versions.register import Registrar
from srgan.versions.services import Services
from srgan.versions.trace import source_keys, trace
from tests.support.networks import random_generator
from tests.support.places import place
from tests.support.versions import DATASET

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")

SOURCE, DESTINATION = "s3://srgan-test/small", "s3://srgan-test/large/here"
RUN = "6a1d7c5e-0000-4000-8000-000000000001-abcdef12"
GENERATOR = build_generator(tiny().pretrain.generator)


@pytest.fixture
def settings(s3_settings: Settings, mlflow_settings: Settings) -> Settings:
    return s3_settings.model_copy(
        update={"mlflow_tracking_uri": mlflow_settings.require("mlflow_tracking_uri")}
    )


@pytest.fixture
def services(settings: Settings) -> Services:
    return Services(settings, print)


def trained(settings: Settings, store: S3Store, run: str, dataset: DatasetRef) -> CheckpointRef:
    """A finished stage: its MLflow run and its checkpoint."""
    stage = tiny().pretrain
    manifest = CheckpointManifest(
        run=run,
        stage="pretrain",
        step=stage.steps,
        final=True,
        generator=stage.generator,
        config=stage.model_dump(mode="json"),
        dataset_version=dataset.version,
        init_from=None,
        numerics_version="c",
        release_version="0.1.0+c",
        num_ranks=2,
        metrics={"psnr": 28.5},
        parts={},
    )
    with (
        tracked_run(settings, name=run, key=run, parent=None, params={}) as mlflow_run,
        CheckpointWriter(store) as writer,
    ):
        writer.save(manifest, {"generator": dump_generator(GENERATOR)})
    return read_manifest(store, manifest.key).ref(mlflow_run)


def registered(settings: Settings, store: S3Store, dataset: DatasetRef, name: str) -> ModelRef:
    result = trained(settings, store, f"adversarial-{name}", dataset)
    evaluation = EvaluationRef(
        run=result.run,
        key=f"runs/{result.run}/evaluations/1/report.json",
        picture_key="p",
        num_images=2,
        metrics={"bicubic": {"psnr": 28.0, "ssim": 0.8}, "model": {"psnr": 29.0, "ssim": 0.9}},
        dataset_version=dataset.version,
    )
    pretrained = trained(settings, store, f"pretrain-{name}", dataset)
    lineage = Lineage(
        checkpoint=result,
        pretrained=pretrained,
        dataset=dataset,
        evaluation=evaluation,
        recipe=tiny(),
    )
    registry = Registrar(settings)
    version = registry.register(name, dump_generator(GENERATOR), lineage)
    registry.set_alias(name, CHAMPION, version.version)
    mlflow_client(settings).set_model_version_tag(
        name, str(version.version), "srgan.decision", "Version 1 becomes the first champion."
    )
    return version


@pytest.fixture
def upscaled(
    settings: Settings,
    object_store: S3Store,
    draw_photo: Callable[..., Any],
    encode_photo: Callable[..., bytes],
    request: pytest.FixtureRequest,
) -> ModelRef:
    """Eight photos prepared, a version trained on them, and one image upscaled with it."""
    for seed in range(8):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed, 64, 64)))
    data = DataConfig(scale=4, crop_size=32, eval_share=0.3)
    dataset = prepare_dataset(
        place(object_store, "raw"), object_store, "drawn", data, licence="CC0"
    )
    name = f"t{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}"
    version = registered(settings, object_store, dataset, name)
    object_store.put("small/é a.png", encode_photo(draw_photo(9, 12, 12)))
    run = BulkRun(
        name=RUN,
        source=Place(SOURCE, object_store),
        destination=Place(DESTINATION, object_store),
        model=version,
        config=UpscaleConfig(),
    )
    make_plan(run)
    upscale(object_store, run)
    return version


def upscale(store: S3Store, run: BulkRun) -> None:
    """Leave what the flow's one job leaves."""
    torch.manual_seed(0)
    spec = UpscaleSpec(
        run=run.name,
        source=run.source.address,
        destination=run.destination.address,
        model=run.model,
        config=run.config,
        batches=(0,),
        num_batches=1,
        release_version="1",
    )
    store.put(f"runs/upscale-{run.name}/spec.json", to_json(spec))
    BatchPipeline(run, Engine(GENERATOR, tile=64), decode).run(0, read_batch(run, 0))


def by_kind(chain: Link) -> dict[str, Link]:
    return {node.kind: node for _, node in chain.walk()}


IMAGE = f"{DESTINATION}/é a.png"


def test_an_image_leads_to_its_version_runs_dataset_photos_code_and_figures(
    services: Services, upscaled: ModelRef
) -> None:
    chain = trace(services, IMAGE)
    text = as_text(chain)
    image = chain.facts
    assert (chain.kind, chain.title) == ("upscaled image", IMAGE)
    assert image["source"] == "s3://srgan-test/small/é a.png"
    assert image["bulk run"] == RUN
    (version,) = chain.origins
    assert version.title == upscaled.uri
    assert set(version.facts["aliases"].split(", ")) == {"champion", "challenger"}
    assert version.facts["decision"] == "Version 1 becomes the first champion."
    assert version.facts["of SRGAN"] == "PSNR 29.000 dB, SSIM 0.9000"
    assert version.facts["recipe"] == "tiny"
    stage = version.origins[0]
    assert stage.title == upscaled.run
    assert '"learning_rate"' in stage.facts["config"]
    assert (stage.facts["code"], stage.facts["release"]) == ("c", "0.1.0+c")
    assert "/runs/" in stage.facts["page"]
    assert stage.origins[0].title == upscaled.pretrained_run
    dataset = by_kind(chain)["trained on dataset"]
    assert dataset.facts["licence"] == "CC0"
    assert dataset.facts["sources"].startswith("raw/0.png, raw/1.png")
    assert dataset.facts["sources"].endswith("and 3 more")
    assert "crops/drawn/versions/" in text


def test_a_version_leads_to_the_bulk_runs_that_used_it(
    services: Services, upscaled: ModelRef
) -> None:
    chain = trace(services, f"models:/{upscaled.name}@champion")
    assert chain.title == upscaled.uri
    use = by_kind(chain)["used by bulk run"]
    assert use.title == RUN
    assert use.facts == {"source": SOURCE, "destination": DESTINATION}


def test_every_photo_of_the_training_is_listed_on_request(
    services: Services, upscaled: ModelRef
) -> None:
    expected = [f"s3://srgan-test/raw/{seed}.png" for seed in range(8)]
    assert source_keys(services, IMAGE) == expected
    assert source_keys(services, upscaled.uri) == expected


def test_a_blend_leads_to_both_generators_as_far_as_they_are_known(
    services: Services, object_store: S3Store
) -> None:
    version = registered(services.settings, object_store, DATASET, "sharp")
    stranger = random_generator(tiny().pretrain.generator, seed=7)
    stranger.origin = "stranger.pth"
    blended = blend(stranger, load_generator(dump_generator(GENERATOR)), 0.5)
    assert blended.blend is not None
    known = blended.blend.second.model_copy(update={"model": version.uri, "runs": (version.run,)})
    data = dump_generator(blended)
    lineage = ImportLineage(
        source_file="half.safetensors",
        source_sha256="c" * 64,
        source_format="srgan-generator-1",
        weights_digest=hashlib.sha256(data).hexdigest(),
        blend=blended.blend.model_copy(update={"second": known}),
    )
    made = Registrar(services.settings).register_import("half", data, lineage)
    chain = trace(services, made.uri)
    assert chain.facts["blended"].startswith("0.5 · stranger.pth + 0.5 · models:/")
    first, second = chain.origins
    assert (first.kind, first.title) == ("blended from", "stranger.pth")
    assert second.kind == "blended from version"
    # The first version that has these weights; other tests of the session registered them too.
    assert by_kind(second)["trained by run"].title.startswith("adversarial-")


def test_what_is_gone_is_said_and_the_rest_of_the_chain_stands(
    services: Services, object_store: S3Store, upscaled: ModelRef
) -> None:
    for prefix in ("crops/", "runs/", "large/here/_srgan/"):
        for info in list(object_store.list(prefix)):
            object_store.delete(info.key)
    chain = trace(services, IMAGE)
    assert chain.facts["source"] == "small/é a.png"
    kinds = by_kind(chain)
    assert kinds["model version"].title == upscaled.uri
    assert kinds["trained by run"].facts["checkpoint"].startswith("gone")
    assert kinds["trained on dataset"].facts["sources"].startswith("gone")


def test_objects_that_are_not_ours_or_not_there_are_refused(
    services: Services, object_store: S3Store
) -> None:
    object_store.put("large/other.png", b"someone's", metadata={"author": "someone"})
    with pytest.raises(DataError, match=r"large/other.png was not upscaled by this project"):
        trace(services, "s3://srgan-test/large/other.png")
    with pytest.raises(StorageError, match=r"nowhere.png does not exist"):
        trace(services, "s3://srgan-test/nowhere.png")
    with pytest.raises(RegistryError, match="has no model 'nobody'"):
        trace(services, "models:/nobody/1")
    with pytest.raises(ConfigError, match="is not a model's address"):
        trace(services, "/home/me/a.png")


def test_an_image_of_a_version_that_is_gone_or_was_replaced_says_so(
    services: Services, object_store: S3Store, upscaled: ModelRef
) -> None:
    stamp = {"srgan-source": "a", "srgan-source-token": "t", "srgan-config": "c"}
    other = f"{upscaled.name}/1@{'0' * 16}"
    object_store.put("large/a.png", b"", metadata=stamp | {"srgan-model": other})
    with pytest.raises(RegistryError, match=r"weights 0{16}… .* which now holds"):
        trace(services, "s3://srgan-test/large/a.png")
    gone = f"{upscaled.name}/77@{'0' * 16}"
    object_store.put("large/b.png", b"", metadata=stamp | {"srgan-model": gone})
    with pytest.raises(RegistryError, match=r"b.png was made with .*/77, weights 0{16}…, and"):
        trace(services, "s3://srgan-test/large/b.png")
