"""Tell Prefect about new photos: turn the messages of an S3 store into events for `upscale/watch`.

    eval "$(srgan stack env)" && python infra/s3_events.py --port 8336

A store that sends its notifications over HTTP, such as MinIO, sends the ``Records`` of S3, which
Prefect's server does not take. This program listens on this machine, emits an event for each object
that was written, and answers when they are sent. docs/upscaling.md shows how it is used.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_plus

from prefect.events import Event
from prefect.events.clients import get_events_client

ARRIVED = "srgan.photos.arrived"
_MOST_BYTES = 2**20
"""Bound on a message; a store sends one record or a few, of about a kilobyte each."""


def written(message: dict[str, Any]) -> Iterator[str]:
    """Addresses of the objects that a message says were written; `KeyError` for other messages."""
    for record in message["Records"]:
        if "ObjectCreated:" in record["eventName"]:
            place = record["s3"]
            yield f"s3://{place['bucket']['name']}/{unquote_plus(place['object']['key'])}"


async def emit(addresses: list[str]) -> None:
    """Emit an event about each address; raises if Prefect's server does not take them."""
    async with get_events_client() as client:
        for address in addresses:
            await client.emit(Event(event=ARRIVED, resource={"prefect.resource.id": address}))


class Receiver(BaseHTTPRequestHandler):
    """Answer 204 when the events are sent, 400 for what is not a notification, else 502.

    A message that is too large gets 413 and is not read.
    """

    def do_POST(self) -> None:
        """Take one message."""
        try:
            length = int(self.headers.get("Content-Length", 0))
            if length > _MOST_BYTES:
                self.send_error(413, f"a message has at most {_MOST_BYTES} bytes")
                return
            addresses = list(written(json.loads(self.rfile.read(max(0, length)))))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            # Its words could be the whole message, which does not belong into a line of a header.
            self.send_error(400, f"not a notification of an S3 store: {type(error).__name__}")
            return
        try:
            asyncio.run(emit(addresses))
        except Exception as error:  # whatever it is, the store has to send the message again
            self.send_error(502, f"Prefect did not take the events: {type(error).__name__}")
            return
        self.send_response(204)
        self.end_headers()


def main() -> None:
    """Listen until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="anybody who reaches it can start runs")
    parser.add_argument("--port", type=int, default=8336)
    chosen = parser.parse_args()
    with ThreadingHTTPServer((chosen.host, chosen.port), Receiver) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
