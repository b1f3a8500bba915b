"""The object store against a real SeaweedFS."""

import tempfile
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Barrier, Thread

import pytest
from pydantic import SecretStr

from srgan.errors import ConflictError, StorageError
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings


def test_what_was_put_comes_back(object_store: S3Store) -> None:
    token = object_store.put("a/ü b+c%20.bin", b"body", metadata={"colour": "red"})

    assert object_store.get("a/ü b+c%20.bin") == b"body"
    assert object_store.find("a/ü b+c%20.bin") == b"body"
    assert object_store.metadata("a/ü b+c%20.bin") == {"colour": "red"}
    info = object_store.head("a/ü b+c%20.bin")
    assert info is not None
    assert (info.key, info.token, info.size_bytes) == ("a/ü b+c%20.bin", token, 4)
    assert list(object_store.list("a/")) == [info]


def test_a_file_is_put_from_where_it_stands_and_never_in_memory_whole(
    object_store: S3Store,
) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"before")
        file.write(bytes(2**26))
        file.seek(len(b"before"))
        tracemalloc.start()
        object_store.put("large", file, metadata={"colour": "red"})
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    info = object_store.head("large")
    assert info is not None
    assert info.size_bytes == 2**26
    assert object_store.metadata("large") == {"colour": "red"}
    assert peak_bytes < 2**24


def test_a_missing_key_is_none_or_an_error_that_names_it(object_store: S3Store) -> None:
    assert object_store.find("nothing") is None
    assert object_store.head("nothing") is None
    object_store.delete("nothing")
    with pytest.raises(StorageError, match=r"s3://srgan-test/nothing does not exist"):
        object_store.get("nothing")
    with pytest.raises(StorageError, match=r"s3://srgan-test/nothing does not exist"):
        object_store.metadata("nothing")


def test_a_missing_bucket_is_an_error_and_not_an_empty_one(s3_settings: Settings) -> None:
    absent = open_store(s3_settings, "no-such-bucket")
    with pytest.raises(
        StorageError, match=r"s3://no-such-bucket/key.*bucket does not exist.*SRGAN_BUCKET"
    ):
        absent.find("key")
    with pytest.raises(StorageError, match="bucket does not exist"):
        list(absent.list(""))


def test_wrong_credentials_are_an_error_that_names_the_object(s3_settings: Settings) -> None:
    wrong = s3_settings.model_copy(update={"s3_secret_key": SecretStr("wrong")})
    with pytest.raises(
        StorageError, match=r"cannot read s3://srgan-test/key: AWS_SECRET_ACCESS_KEY does not"
    ):
        open_store(wrong).find("key")


def test_of_eight_writers_exactly_one_creates_a_key(object_store: S3Store) -> None:
    def create(writer: int) -> bool:
        try:
            object_store.put("log/1.json", b"same body", if_absent=True)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1


def test_a_key_moves_only_from_the_token_that_was_read(object_store: S3Store) -> None:
    first = object_store.put("latest.json", b"1")
    second = object_store.put("latest.json", b"2", if_token=first)
    with pytest.raises(ConflictError, match=r"s3://srgan-test/latest.json: somebody else wrote"):
        object_store.put("latest.json", b"3", if_token=first)
    assert object_store.get("latest.json") == b"2"

    object_store.delete("latest.json")
    with pytest.raises(ConflictError):
        object_store.put("latest.json", b"3", if_token=second)


def test_a_conditional_write_leaves_no_trace_in_the_metadata(object_store: S3Store) -> None:
    object_store.put("once", b"", if_absent=True, metadata={"colour": "red"})
    assert object_store.metadata("once") == {"colour": "red"}


def test_every_key_is_listed_once_however_deep(object_store: S3Store) -> None:
    keys = ["p/a b", "p/a!/y", "p/a-1.jpg", "p/a.jpg", "p/a/b/c", "p/a/x", "p/a0", "p/é", "p/日"]
    for key in reversed(keys):
        object_store.put(key, b"")
    assert sorted(entry.key for entry in object_store.list("p/")) == keys


def test_a_file_appears_whole_or_not_at_all(object_store: S3Store, tmp_path: Path) -> None:
    object_store.put("shard", b"x" * 3_000_000)
    target = tmp_path / "deep" / "shard.npy"
    object_store.download("shard", target)
    assert target.read_bytes() == b"x" * 3_000_000

    with pytest.raises(StorageError, match="does not exist"):
        object_store.download("absent", tmp_path / "deep" / "absent.npy")
    assert [path.name for path in target.parent.iterdir()] == ["shard.npy"]


