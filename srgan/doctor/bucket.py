"""Checks of the bucket: what every flow and job does with it, on one small object."""

import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from uuid import uuid4

from srgan.doctor.addresses import reach
from srgan.doctor.checks import Check, Seen, failed, ok, warning
from srgan.errors import ConflictError
from srgan.keys import doctor_key
from srgan.logs import without_password
from srgan.readable import duration
from srgan.services.s3 import open_store
from srgan.settings import Settings

_BODY = b"written by srgan doctor"
_CLOCK_LIMIT_S = 5.0
_SKEW_S = 30.0
_REFUSED_SKEW_S = 900.0
"""S3 refuses requests whose time differs by more."""

_PERMISSIONS = "Allow s3:ListBucket on the bucket and s3:GetObject, s3:PutObject and "
_REMEDY = f"{_PERMISSIONS}s3:DeleteObject on its objects, and look at the variables AWS_…"


def bucket_checks(settings: Settings) -> list[Check]:
    """Return the checks of the bucket that `settings` name."""
    key = doctor_key(uuid4().hex)
    endpoint = settings.s3_endpoint_url or f"https://s3.{settings.s3_region}.amazonaws.com"
    check = partial(Check, remedy=_REMEDY)
    return [
        check("address", lambda: reach(endpoint, "AWS_ENDPOINT_URL")),
        check(
            "clock",
            lambda: _clock(endpoint),
            remedy="Look whether AWS_ENDPOINT_URL is the address of an S3 service",
            needs=("address",),
        ),
        check("list", lambda: _list(settings, key), needs=("address",)),
        check("write", lambda: _write(settings, key), needs=("list",)),
        check("read", lambda: _read(settings, key), needs=("write",)),
        check("write on condition", lambda: _write_on_condition(settings, key), needs=("write",)),
        # Also after a write that failed half-way, so that nothing stays.
        check("delete", lambda: _delete(settings, key), needs=("list",)),
    ]


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: AWS leads anonymous visitors to another site, with another clock."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _clock(endpoint: str) -> Seen:
    """Compare this machine's clock with the store's, by the date of any answer."""
    try:
        request = urllib.request.build_opener(_Stay).open(
            # urllib takes a user and password for a part of the host's name.
            without_password(endpoint),
            timeout=_CLOCK_LIMIT_S,
        )
    except urllib.error.HTTPError as error:
        request = error  # it wants credentials or redirects; its date is what is asked for
    except OSError as error:  # a store with its own CA, say, which the other checks know
        return warning(f"the store does not say its time: {error}", "Compare the clocks by hand")
    with request as answer:
        now, given = time.time(), answer.headers.get("Date")
    if given is None:
        return warning("the store's answers have no date", "Compare the clocks of both by hand")
    behind_s = parsedate_to_datetime(given).timestamp() - now
    differs = f"{duration(abs(behind_s))} {'behind' if behind_s > 0 else 'ahead of'} the store's"
    remedy = "Set the clocks of this machine and of the store, for example with chrony"
    if abs(behind_s) > _REFUSED_SKEW_S:
        return failed(f"this machine's clock is {differs}; S3 refuses its requests", remedy)
    if abs(behind_s) > _SKEW_S:
        return warning(f"this machine's clock is {differs}", remedy)
    return ok("this machine's clock is the store's")


def _list(settings: Settings, key: str) -> Seen:
    store = open_store(settings)
    next(iter(store.list(key)), None)
    return ok(store.uri(""))


def _write(settings: Settings, key: str) -> Seen:
    store = open_store(settings)
    store.put(key, _BODY)
    return ok(store.uri(key))


def _read(settings: Settings, key: str) -> Seen:
    store = open_store(settings)
    found, info = store.get(key), store.head(key)
    if found != _BODY or info is None:
        return failed(
            f"{store.uri(key)} came back as {found!r}",
            "Take a store that gives back what was written; one with a cache before it does not",
        )
    if store.find(f"{key}-missing") is not None:
        return failed("an object that was never written is there", "Take another store")
    return ok("what was written comes back, and a missing key is not an error")


def _write_on_condition(settings: Settings, key: str) -> Seen:
    store = open_store(settings)
    conditions: dict[str, dict[str, Any]] = {
        "If-None-Match": {"if_absent": True},
        "If-Match": {"if_token": "0" * 32},
    }
    for condition, options in conditions.items():
        try:
            store.put(key, _BODY, **options)
        except ConflictError:
            continue
        return failed(
            f"the store ignores {condition}: of two writers both win",
            "Take a store that knows conditional writes, as S3 and SeaweedFS do; promotions and "
            "dataset versions would overwrite each other",
        )
    return ok("of two writers one wins")


def _delete(settings: Settings, key: str) -> Seen:
    store = open_store(settings)
    store.delete(key)
    if store.head(key) is not None:
        return failed(f"{store.uri(key)} is still there", _REMEDY)
    return ok("done")
