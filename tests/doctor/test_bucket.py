"""The bucket's checks on a real SeaweedFS; small fake servers where it cannot be broken so."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from pydantic import SecretStr

from srgan.doctor.bucket import bucket_checks
from srgan.keys import RUNS
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from tests.support.findings import look, outcomes
from tests.support.ports import free_ports

ALL = ("address", "clock", "list", "write", "read", "write on condition", "delete")


def test_a_bucket_that_works_passes_and_keeps_nothing(
    s3_settings: Settings, object_store: S3Store
) -> None:
    assert outcomes(look(bucket_checks(s3_settings))) == dict.fromkeys(ALL, "ok")
    assert not list(object_store.list(RUNS))


def test_a_wrong_secret_key_is_named(s3_settings: Settings) -> None:
    wrong = s3_settings.model_copy(update={"s3_secret_key": SecretStr("wrong")})
    found = look(bucket_checks(wrong))
    assert found["list"].outcome == "failed"
    assert "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID" in found["list"].seen
    assert {found[name].outcome for name in ALL[3:]} == {"not checked"}


def test_a_missing_bucket_is_named(s3_settings: Settings) -> None:
    found = look(bucket_checks(s3_settings.model_copy(update={"bucket": "no-such-bucket"})))
    assert found["list"].outcome == "failed"
    assert "s3://no-such-bucket/" in found["list"].seen
    assert "the bucket does not exist" in found["list"].seen


def test_a_refused_endpoint_is_named_and_nothing_else_is_asked() -> None:
    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}"
    found = look(bucket_checks(Settings(AWS_ENDPOINT_URL=endpoint)))
    assert (found["address"].outcome, found["address"].seen) == (
        "failed",
        f"nothing listens at 127.0.0.1:{port}",
    )
    assert {found[name].outcome for name in ALL[1:]} == {"not checked"}


@contextmanager
def fake_store(handler: type[BaseHTTPRequestHandler]) -> Iterator[Settings]:
    """Settings that lead to a fake store for as long as the block runs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Settings(
                AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.server_port}",
                AWS_ACCESS_KEY_ID="key",
                AWS_SECRET_ACCESS_KEY="secret",
            )
        finally:
            server.shutdown()
            thread.join()


class _Answering(BaseHTTPRequestHandler):
    """Takes everything, ignores conditions, and has the clock that a test gives it."""

    ahead_s = 0.0
    stored: dict[str, bytes]

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate((timestamp or time.time()) + self.ahead_s, usegmt=True)

    def do_GET(self) -> None:
        if "list-type" in self.path or self.path == "/":
            self._answer(b"<ListBucketResult></ListBucketResult>")
        elif self.path in self.stored:
            self._answer(self.stored[self.path])
        else:
            self._answer(b"<Error><Code>NoSuchKey</Code></Error>", 404)

    do_HEAD = do_GET  # noqa: N815  # the names that http.server asks for

    def do_PUT(self) -> None:
        self.stored[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def do_DELETE(self) -> None:
        self.stored.pop(self.path, None)
        self._answer(b"", 204)

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("ETag", '"token"')
        self.send_header("Last-Modified", formatdate(usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def answering(ahead_s: float = 0.0) -> type[_Answering]:
    return type("Answering", (_Answering,), {"ahead_s": ahead_s, "stored": {}})


@pytest.mark.parametrize(
    ("ahead_s", "outcome", "words"),
    [
        # Half a second and more may pass between the looks at both clocks.
        (3630.0, "failed", r"clock is 1 h 00 min behind the store's; S3 refuses its requests"),
        (-1230.0, "failed", r"clock is 20 min \d\d s ahead of the store's; S3 refuses"),
        (150.0, "warning", r"clock is 2 min \d\d s behind the store's$"),
    ],
)
def test_a_skewed_clock_of_a_fake_server_is_named(ahead_s: float, outcome: str, words: str) -> None:
    with fake_store(answering(ahead_s)) as settings:
        found = look(bucket_checks(settings))
    assert found["clock"].outcome == outcome
    assert re.search(words, found["clock"].seen), found["clock"].seen
    assert "chrony" in found["clock"].remedy
    assert found["list"].outcome == "ok"


def test_the_clock_of_a_fake_server_is_read_past_a_user_and_password_in_its_address() -> None:
    with fake_store(answering(3630.0)) as settings:
        endpoint = settings.s3_endpoint_url.replace("//", "//me:secret@")
        asked = settings.model_copy(update={"s3_endpoint_url": endpoint})
        assert look(bucket_checks(asked)[:2])["clock"].outcome == "failed"


def test_the_clock_of_a_fake_server_that_redirects_is_read_from_the_redirect() -> None:
    class Redirecting(_Answering):
        stored: dict[str, bytes] = {}  # noqa: RUF012  # one test

        def do_GET(self) -> None:
            if self.path != "/":
                super().do_GET()
                return
            self.send_response(307)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()

    with fake_store(Redirecting) as settings:
        assert look(bucket_checks(settings))["clock"].outcome == "ok"


def test_a_fake_store_that_ignores_conditions_is_named() -> None:
    with fake_store(answering()) as settings:
        found = look(bucket_checks(settings))
    assert outcomes(found) == dict.fromkeys(ALL, "ok") | {"write on condition": "failed"}
    assert found["write on condition"].seen.startswith("the store ignores If-None-Match")
