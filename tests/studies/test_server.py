"""The server over HTTP: blind, limited, exactly once."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from srgan.mos.ratings import Rating
from srgan.services.s3 import S3Store
from srgan.studies.database import Database
from srgan.studies.limits import MAX_BODY_BYTES, RateLimit
from tests.support.studies import SCREEN, Rater, design_by_hand, rendered, served, served_unrendered

Server = tuple[httpx.Client, Database]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A study whose pictures are a few bytes."""
    study = design_by_hand()
    (tmp_path / "pictures").mkdir()
    for sha256 in study.pictures:
        (tmp_path / "pictures" / sha256).write_bytes(sha256.encode())
    with served_unrendered(study, tmp_path) as both:
        yield both


@pytest.fixture
def rater(server: Server) -> Rater:
    client, database = server
    return Rater(client, database.progress()[0].token)


def test_a_whole_session_is_stored_as_it_was_given(server: Server, rater: Rater) -> None:
    state = rater.start()
    given = []
    while state["step"] == "judging":
        score = 1 + state["done"] % 5
        given.append(score)
        state = rater.judge(state["task"]["id"], str(score)).raise_for_status().json()
    assert state["step"] == "done"
    (part, _) = next(server[1].parts(changed=True))
    found = part.judgements
    assert [each.score for each in found if isinstance(each, Rating)] == given
    assert {each.seconds for each in found} == {1.5}
    assert part.screen is not None
    assert part.screen.bright_steps == 3


def test_a_double_submit_and_a_second_tab_store_one_answer(server: Server, rater: Rater) -> None:
    task = rater.start()["task"]["id"]
    states = [rater.judge(task, answer).raise_for_status().json() for answer in ("4", "4", "1")]
    assert [each["done"] for each in states] == [1, 1, 1]
    assert states[0]["task"] == states[2]["task"], "the second tab goes on where the first is"
    (part, _) = next(server[1].parts(changed=True))
    assert [each.score for each in part.judgements] == [4]  # type: ignore[union-attr]


def test_answers_that_cannot_be_are_refused(server: Server, rater: Rater) -> None:
    task = rater.start()["task"]["id"]
    assert rater.judge(task, "6").status_code == 422
    assert rater.judge(task, "left").status_code == 422
    assert rater.judge("somebody's", "3").status_code == 409
    assert rater.post("/judge", task=task, answer="3").status_code == 422
    assert rater.post("/judge", task=task, answer="3", seconds=-1, pixel_ratio=1).status_code == 422
    assert rater.post("/begin", agreed=False, language="en", screen=SCREEN).status_code == 422
    assert rater.get()["done"] == 0


def test_nothing_that_the_browser_gets_tells_the_method(
    object_store: S3Store, tmp_path: Path
) -> None:
    study = rendered(object_store)
    with served(object_store, study, tmp_path) as (client, database):
        rater = Rater(client, database.progress()[0].token)
        state = rater.start()
        seen: dict[tuple[str, ...], set[str]] = {}
        ids = set()
        while state["step"] == "judging":
            task = state["task"]
            (picture,) = task["pictures"]
            ids.add(picture)
            answer = client.get(f"{rater.base}/pictures/{picture}").raise_for_status()
            headers = {k: v for k, v in answer.headers.items() if k not in ("date", "server")}
            sha256 = database.picture(rater.base.removeprefix("/r/"), picture)
            assert sha256 is not None
            (image,) = (each for each in study.images if sha256 in each.pictures.values())
            seen.setdefault((image.name,), set()).add(repr(sorted(headers.items())))
            assert set(task) == {"id", "pictures", "width", "height", "expected"}
            assert not {"etag", "last-modified"} & headers.keys()
            assert headers["cache-control"] == "no-store"
            state = rater.judge(task["id"], "3").json()
        assert all(len(each) == 1 for each in seen.values()), seen
        other = Rater(client, database.progress()[1].token)
        assert not ids & set(other.start()["task"]["pictures"])
        page = client.get(rater.base).text
        assert not re.search("nearest|raw/own|[0-9a-f]{64}", page)


