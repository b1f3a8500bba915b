"""Connect to the host and port of an address, before a client with long patience does."""

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from srgan.doctor.checks import Seen, failed, ok
from srgan.logs import without_password

_LIMIT_S = 3.0
_PORTS = {"http": 80, "https": 443}


def reach(address: str, variable: str) -> Seen:
    """Say whether something listens at an HTTP address, which `variable` names to the user.

    Where a proxy stands before the address, it is the proxy that is connected to.
    """
    shown = without_password(address)
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        host, port = None, None
    if host is None or port is None:
        return failed(
            f"{variable} is {shown!r}, which is not an HTTP address",
            f"Set {variable} to http://HOST:PORT or https://HOST",
        )
    if (proxy := _proxy(parts.scheme, host)) is not None:
        shown, (host, port) = f"the proxy of {shown}", proxy
    place = f"{host}:{port}"
    try:
        socket.create_connection((host, port), timeout=_LIMIT_S).close()
    except socket.gaierror:
        return failed(f"the name {host} leads nowhere", f"Correct {variable}, or the DNS here")
    except ConnectionRefusedError:
        return failed(
            f"nothing listens at {place}",
            f"Start the service (`srgan stack up` here), or correct {variable}",
        )
    except TimeoutError:
        return failed(
            f"{place} does not answer within {_LIMIT_S:.0f} s",
            f"Correct {variable}, or open the way to it: a firewall or network policy drops it",
        )
    except OSError as error:
        return failed(f"{place} cannot be reached: {error}", f"Correct {variable}, or the network")
    return ok(shown)


def _proxy(scheme: str, host: str) -> tuple[str, int] | None:
    given = getproxies().get(scheme)
    if not given or proxy_bypass(host):
        return None
    parts = urlsplit(given if "://" in given else f"http://{given}")
    return (parts.hostname, parts.port or _PORTS["http"]) if parts.hostname else None
