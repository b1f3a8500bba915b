"""S3, or a service that speaks its protocol, as the `ObjectStore` that the core works with."""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    NoCredentialsError,
)
from botocore.exceptions import IncompleteReadError as TruncatedBodyError

from srgan.disk import write_atomically
from srgan.errors import ConflictError, StorageError
from srgan.keys import prefix_of_team
from srgan.services.s3_client import client_of
from srgan.settings import Settings
from srgan.storage import ObjectInfo

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

_WRITE_ID = "srgan-write"
_CHUNK_BYTES = 2**20
_LARGEST_PUT_BYTES = 2**30
"""Objects that are larger are sent in parts: S3 takes at most 5 GiB in one request. A part that
breaks off is repeated alone."""
_PART_BYTES = 2**27
"""Held in memory. S3 takes 10,000 parts, so an object may have 1.2 TiB."""
_BODY_ATTEMPTS = 4

# Codes of S3's errors. HEAD has no body, so botocore gives the bare status.
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_LOST = frozenset({"412", "409", "PreconditionFailed", "ConditionalRequestConflict"})
_NO_UPLOAD = frozenset({"NoSuchUpload"})
_EMPTY = frozenset({"416", "InvalidRange"})
_NO_BUCKET = frozenset({"404", "NoSuchBucket"})
_BUCKET_EXISTS = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
_DENIED = frozenset({"403", "AccessDenied", "Forbidden"})

_PERMISSIONS = {
    "read": "s3:GetObject",
    "look up": "s3:GetObject",
    "write": "s3:PutObject",
    "list": "s3:ListBucket",
    "delete": "s3:DeleteObject",
    "create": "s3:ListBucket and s3:CreateBucket",
}
"""Permissions that each of our verbs needs."""

_REFUSED = {
    "InvalidAccessKeyId": "it does not know AWS_ACCESS_KEY_ID; take a key of this store",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it (for example with chrony)",
    "ExpiredToken": "AWS_SESSION_TOKEN has expired; get new credentials",
    "NoSuchBucket": "the bucket does not exist; create it, or correct SRGAN_BUCKET",
}
"""Reasons of a store, by its codes, in words of ours."""

T = TypeVar("T")