def test_every_answer_has_a_strict_policy(server: Server, rater: Rater) -> None:
    client, database = server
    for path in (rater.base, f"{rater.base}/state", "/static/study.js", "/nowhere", "/r/unknown"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
    for path in (rater.base, f"{rater.base}/withdraw", f"/admin/{database.admin_token}"):
        text = client.get(path).text
        assert not re.findall(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|https?://(?!127\.)", text)


def test_the_answer_to_a_failure_of_the_server_has_the_policy_too(
    server: Server, rater: Rater, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(Database, "language_of", fail)
    answer = rater.client.get(rater.base)
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"


def test_the_page_is_in_the_language_of_the_browser_or_the_wanted_one(rater: Rater) -> None:
    client = rater.client
    assert '<html lang="en">' in client.get(rater.base).text
    korean = client.get(rater.base, headers={"Accept-Language": "ko-KR,en;q=0.5"}).text
    assert '<html lang="ko">' in korean
    assert "이 사진들의 화질은" in korean
    assert '<html lang="ko">' in client.get(f"{rater.base}?lang=ko").text
    rater.post("/begin", agreed=True, language="ko", screen=SCREEN)
    assert '<html lang="ko">' in client.get(rater.base).text, "as begun"


def test_a_rater_withdraws_and_the_link_is_unknown(server: Server, rater: Rater) -> None:
    task = rater.start()["task"]["id"]
    rater.judge(task, "3")
    assert "Delete everything" in rater.client.get(f"{rater.base}/withdraw").text
    assert "Everything is deleted" in rater.client.post(f"{rater.base}/withdraw").text
    assert rater.client.get(rater.base).status_code == 404
    assert rater.judge(task, "3").status_code == 404
    assert list(server[1].parts(changed=True)) == []


def test_the_administrator_sees_links_and_adds_one_and_raters_do_not(server: Server) -> None:
    client, database = server
    page = client.get(f"/admin/{database.admin_token}")
    for each in database.progress():
        assert f"/r/{each.token}" in page.text
        assert client.get(f"/admin/{each.token}").status_code == 404
        assert client.post(f"/admin/{each.token}/raters").status_code == 404
    assert client.get(f"/r/{database.admin_token}").status_code == 404
    assert client.post(f"/admin/{database.admin_token}/raters").status_code == 303
    assert len(database.progress()) == 3


def test_a_large_body_is_refused(rater: Rater) -> None:
    large = b'{"task": "' + b"x" * MAX_BODY_BYTES + b'"}'
    headers = {"Content-Type": "application/json"}
    answer = rater.client.post(f"{rater.base}/judge", content=large, headers=headers)
    assert answer.status_code == 413


def test_fast_raters_and_guessed_links_are_slowed_down(tmp_path: Path) -> None:
    limits = {"rater_limit": RateLimit(5, 0.001), "stranger_limit": RateLimit(3, 0.001)}
    with served_unrendered(design_by_hand(), tmp_path, **limits) as (client, database):
        one, other = (f"/r/{each.token}/state" for each in database.progress())
        guessed = [client.get(f"/r/guess-{number}").status_code for number in range(5)]
        assert guessed == [404, 404, 404, 429, 429]
        asked = [client.get(one) for _ in range(7)]
        assert [each.status_code for each in asked] == [200] * 5 + [429] * 2
        assert asked[-1].headers["retry-after"] == "1"
        assert client.get(other).status_code == 200, "behind the same address"


def test_long_made_up_tokens_are_unknown_and_not_kept(tmp_path: Path) -> None:
    limit = RateLimit(60, 20)
    with served_unrendered(design_by_hand(), tmp_path, rater_limit=limit) as (client, database):
        assert client.get(f"/r/{'x' * 60_000}/state").status_code == 404
        assert client.get(f"/r/{database.progress()[0].token}/state").status_code == 200
    assert list(map(len, limit._left)) == [22]


def test_there_is_no_documentation_of_the_interface_and_no_other_page(rater: Rater) -> None:
    for path in ("/", "/docs", "/openapi.json", "/static/texts.json", "/static/../server.py"):
        assert rater.client.get(path).status_code == 404
