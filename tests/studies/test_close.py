"""The end of a study, and what the gate gets of it."""

from pathlib import Path
from typing import Any

import pytest

from srgan.mos.ratings import parse_ratings
from srgan.mos.results import RatingResults, results_of
from srgan.promotion.opinions import keep_study, parts_of_others, read_studies
from srgan.refs import ModelRef
from srgan.services.mlflow_models import Registry
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.storage import write_document
from srgan.studies import close
from srgan.studies.close import close_study, hand_to_gates, note_with_versions, parts_now
from srgan.studies.database import Database
from srgan.studies.design import Closed, Method, find_end
from srgan.studies.export import exported
from srgan.studies.parts import Part, Screen, judged_columns, judgements_of, read_parts
from tests.support.studies import SCREEN, design_by_hand, parts_of

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")


def version(name: str, number: int) -> Method:
    ref = ModelRef(name=name, version=number, run="r", weights_digest="d")
    return Method(name=f"{name}/{number}", source=ref.uri, version=ref)


def test_ratings_of_versions_are_kept_with_each_model_under_their_numbers(
    object_store: S3Store, tmp_path: Path
) -> None:
    by_hand = design_by_hand(methods=("nearest", "original", "pets/3", "cars/1"))
    methods = (*by_hand.methods[:2], version("pets", 3), version("cars", 1))
    design = by_hand.model_copy(update={"methods": methods})
    database = Database(tmp_path / "ratings.sqlite", design)
    stays, leaves = database.add_rater(), database.add_rater()
    for token in (stays, leaves):
        database.begin(token, "en", Screen.model_validate(SCREEN))
        state = database.end_training(token)
        while state.task:
            state = database.judge(token, state.task.id, "4", 1.0, 1.0)
    end = close_study(object_store, design, database)
    assert (end.num_raters, end.num_judgements) == (2, 48)
    assert find_end(object_store, "spring") == end
    assert len(list(hand_to_gates(object_store, design, read_parts(object_store, "spring")))) == 2
    for model, expected in (
        ("pets", {"nearest", "original", "3", "cars/1"}),
        ("cars", {"nearest", "original", "pets/3", "1"}),
    ):
        (study,) = read_studies(object_store, model).values()
        assert {each.method for each in study.ratings} == expected
        assert study.source == "study spring"
        assert study.weights.keys() == {each for each in expected if each.isdecimal()}
    assert close_study(object_store, design, database) == end, "a repetition changes nothing"
    kept = read_studies(object_store, "pets")
    database.withdraw(leaves)
    close_study(object_store, design, database)
    assert set(kept) <= set(hand_to_gates(object_store, design, read_parts(object_store, "spring")))
    assert read_studies(object_store, "pets") == kept, "the same raters must not count twice"
    database.close_connection()


def test_what_was_exported_and_imported_before_the_end_is_a_part_of_the_closed_study(
    object_store: S3Store, tmp_path: Path
) -> None:
    by_hand = design_by_hand(num_images=1, methods=("nearest", "original", "pets/3", "pets/4"))
    methods = (*by_hand.methods[:2], version("pets", 3), version("pets", 4))
    design = by_hand.model_copy(update={"methods": methods})
    database = Database(tmp_path / "ratings.sqlite", design)

    def rate() -> None:
        token = database.add_rater()
        database.begin(token, "en", Screen.model_validate(SCREEN))
        state = database.end_training(token)
        while state.task:
            state = database.judge(token, state.task.id, "4", 1.5, 1.0)

    rate()
    judged = judgements_of(part for part, _ in database.parts())
    so_far = parse_ratings("r.csv", exported(design, judged, "r.csv"))
    imported = [  # as `srgan mos import` names versions
        each.model_copy(update={"method": each.method.removeprefix("pets/")}) for each in so_far
    ]
    early = keep_study(object_store, "pets", "r.csv", imported)
    rate()
    close_study(object_store, design, database)
    (whole,) = hand_to_gates(object_store, design, read_parts(object_store, "spring"))
    assert parts_of_others(read_studies(object_store, "pets")) == {early: whole}
    database.close_connection()


def test_a_rater_who_withdraws_while_a_study_is_closed_does_not_count(
    object_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = design_by_hand(num_images=1)
    database = Database(tmp_path / "ratings.sqlite", design)
    tokens = [database.add_rater() for _ in range(2)]
    for token in tokens:
        database.begin(token, "en", Screen.model_validate(SCREEN))
        state = database.end_training(token)
        while state.task:
            state = database.judge(token, state.task.id, "4", 1.0, 1.0)
    export_and_close = close.export_parts

    def export(store: S3Store, study: str, exported: Database) -> None:
        export_and_close(store, study, exported)
        database.withdraw(tokens[0])

    monkeypatch.setattr(close, "export_parts", export)
    end = close_study(object_store, design, database)
    assert (end.num_raters, end.num_judgements) == (1, 3)
    assert [part.number for part in parts_now(object_store, design, database)] == [1]
    database.close_connection()


def test_of_two_who_close_a_study_at_once_the_first_one_counts(
    object_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = design_by_hand(num_images=1)
    database = Database(tmp_path / "ratings.sqlite", design)
    first = Closed(closed_at="earlier", num_raters=7, num_judgements=21)
    count = close.parts_now

    def count_late(*given: Any) -> list[Part]:
        write_document(object_store, "studies/spring/closed.json", first)
        return count(*given)

    monkeypatch.setattr(close, "parts_now", count_late)
    assert close_study(object_store, design, database) == first
    assert find_end(object_store, "spring") == first
    database.close_connection()


def test_a_version_that_was_deleted_since_does_not_stop_the_end_of_its_study(
    mlflow_settings: Settings,
) -> None:
    by_hand = design_by_hand(methods=("nearest", "original", "pets/3"))
    design = by_hand.model_copy(update={"methods": (*by_hand.methods[:2], version("pets", 3))})
    score = {"nearest": "1", "original": "5", "pets/3": "3"}
    parts = parts_of(design, 1, lambda task, rater: score[task.left])
    found = results_of(judged_columns(design, parts))
    assert isinstance(found, RatingResults)
    assert "pets/3" in found.opinions
    registry = Registry(mlflow_settings)
    assert list(note_with_versions(mlflow_settings, registry, design, found, "<p>")) == []


def test_a_study_without_versions_gives_nothing_to_a_gate(
    object_store: S3Store, tmp_path: Path
) -> None:
    database = Database(tmp_path / "ratings.sqlite", design_by_hand())
    assert close_study(object_store, design_by_hand(), database).num_judgements == 0
    assert list(hand_to_gates(object_store, design_by_hand(), [])) == []
    database.close_connection()