class S3Store:
    """One bucket. Safe for many threads; a process opens its own."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str = "") -> None:
        self._client = client
        self.bucket = bucket
        self.prefix = prefix

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def get(self, key: str) -> bytes:
        with self._errors(key, "read"):
            return self._body(key, lambda stream: stream.read())

    def find(self, key: str) -> bytes | None:
        with self._errors(key, "read", ignore=_MISSING):
            return self._body(key, lambda stream: stream.read())
        return None

    def beginning(self, key: str, num_bytes: int) -> bytes | None:
        with self._errors(key, "read", ignore=_MISSING):
            try:
                span = f"bytes=0-{num_bytes - 1}"
                return self._body(key, lambda stream: stream.read(), Range=span)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code", "") in _EMPTY:
                    return b""
                raise
        return None

    def put(
        self,
        key: str,
        body: bytes | BinaryIO,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
        if_absent: bool = False,
        if_token: str | None = None,
    ) -> str:
        condition: dict[str, Any] = {}
        if if_absent or if_token is not None:
            condition = {"IfNoneMatch": "*"} if if_absent else {"IfMatch": f'"{if_token}"'}
        size_bytes, md5 = _measure(body)
        is_large = size_bytes > _LARGEST_PUT_BYTES
        sent = dict(metadata or {})
        if condition or is_large:
            sent[_WRITE_ID] = uuid.uuid4().hex
        content: dict[str, Any] = {"ContentType": content_type, "Metadata": sent}
        # If-Match on a key that is gone answers 404: somebody deleted it, so this write lost.
        ignore = _LOST | _MISSING if condition else frozenset[str]()
        token = None
        with self._errors(key, "write", ignore=ignore | _NO_UPLOAD if is_large else ignore):
            if is_large:
                token = self._put_parts(key, body, content, condition)
            else:
                where: dict[str, Any] = {"Bucket": self.bucket, "Key": self.prefix + key}
                answer = self._client.put_object(**where, Body=body, **content, **condition)
                token = answer["ETag"].strip('"')
        if token is None:
            token = self._token_if_ours(key, sent[_WRITE_ID])
        if token != md5:
            self._check_size(key, token, size_bytes)
        return token

    def _put_parts(
        self,
        key: str,
        body: bytes | BinaryIO,
        content: Mapping[str, Any],
        condition: Mapping[str, Any],
    ) -> str:
        """Write an object in parts and return its token; nothing is seen of it before its end.

        AWS holds the condition when it joins the parts. SeaweedFS looks at it shortly before, so of
        two writers at the same moment both may win there, and the later one's object stays.
        """
        file = BytesIO(body) if isinstance(body, bytes) else body
        upload: dict[str, Any] = {"Bucket": self.bucket, "Key": self.prefix + key}
        # AWS wants to know beforehand which checksum botocore gives to each part.
        config: Any = self._client.meta.config
        has_sums = config.request_checksum_calculation == "when_supported"
        sums: dict[str, Any] = {"ChecksumAlgorithm": "CRC32"} if has_sums else {}
        created = self._client.create_multipart_upload(**upload, **content, **sums)
        upload["UploadId"] = created["UploadId"]
        parts: list[Any] = []
        try:
            while chunk := file.read(_PART_BYTES):
                number = len(parts) + 1
                answer = self._client.upload_part(**upload, PartNumber=number, Body=chunk)
                proof = {k: v for k, v in answer.items() if k in ("ETag", "ChecksumCRC32")}
                parts.append({"PartNumber": number, **proof})
            whole = self._client.complete_multipart_upload(
                **upload, MultipartUpload={"Parts": parts}, **condition
            )
        except BaseException:
            # Parts without an end are kept, and paid for, for ever.
            with suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(**upload)
            raise
        return whole["ETag"].strip('"')

    def head(self, key: str) -> ObjectInfo | None:
        answer = self._head(key)
        if answer is None:
            return None
        return ObjectInfo(
            key,
            answer["ETag"].strip('"'),
            answer["ContentLength"],
            answer["LastModified"].timestamp(),
        )

    def metadata(self, key: str) -> dict[str, str]:
        answer = self._head(key)
        if answer is None:
            raise StorageError(f"{self.uri(key)} does not exist")
        return {name: value for name, value in answer["Metadata"].items() if name != _WRITE_ID}

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix + prefix
        )
        with self._errors(prefix, "list"):
            for page in pages:
                for entry in page.get("Contents", []):
                    yield ObjectInfo(
                        entry["Key"][len(self.prefix) :],
                        entry["ETag"].strip('"'),
                        entry["Size"],
                        entry["LastModified"].timestamp(),
                    )

    def delete(self, key: str) -> None:
        with self._errors(key, "delete"):
            self._client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as draft:

            def write(stream: "StreamingBody") -> None:
                with draft.open("wb") as file:
                    while chunk := stream.read(_CHUNK_BYTES):
                        file.write(chunk)

            with self._errors(key, "read"):
                self._body(key, write)

    def ensure_bucket(self) -> None:
        """Create the bucket unless it exists."""
        with self._errors("", "create", ignore=_NO_BUCKET):
            self._client.head_bucket(Bucket=self.bucket)
            return
        region = self._client.meta.region_name
        # us-east-1 is the only region that must not be named.
        place: Any = (
            {}
            if region == "us-east-1"
            else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        )
        with self._errors("", "create", ignore=_BUCKET_EXISTS):
            self._client.create_bucket(Bucket=self.bucket, **place)

    def _body(self, key: str, consume: Callable[["StreamingBody"], T], **options: Any) -> T:
        """Read a whole body, again if it breaks off: botocore retries only the request."""
        for attempt in range(1, _BODY_ATTEMPTS + 1):
            try:
                body = self._client.get_object(
                    Bucket=self.bucket, Key=self.prefix + key, **options
                )["Body"]
                # `with body` would give the raw stream, which checks neither length nor checksum.
                with closing(body):
                    return consume(body)
            except (HTTPClientError, TruncatedBodyError, FlexibleChecksumError):
                if attempt == _BODY_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _head(self, key: str) -> Any:
        with self._errors(key, "look up", ignore=_MISSING):
            return self._client.head_object(Bucket=self.bucket, Key=self.prefix + key)
        return None

    def _token_if_ours(self, key: str, write_id: str) -> str:
        """Return the token if a lost conditional write is this one, or raise `ConflictError`.

        botocore repeats a write after a lost answer; the repetition then loses to the first, and
        that of the end of an upload in parts does not find the upload any more.
        """
        answer = self._head(key)
        if answer is not None and answer["Metadata"].get(_WRITE_ID) == write_id:
            token: str = answer["ETag"].strip('"')
            return token
        raise ConflictError(
            f"cannot write {self.uri(key)}: somebody else wrote it first; "
            "read it again and decide again"
        )

    def _check_size(self, key: str, token: str, size_bytes: int) -> None:
        """Delete what a store has altered, and raise `StorageError`.

        Called where the ETag is not the MD5 of what was sent: that proves nothing, because ETags
        are other digests for encrypted objects, and opaque in some stores. An equal one proves
        that every byte has arrived, and saves this request.
        """
        answer = self._head(key)
        if answer is None or answer["ETag"].strip('"') != token:
            return  # somebody else wrote or deleted it since
        if answer["ContentLength"] != size_bytes:
            self.delete(key)
            raise StorageError(
                f"{self.uri(key)} was stored with {answer['ContentLength']} bytes instead of "
                f"{size_bytes} and is deleted again: the store does not understand uploads with "
                "trailing checksums; set AWS_REQUEST_CHECKSUM_CALCULATION=when_required"
            )

    @contextmanager
    def _errors(self, key: str, verb: str, *, ignore: Set[str] = frozenset()) -> Iterator[None]:
        """Turn errors of botocore into a `StorageError` that names the object.

        S3's codes in `ignore` end the block silently.
        """
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in ignore:
                return
            if code in _MISSING:
                raise StorageError(f"{self.uri(key)} does not exist") from error
            reason = self._denial(verb, code) if code in _DENIED else _REFUSED.get(code)
            found = f"{reason} ({code})" if reason else str(error)
            raise StorageError(f"cannot {verb} {self.uri(key)}: {found}") from error
        except NoCredentialsError as error:
            raise StorageError(
                f"cannot {verb} {self.uri(key)}: no credentials. Start the local services with "
                '`srgan stack up` and run `eval "$(srgan stack env)"`, or set AWS_ACCESS_KEY_ID, '
                "AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL to your own"
            ) from error
        except BotoCoreError as error:
            raise StorageError(f"cannot {verb} {self.uri(key)}: {error}") from error

    def _denial(self, verb: str, code: str) -> str:
        """Say what a refusal without a reason may mean."""
        denied = f"access is denied. These credentials need {_PERMISSIONS[verb]} on it"
        if verb in ("read", "look up"):
            denied += (
                f"; without s3:ListBucket on the bucket {self.bucket}, S3 also says so of a key "
                "that does not exist: allow both"
            )
        if code == "403":  # the answer to HEAD has no body, so no reason
            denied += ". If they have that, `srgan doctor` tells a wrong key or clock from it"
        return denied


def open_store(settings: Settings, bucket: str | None = None) -> S3Store:
    """Open the store that `settings` name, with the keys of their team.

    With a `bucket`, one for photos: its keys are those of users' addresses, whole, also if it is
    the project's own bucket.
    """
    client = client_of(settings)
    if bucket is not None:
        return S3Store(client, bucket)
    return S3Store(client, settings.bucket, prefix_of_team(settings.team))


def _measure(body: bytes | BinaryIO) -> tuple[int, str]:
    """Bytes of a body from its position on, which is kept, and their MD5 in hex."""
    if isinstance(body, bytes):
        return len(body), hashlib.md5(body, usedforsecurity=False).hexdigest()
    begin = body.tell()
    found = hashlib.md5(usedforsecurity=False)
    while chunk := body.read(_CHUNK_BYTES):
        found.update(chunk)
    size_bytes = body.tell() - begin
    body.seek(begin)
    return size_bytes, found.hexdigest()
