"""`srgan mos create`, `list`, `close` and `export` on a real object store."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from srgan.bulk.batch import BatchPipeline
from srgan.bulk.plan import make_plan, read_batch
from srgan.bulk.progress import BatchProgress
from srgan.bulk.records import tally
from srgan.bulk.run import BulkRun
from srgan.bulk.samples import BatchSamples, contact_sheet
from srgan.bulk.summary import summarise, write_summary
from srgan.cli import app
from srgan.config import UpscaleConfig
from srgan.images import Photo, decode, encode
from srgan.inference.engine import Engine
from srgan.keys import contact_sheet_key, study_figures_key, study_report_key
from srgan.refs import ModelRef
from srgan.resize.arrays import imresize
from srgan.services import prefect_runs
from srgan.services.folder import open_place
from srgan.services.mlflow_models import Registry
from srgan.services.mlflow_runs import mlflow_client
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.studies.close import close_study
from srgan.studies.database import DATABASE, Database
from srgan.studies.design import publish_design, read_design
from srgan.studies.parts import Screen, read_parts
from srgan.studies.serve import study_folder
from srgan.upscaling import load
from tests.support.bulk_runs import CHAMPION
from tests.support.places import place
from tests.support.shelf import MODEL
from tests.support.studies import SCREEN, design_by_hand, photo_set

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")

Printed = tuple[int, str, str]


@pytest.fixture
def mos(capsys: pytest.CaptureFixture[str]) -> Callable[..., Printed]:
    def run(*arguments: str) -> Printed:
        capsys.readouterr()
        with pytest.raises(SystemExit) as done:
            app(["mos", *arguments])
        return (int(done.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def bucket(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3_settings: Settings, object_store: S3Store
) -> S3Store:
    """The empty bucket, with an environment that leads to it and to nothing else."""
    assert s3_settings.s3_access_key is not None
    assert s3_settings.s3_secret_key is not None
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_settings.require("s3_endpoint_url"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_settings.s3_access_key.get_secret_value())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_settings.s3_secret_key.get_secret_value())
    monkeypatch.setenv("SRGAN_BUCKET", s3_settings.bucket)
    monkeypatch.setenv("SRGAN_HOME", str(tmp_path))
    return object_store


def rate_all(study: str) -> None:
    """One rater gives 4 to everything."""
    from srgan.services.s3 import open_store

    design = read_design(open_store(Settings()), study)
    database = Database(study_folder(Settings().home, study) / DATABASE, design)
    database.ensure_raters(1)
    token = database.progress()[0].token
    database.begin(token, "en", Screen.model_validate(SCREEN))
    state = database.end_training(token)
    while state.task:
        state = database.judge(token, state.task.id, "4", 1.0, 1.0)
    database.close_connection()


def test_a_study_of_versions_is_closed_and_kept_for_the_gate(
    mos: Callable[..., Printed], versions: list[ModelRef], service_store: S3Store
) -> None:
    photo_set(service_store, seeds=(1, 2), size=(64, 80))
    code, out, err = mos("create", "judged", "--eval", "own", "--methods", versions[0].uri)
    assert code == 0, err
    assert f"3 methods ({MODEL}/1, nearest, original), 2 images, 0 of them" in out
    assert read_design(service_store, "judged").models == [MODEL]
    rate_all("judged")
    code, out, err = mos("close", "judged")
    assert code == 0, err
    assert "closed with 6 judgements of 1 raters" in out
    assert f"/mos/{MODEL}/" in out
    assert "version 1" in mos("show", MODEL)[1]
    assert f"/#/models/{MODEL}/versions/1" in out
    settings = Settings()
    record = Registry(settings).record(versions[0])
    assert record.opinion == "mos 4.00 by 1 raters in study judged"
    assert record.mlflow_run is not None
    client = mlflow_client(settings)
    metrics = client.get_run(record.mlflow_run).data.metrics
    assert (metrics["judged/mos"], metrics["judged/mos_raters"]) == (4.0, 1.0)
    assert "judged/mos_low" not in metrics, "one rater has no interval"
    files = client.list_artifacts(record.mlflow_run, "opinions")
    assert "opinions/judged.html" in [each.path for each in files]
    assert mos("close", "judged")[0] == 0, "a repetition reports again"


def test_a_version_under_two_names_is_refused(
    mos: Callable[..., Printed], versions: list[ModelRef], service_store: S3Store
) -> None:
    photo_set(service_store, seeds=(1,), size=(64, 80))
    uri = versions[0].uri
    code, _, err = mos("create", "judged", "--eval", "own", "--methods", f"a={uri},b={uri}")
    assert code == 2
    assert f"--methods b={uri}: {uri} is there already, as a" in err
    assert list(service_store.list("studies/")) == []


def test_closing_a_study_resumes_the_flow_run_that_waits_for_it(
    mos: Callable[..., Printed], bucket: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    design = design_by_hand(num_images=1, flow_run="0c2d")
    publish_design(bucket, design)
    database = study_folder(Settings().home, "spring") / DATABASE
    Database(database, design).close_connection()  # as `serve` makes it
    asked: list[str] = []
    monkeypatch.setattr(prefect_runs, "resume_flow_run", lambda run: asked.append(run) or True)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    code, _, err = mos("close", "spring")
    assert (code, asked) == (0, [])
    assert "PREFECT_API_URL is not set: resume flow run 0c2d" in err
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert mos("close", "spring")[0] == 0
    assert asked == ["0c2d"]


def test_a_study_is_created_rated_listed_analysed_closed_and_exported(
    mos: Callable[..., Printed], bucket: S3Store, tmp_path: Path
) -> None:
    photo_set(bucket, seeds=(1, 2), size=(64, 80))
    folder = tmp_path / "ours"
    folder.mkdir()
    for seed in (1, 2):
        Image.new("RGB", (80, 64), (90, 90, 90)).save(folder / f"{seed}.png")
    code, out, err = mos(
        "create", "spring", "--eval", "own", "--methods", f"bicubic,flat={folder},{folder}"
    )
    assert code == 0, err
    assert "5 methods (bicubic, flat, ours, nearest, original), 2 images, 0 of them" in out
    code, _, err = mos("results", "spring")
    assert (code, "study spring has no judgements yet" in err) == (1, True)
    rate_all("spring")
    code, out, err = mos("close", "spring")
    assert (code, err) == (0, "")
    assert "closed with 10 judgements of 1 raters" in out
    page = bucket.get(study_report_key("spring")).decode()
    assert "flat has the highest" in page or "bicubic has the highest" in page
    assert page.count("data:image/png;base64,") == 10, "two images by five methods"
    assert bucket.head(study_figures_key("spring")) is not None
    code, _, err = mos("serve", "spring")
    assert (code, "study spring is closed" in err) == (2, True)
    (row,) = json.loads(mos("list", "--json")[1])["studies"]
    assert (row["num_judgements"], row["closed"]) == (10, True)
    assert "10 ratings" in mos("list")[1]
    assert "flat" in mos("results", "spring")[1]
    report = tmp_path / "spring.html"
    code, out, err = mos("results", "spring", "--json", "--report", str(report))
    assert (code, json.loads(out)["num_ratings"]) == (0, 10), err
    assert page.count("<section>") == report.read_text().count("<section>")
    assert report.read_text().count("data:image/png;base64,") == 10
    code, _, err = mos("results", "spring", "--report", str(tmp_path / "none" / "r.html"))
    assert (code, "none does not exist" in err) == (2, True)
    file = tmp_path / "ratings.csv"
    assert mos("export", "spring", str(file))[0] == 0
    assert file.read_text().startswith("method,image,rater,score,seconds,repeat\n")
    assert json.loads(mos("results", str(file), "--json")[1])["num_ratings"] == 10


def upscale_in_bulk(store: S3Store, destination: str) -> None:
    """A finished bulk run by bicubic of the set at a quarter of its size, with all records."""
    for info in list(store.list("raw/own/")):
        photo = decode(store.get(info.key), max_pixels=10**6)
        body = encode(Photo(imresize(photo.rgb, scale=0.25)), format="png", jpeg_quality=90)
        store.put(info.key.replace("raw/own/", "small/"), body)
    run = BulkRun(
        name="run",
        source=place(store, "small"),
        destination=open_place(Settings(), destination),
        model=CHAMPION,
        config=UpscaleConfig(batch_bytes=1),
    )
    made = make_plan(run)
    assert made.num_batches == 2
    engine = Engine(load("bicubic", scale=4))
    samples = BatchSamples(4)
    tallies = {}
    for number in range(made.num_batches):
        items = read_batch(run, number)
        progress = BatchProgress(run, number, items)
        pipeline = BatchPipeline(run, engine, decode, sample=samples, progress=progress)
        tallies[number] = tally(pipeline.run(number, items))
        samples.publish(run, number)
    sheet = contact_sheet(run)
    assert sheet is not None
    run.destination.store.put(contact_sheet_key(run.destination.address, run.name), sheet)
    write_summary(run, summarise(made, tallies, {}))


@pytest.mark.parametrize("in_bucket", [True, False])
def test_results_of_a_bulk_run_are_a_method_where_the_run_left_them(
    mos: Callable[..., Printed], bucket: S3Store, tmp_path: Path, in_bucket: bool
) -> None:
    photo_set(bucket, seeds=(1, 2), size=(64, 80))
    # The name of a prefix may have the character that ends a method's name.
    address = bucket.uri("out/run=7/up") if in_bucket else str(tmp_path / "run=7" / "up")
    upscale_in_bulk(bucket, address)
    results = open_place(Settings(), address)
    for name in ("README", "de/README", "notes.txt", "de/notes.txt", ".thumbs/1.png"):
        results.store.put(results.prefix + name, b"not a photo")
    methods = f"{address},mine={address}"
    code, out, err = mos("create", "spring", "--eval", "own", "--methods", methods)
    assert code == 0, err
    assert "4 methods (up, mine, nearest, original), 2 images" in out


def test_who_has_withdrawn_leaves_the_bucket_though_the_server_was_killed_and_the_study_is_closed(
    mos: Callable[..., Printed], bucket: S3Store
) -> None:
    design = design_by_hand(num_images=1)
    publish_design(bucket, design)
    rate_all("spring")
    database = Database(study_folder(Settings().home, "spring") / DATABASE, design)
    close_study(bucket, design, database)
    database.withdraw(database.progress()[0].token)  # and the server dies before its next export
    database.close_connection()
    assert len(read_parts(bucket, "spring")) == 1
    code, _, err = mos("serve", "spring")
    assert (code, "study spring is closed" in err) == (2, True)
    assert read_parts(bucket, "spring") == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_links_need_an_address_that_raters_can_open(mos: Callable[..., Printed], host: str) -> None:
    code, _, err = mos("serve", "spring", "--host", host)
    assert code == 2
    assert "add --url with the address that raters reach" in err


def test_pairs_need_no_anchors(mos: Callable[..., Printed], bucket: S3Store) -> None:
    photo_set(bucket, seeds=(1, 2), size=(64, 80))
    options = ("--judging", "pairs", "--methods", "bicubic,bilinear")
    code, out, err = mos("create", "duel", "--eval", "own", *options)
    assert code == 0, err
    assert "2 methods (bicubic, bilinear), 2 images" in out
    assert "24 raters with 2 judgements each" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--methods", "bicubic,bicubic"), "bicubic is there twice; write NAME=bicubic"),
        (("--methods", "bicubic,7=bilinear"), "a name is text, not a number"),
        (("--methods", "bicubic, flat =bilinear"), "leave out the spaces around the name 'flat '"),
        (("--methods", "original=bilinear"), "original is the name of an anchor"),
        (("--methods", "nearest=bicubic"), "write another NAME=bicubic"),
        (("--methods", "bicubic,best"), "no model 'best': that file does not exist"),
        (("--methods", "shipped", "--scale", "2"), "has scale 4, the study 2; see --scale"),
        (("--methods", "bicubic", "--screen", "wide"), "expected WIDTHxHEIGHT"),
    ],
)
def test_what_is_wrong_with_a_study_is_said_in_one_line(
    mos: Callable[..., Printed], bucket: S3Store, options: tuple[str, ...], message: str
) -> None:
    photo_set(bucket, seeds=(1,), size=(64, 80))
    code, _, err = mos("create", "spring", "--eval", "own", *options)
    assert code == 2
    assert message in err
    assert list(bucket.list("studies/")) == []


def test_a_study_that_is_not_there_is_named_with_those_that_are(
    mos: Callable[..., Printed], bucket: S3Store
) -> None:
    for command in (("serve", "autumn"), ("close", "autumn"), ("export", "autumn", "a.csv")):
        code, _, err = mos(*command)
        assert code == 1
        assert "there is no study 'autumn'; there are: none yet" in err
    assert json.loads(mos("list", "--json")[1]) == {"studies": []}


def test_a_study_is_closed_where_it_is_served(mos: Callable[..., Printed], bucket: S3Store) -> None:
    photo_set(bucket, seeds=(1,), size=(64, 80))
    assert mos("create", "spring", "--eval", "own", "--methods", "bicubic")[0] == 0
    code, _, err = mos("close", "spring")
    assert code == 2
    assert "was not served on this machine" in err
