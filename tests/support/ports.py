"""Free ports for the servers of tests."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def free_ports(count: int) -> list[int]:
    taken = [socket.socket() for _ in range(count)]
    try:
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]
    finally:
        for each in taken:
            each.close()


@contextmanager
def closed_door(port: int) -> Iterator[Callable[[], int]]:
    """A server on a port that ends every connection at once; how many there have been."""
    knocks = 0

    def answer(server: socket.socket) -> None:
        nonlocal knocks
        while True:
            try:
                server.accept()[0].close()
            except OSError:
                return  # the door is taken away
            knocks += 1

    with socket.create_server(("127.0.0.1", port)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        try:
            yield lambda: knocks
        finally:
            server.shutdown(socket.SHUT_RDWR)  # wakes `accept`
            thread.join(10)
