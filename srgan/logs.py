"""Log lines with time and level, as text or JSON; set up once where a process begins.

Flow runs have Prefect's own logging, and `parse` reads the lines of a job for it.
"""

import json
import logging
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from srgan.errors import ConfigError
from srgan.settings import Settings

_OURS = ("srgan", "__main__")
"""Loggers that SRGAN_LOG_LEVEL is for; libraries log warnings and errors."""
_OF_RECORDS = ("step", "key")
"""Fields that a log call may give in `extra`."""
_LEVELS = logging.getLevelNamesMapping()
_WEB_LOGIN = re.compile(r"(?<=://)(?:[^/\s:@[]*:([^/?#\s]*)|[^/?#\s@]*)@")
"""User and password of an address of the web, up to its path. Not by `urlsplit`, which gives up on
a wrong bracket."""
_WEB_PORT = re.compile(r"https?://[^/\s:@[]*:\d+[/?#]", re.IGNORECASE)
"""Begins an address of the web whose first colon is that of a port."""
_LOGIN = re.compile(r"(?<=://)(?:[^/\s:@[]*:(\S*)|[^/\s@]*)@")
"""The same of any other address, also a damaged one: PostgreSQL's drivers take a slash for a part
of the password."""
_TEXT = re.compile(rf"\d{{4}}-\d\d-\d\dT[\d:.]+Z ({'|'.join(_LEVELS)})(?: (.*))?")


def configure(settings: Settings, stream: TextIO, **fields: str) -> None:
    """Write this process's log records to `stream`, and errors that nobody catches.

    `fields`, such as run and stage, are in every JSON line. Does nothing in a process whose logging
    is set up already: Prefect's, or that of the tests.
    """
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(stream)
    secrets = secrets_of(settings)
    handler.setFormatter(
        JsonFormatter(secrets, fields) if settings.log_format == "json" else TextFormatter(secrets)
    )
    root.addHandler(handler)
    for name in _OURS:
        logging.getLogger(name).setLevel(settings.log_level)
    sys.excepthook = _log_uncaught


def parse(line: str) -> tuple[int, str]:
    """Return level and message of a line of `configure`; INFO and the line if it is another."""
    if found := _TEXT.fullmatch(line):
        return _LEVELS[found[1]], found[2] or ""
    if line.startswith('{"time"'):
        try:
            record, end = json.JSONDecoder().raw_decode(line)
            # Ray adds how often it has folded equal lines of several ranks.
            record["message"] += line[end:]
            text = "\n".join(record[name] for name in ("message", "exception") if name in record)
            return _LEVELS[record["level"]], text
        except (ValueError, KeyError, TypeError):
            pass  # cut off, or of another program
    return logging.INFO, line


def secrets_of(settings: Settings) -> list[str]:
    """Return what must not be in a log: secret keys, and passwords in addresses."""
    keys = (settings.s3_secret_key, settings.s3_session_token)
    addresses = (
        settings.s3_endpoint_url,
        settings.mlflow_tracking_uri,
        settings.prefect_api_url,
        settings.ray_address,
    )
    found = [each.get_secret_value() for each in keys if each]
    return [*found, *filter(None, map(_password, addresses))]


def own_secrets() -> list[str]:
    """Return those of this process's settings; empty where a setting is not valid."""
    try:
        return secrets_of(Settings())
    except ConfigError:
        return []


def hidden(text: str, secrets: Iterable[str]) -> str:
    """Return the text without the secrets, which errors of libraries may quote."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def hide_in(error: BaseException, secrets: Collection[str]) -> None:
    """Take the secrets out of an error's text, and of those behind it, before they are shown."""
    chain = [error]
    for each in chain:
        each.args = tuple(
            hidden(arg, secrets) if isinstance(arg, str) else arg for arg in each.args
        )
        behind = each.__cause__ or each.__context__
        if behind is not None and behind not in chain:
            chain.append(behind)


def without_password(address: str) -> str:
    """Return the address without the user and password that it may hold, also a damaged one."""
    found = _login(address)
    return address[: found.start()] + address[found.end() :] if found else address


def _password(address: str | None) -> str | None:
    found = _login(address or "")
    return found[1] if found else None


def _login(address: str) -> re.Match[str] | None:
    if address.lower().startswith(("http://", "https://")):
        if found := _WEB_LOGIN.search(address):
            return found
        if _WEB_PORT.match(address):
            return None
    return _LOGIN.search(address)


class _Formatter(logging.Formatter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def hidden(self, text: str) -> str:
        return hidden(text, self._secrets)


class TextFormatter(_Formatter):
    """``2026-11-30T09:15:00.123Z INFO message``, with time and level on each of several lines."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text += f"\n{self.formatException(record.exc_info)}"
        before = f"{_time(record)} {record.levelname} "
        return "\n".join(before + line for line in self.hidden(text).splitlines() or [""])


class JsonFormatter(_Formatter):
    """One JSON object in a line: time, level, logger, message, and the fields that are known."""

    def __init__(self, secrets: Iterable[str], fields: Mapping[str, str]) -> None:
        super().__init__(secrets)
        self._fields = dict(fields)

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self.hidden(record.getMessage()),
            **self._fields,
        }
        found |= {name: getattr(record, name) for name in _OF_RECORDS if hasattr(record, name)}
        if record.exc_info:
            found["exception"] = self.hidden(self.formatException(record.exc_info))
        return json.dumps(found)


def _time(record: logging.LogRecord) -> str:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logging.getLogger("srgan").critical("stopped by an error", exc_info=(kind, error, traceback))