class _Flaky(BaseHTTPRequestHandler):
    """A server that breaks off the first body, and stores the first write but answers 503."""

    attempts: dict[str, int]
    stored: dict[str, str]

    def do_GET(self) -> None:
        self.attempts["get"] = self.attempts.get("get", 0) + 1
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"0123456789" if self.attempts["get"] > 1 else b"0123")

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if not self.stored:
            self.stored["id"] = self.headers["x-amz-meta-srgan-write"]
            self.send_response(503)
        else:
            self.send_response(412)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("ETag", '"token"')
        self.send_header("Content-Length", "4")
        self.send_header("x-amz-meta-srgan-write", self.stored["id"])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[dict[str, str]]:
    """Variables that name a store on this machine for as long as the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def flaky_store() -> Iterator[S3Store]:
    handler = type("Flaky", (_Flaky,), {"attempts": {}, "stored": {}})
    with served(handler) as variables:
        yield open_store(Settings(**variables))


class _Simple(BaseHTTPRequestHandler):
    """A store that takes a body as it comes, with its own end, and opaque ETags."""

    stored: dict[str, bytes]
    asked: list[str]
    end: bytes

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.stored[self.path] = body + self.end
        self._answer()

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        self._answer(len(self.stored[self.path]))

    def do_DELETE(self) -> None:
        del self.stored[self.path]
        self._answer()

    def _answer(self, num_bytes: int = 0) -> None:
        self.send_response(200)
        self.send_header("ETag", '"opaque"')
        self.send_header("Last-Modified", "Sun, 29 Nov 2026 09:00:00 GMT")
        self.send_header("Content-Length", str(num_bytes))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def simple_store(end: bytes = b"") -> type[_Simple]:
    return type("Simple", (_Simple,), {"stored": {}, "asked": [], "end": end})


def test_a_store_of_one_s_own_gets_bodies_without_framing() -> None:
    handler = simple_store()
    with served(handler) as variables:
        store = open_store(Settings(**variables))
        assert store.put("k", b"PNGDATA") == store.put("file", BytesIO(b"DATA")) == "opaque"
    assert handler.stored == {"/srgan/k": b"PNGDATA", "/srgan/file": b"DATA"}
    assert handler.asked == ["/srgan/k", "/srgan/file"], "an opaque ETag proves nothing"


def test_a_store_on_this_machine_is_asked_without_a_proxy_and_another_one_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with served(simple_store()) as variables:
        assert open_store(Settings(**variables)).put("k", b"PNGDATA")
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    addresses = ("http://localhost:1", "http://[::1]:1", "http://s3.test", "http://10.0.0.1", None)
    proxies = [
        open_store(Settings(AWS_ENDPOINT_URL=each, **keys))._client.meta.config.proxies
        for each in addresses
    ]
    assert proxies == [{}, {}, None, None, None]


@pytest.mark.parametrize("body", [b"PNGDATA", BytesIO(b"PNGDATA")])
def test_what_a_store_has_altered_is_noticed_and_deleted(body: bytes | BytesIO) -> None:
    handler = simple_store(end=b"\r\n0\r\n")
    with served(handler) as variables:
        store = open_store(Settings(**variables))
        with pytest.raises(StorageError, match=r"srgan/k was stored with 12 bytes instead of 7"):
            store.put("k", body)
    assert handler.stored == {}


def test_the_environment_decides_about_checksums_where_it_says_something() -> None:
    own = Settings(AWS_ENDPOINT_URL="http://s3.test")
    chosen = Settings(
        AWS_ENDPOINT_URL="http://s3.test", AWS_REQUEST_CHECKSUM_CALCULATION="WHEN_SUPPORTED"
    )
    amazon = Settings()
    found = [
        (config.request_checksum_calculation, config.response_checksum_validation)
        for config in (open_store(each)._client.meta.config for each in (own, chosen, amazon))
    ]
    required, supported = "when_required", "when_supported"
    assert found == [(required, required), (supported, required), (supported, supported)]


def test_the_beginning_of_an_object_is_read_alone(object_store: S3Store) -> None:
    object_store.put("long", b"0123456789")
    object_store.put("empty", b"")
    assert object_store.beginning("long", 4) == b"0123"
    assert object_store.beginning("long", 40) == b"0123456789"
    assert object_store.beginning("empty", 4) == b""
    assert object_store.beginning("nothing", 4) is None


def test_a_body_that_breaks_off_is_read_again(flaky_store: S3Store, tmp_path: Path) -> None:
    flaky_store.download("key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_write_whose_answer_was_lost_does_not_lose_to_itself(flaky_store: S3Store) -> None:
    assert flaky_store.put("key", b"body", if_absent=True) == "token"


class _Denying(BaseHTTPRequestHandler):
    """A store that denies everything; its answer to HEAD has no body, as S3's."""

    def do_HEAD(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_DELETE = do_GET  # noqa: N815  # the names that http.server asks for

    def log_message(self, *_: object) -> None:
        pass


def test_a_403_of_a_fake_server_names_the_key_and_the_permissions_that_may_lack() -> None:
    with served(_Denying) as variables:
        store = open_store(Settings(**variables))
        for look in (store.head, store.find, store.get):
            with pytest.raises(StorageError) as caught:
                look("latest.json")
            assert "s3://srgan/latest.json: access is denied" in str(caught.value)
            assert "s3:GetObject" in str(caught.value)
            assert "without s3:ListBucket on the bucket srgan, S3 also says so of a key that" in (
                str(caught.value)
            )
        with pytest.raises(StorageError, match=r"write s3://srgan/k: .* need s3:PutObject"):
            store.put("k", b"")
        with pytest.raises(StorageError, match=r"list s3://srgan/p/: .* need s3:ListBucket"):
            list(store.list("p/"))
        with pytest.raises(StorageError, match=r"delete s3://srgan/k: .* need s3:DeleteObject"):
            store.delete("k")


class _Together(BaseHTTPRequestHandler):
    """A store that answers when so many requests are there, and keeps connections open."""

    protocol_version = "HTTP/1.1"
    meeting: Barrier
    connections: list[object]

    def setup(self) -> None:
        self.connections.append(self.client_address)
        super().setup()

    def do_HEAD(self) -> None:
        self.meeting.wait(30)
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_every_thread_of_a_worker_with_many_cpus_keeps_its_connection() -> None:
    num_threads = 2 * 20 + 3
    handler = type("Together", (_Together,), {"meeting": Barrier(num_threads), "connections": []})
    with served(handler) as variables, ThreadPoolExecutor(num_threads) as threads:
        store = open_store(Settings(**variables))
        for _ in range(3):
            assert set(threads.map(store.head, map(str, range(num_threads)))) == {None}
        store._client.close()
    assert len(handler.connections) == num_threads
