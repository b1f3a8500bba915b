"""The client of S3: credentials, timeouts, connections and checksums."""

from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ProfileNotFound
from pydantic import SecretStr

from srgan.errors import ConfigError
from srgan.settings import Checksums, Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MOST_CONNECTIONS = 1024
"""More than any process has threads that use them: a bulk worker has two for each CPU and three, a
flow three for each worker. They are opened when they are needed; one beyond the bound would be
closed after each request, at the cost of another TLS handshake."""


def client_of(settings: Settings) -> "S3Client":
    """Return the client; `ConfigError` if variables or AWS's files contradict themselves."""
    if (settings.s3_access_key is None) != (settings.s3_secret_key is None):
        there, missing = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
        if settings.s3_access_key is None:
            there, missing = missing, there
        raise ConfigError(f"{there} is set and {missing} is not; set both, or unset {there}")
    try:
        return _client(settings)
    except ProfileNotFound as error:
        raise ConfigError(
            f"AWS_PROFILE: {error}; name a profile of ~/.aws/config or ~/.aws/credentials, or "
            "unset AWS_PROFILE"
        ) from error
    # ValueError is botocore's for an invalid address.
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(
            f"S3 cannot be reached with these settings: {str(error).rstrip('.')}. Look at the "
            "variables AWS_… and at ~/.aws/config and ~/.aws/credentials"
        ) from error


@cache
def _client(settings: Settings) -> "S3Client":
    """Return the process's one client, with its connections; boto3's clients are thread-safe."""
    default: Checksums | None = "when_required" if settings.s3_endpoint_url else None
    client: S3Client = boto3.session.Session().client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.s3_region,
        # Without keys, boto3 looks for them itself (profiles, roles of the machine).
        aws_access_key_id=_plain(settings.s3_access_key),
        aws_secret_access_key=_plain(settings.s3_secret_key),
        aws_session_token=_plain(settings.s3_session_token),
        config=ClientConfig(
            # For the store's log; botocore's own name takes a tenth of the time of a request.
            user_agent="srgan",
            retries={"mode": "standard", "total_max_attempts": 5},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=_MOST_CONNECTIONS,
            proxies=_proxies(settings.s3_endpoint_url),
            # A bucket in the host name needs DNS entries that self-hosted services rarely have.
            s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
            # Some stores keep the framing of a trailing checksum as if it were content.
            request_checksum_calculation=settings.s3_request_checksums or default,
            response_checksum_validation=settings.s3_response_checksums or default,
        ),
    )
    return client


def _proxies(endpoint_url: str | None) -> dict[str, str] | None:
    """Return no proxy for a store on this machine, else None: those of the environment.

    A proxy would look for the store on its own machine.
    """
    host = urlsplit(endpoint_url or "").hostname or ""
    with suppress(ValueError):
        return {} if host == "localhost" or ip_address(host).is_loopback else None
    return None


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
