"""A server that answers questions for a policy as a test says: well, late, wrong, or not at all."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

Answer = Callable[[socket.socket, dict[str, Any]], bool]
"""Writes an answer to a question's input; returns whether the connection goes on."""


class PolicyServer:
    """What a test knows of the server.

    Attributes:
        url: Its address.
        inputs: What it was asked, in order.
        connections: How many were opened.
        answer: What it does with a question.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.inputs: list[dict[str, Any]] = []
        self.connections = 0
        self.answer: Answer = plain(b'{"result": true}')
        self._listener = listener
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def serve(self) -> None:
        """Take connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                thread = threading.Thread(target=self._talk, args=(connection,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as lines:
            while lines.readline():
                length = 0
                while (line := lines.readline()).strip():
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                self.inputs.append(json.loads(lines.read(length))["input"])
                if not self.answer(connection, self.inputs[-1]):
                    return

    def close(self) -> None:
        """Close every connection and wait for its thread."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)


def plain(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> Answer:
    """Return an answer of one body."""

    def answer(connection: socket.socket, _: dict[str, Any]) -> bool:
        head = b"HTTP/1.1 %b\r\ncontent-length: %d\r\n%b\r\n" % (status, len(body), headers)
        connection.sendall(head + body)
        return True

    return answer


@contextlib.contextmanager
def policy_server() -> Iterator[PolicyServer]:
    """Run a server; yield what a test knows of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = PolicyServer(listener)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(60)
            server.close()
