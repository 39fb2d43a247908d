"""Slow, huge and broken clients, on each listener: the public port, a Unix socket, the admin socket.

Whoever misbehaves is cut off within the limits, and the others are served meanwhile.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gates import bearer, exchange, forged, get, serving, token
from raw_links import CUT_OFF_WITHIN_S, closed

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

HEADER_TIMEOUT_S = 1.5
MANY = 300

Target = int | Path


class Listener:
    """Where a listener is, a path that it answers, and how it serves an honest client.

    Args:
        target: The port or socket.
        path: What a hostile client asks for.
        serves: Returns whether an honest client gets its answer.
    """

    def __init__(self, target: Target, path: bytes, serves: Callable[[], bool]) -> None:
        self.target = target
        self.path = path
        self.serves = serves


def connect(target: Target) -> socket.socket:
    """Connect to a port or a Unix socket."""
    if isinstance(target, int):
        return socket.create_connection(("127.0.0.1", target), 30)
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(30)
    link.connect(str(target))
    return link


@pytest.fixture(scope="module", params=["port", "unix", "admin"])
def listener(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    """Start a sidecar of one worker and give one of its listeners."""
    folder = tmp_path_factory.mktemp("h")
    admin, public = folder / "admin.sock", folder / "public.sock"
    settings = {"listen": f"unix:{public}"} if request.param == "unix" else {}
    with serving(
        folder,
        workers=1,
        header_timeout_s=HEADER_TIMEOUT_S,
        max_connections=200,
        admin_listen=f"unix:{admin}",
        **settings,
    ) as sidecar:
        target: Target = public if request.param == "unix" else sidecar.port
        if request.param == "admin":
            yield Listener(admin, b"/admin/status", lambda: get(admin, [], "/admin/status")[0] == 200)
        else:
            yield Listener(target, b"/verify", lambda: get(target, bearer(token()), "/verify")[0] == 200)


HUGE = [
    ("one header of 1 MiB", lambda path: b"GET %b HTTP/1.1\r\nX: %b" % (path, b"a" * (1 << 20)), b"431"),
    (
        "a thousand headers",
        lambda path: b"GET %b HTTP/1.1\r\n" % path
        + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 999) for n in range(1000)),
        b"431",
    ),
    ("a target of 1 MiB", lambda path: b"GET %b?%b HTTP/1.1\r\n" % (path, b"a" * (1 << 20)), b"431"),
    (
        "a body over the limit",
        lambda path: b"POST %b HTTP/1.1\r\nContent-Length: 999999\r\n\r\n%b" % (path, b"a" * 200_000),
        b"413",
    ),
    (
        "chunks over the limit",
        lambda path: b"POST %b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % path
        + (b"4000\r\n" + b"a" * 0x4000 + b"\r\n") * 8,
        b"413",
    ),
    ("a TLS greeting", lambda path: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
    ("HTTP/2 without asking", lambda path: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    ("zeros", lambda path: bytes(4096), b"400"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "status"), [one[1:] for one in HUGE], ids=[one[0] for one in HUGE])
def test_huge_and_broken_requests_are_cut_off(
    listener: Listener, make: Callable[[bytes], bytes], status: bytes
) -> None:
    """What is too large or no HTTP is refused, the connection closed, and the next client served."""
    found = exchange(listener.target, make(listener.path))
    assert found[:12] in (b"HTTP/1.1 " + status, b"")  # where we hang up first, the answer may be lost
    assert b" 200 " not in found
    assert listener.serves()


def test_a_slow_head_is_cut_off_while_others_are_served(listener: Listener) -> None:
    """Many clients that never finish their heads are served no longer than the limit, octet by octet too."""
    slow = [connect(listener.target) for _ in range(40)]
    for one in slow:
        one.sendall(b"GET %b HTTP/1.1\r\nAuthoriz" % listener.path)
    assert listener.serves()
    end_s = time.monotonic() + 2 * HEADER_TIMEOUT_S
    with contextlib.suppress(OSError):  # one octet now and then does not prolong it
        while time.monotonic() < end_s:
            slow[0].sendall(b"a")
            time.sleep(0.2)
    assert all(closed(one) for one in slow)
    assert listener.serves()


def test_a_slow_body_is_cut_off(listener: Listener) -> None:
    """A body that never ends is as slow as a head that never does."""
    link = connect(listener.target)
    link.sendall(b"POST %b HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc" % listener.path)
    assert closed(link)
    assert listener.serves()


def test_half_closed_clients_leave_nothing(listener: Listener) -> None:
    """Clients that shut their writing side in the middle, or vanish, leave the listener serving."""
    for cut in (
        b"",
        b"GET ",
        b"GET %b HTTP/1.1\r\nX: " % listener.path,
        b"GET %b HTTP/1.1\r\n\r\n" % listener.path,
    ):
        for _ in range(5):
            link = connect(listener.target)
            link.sendall(cut)
            link.shutdown(socket.SHUT_WR)
            assert closed(link)
            gone = connect(listener.target)
            gone.sendall(cut)
            gone.close()
    assert listener.serves()


@pytest.mark.parametrize(
    ("more", "is_half_closed"),
    [(b"", True), (b"Connection: Upgrade\r\nUpgrade: h2c\r\n", False), (b"\r\nGET / HTTP/1.1\r\n", True)],
    ids=["no more to send", "an upgrade", "another one behind"],
)
def test_what_was_asked_before_an_end_is_answered(
    listener: Listener, more: bytes, is_half_closed: bool
) -> None:
    """A request that takes a thread is answered though its client sends no more, or wants another protocol.

    What it changed, or the use of a token that it recorded, would be unknown to its client otherwise.
    """
    path = b"/metrics" if listener.path == b"/verify" else listener.path
    link = connect(listener.target)
    link.settimeout(60)
    link.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path, more))
    if is_half_closed:
        link.shutdown(socket.SHUT_WR)
    found = b""
    with link, contextlib.suppress(ConnectionError):
        while piece := link.recv(65536):
            found += piece
    head, _, body = found.partition(b"\r\n\r\n")
    size = re.search(rb"content-length: (\d+)", head)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert size is not None
    assert len(body) >= int(size[1]) > 0
    assert listener.serves()


def test_too_many_connections_are_refused(listener: Listener) -> None:
    """Connections over the limit are closed at once; when the crowd is gone, others are served."""
    crowd: list[socket.socket] = []
    with contextlib.suppress(OSError):
        for _ in range(MANY):
            crowd.append(connect(listener.target))
    refused = 0
    for link in crowd:
        link.settimeout(0.01)
        try:
            refused += link.recv(1) == b""
        except TimeoutError:
            pass
        except ConnectionError:
            refused += 1
    for link in crowd:
        link.close()
    assert refused > 0 or len(crowd) < MANY
    end_s = time.monotonic() + CUT_OFF_WITHIN_S
    while True:
        with contextlib.suppress(OSError):
            if listener.serves():
                break
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_pipelined_garbage_ends_its_connection_only(listener: Listener) -> None:
    """Requests in one piece are answered in order until the garbage among them; no other client notices."""
    one = b"GET %b HTTP/1.1\r\n\r\n" % listener.path
    found = exchange(listener.target, one * 3 + b"\0\xffgarbage\r\n\r\n" + one)
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", found)
    assert len(statuses) <= 4
    assert statuses[-1:] in ([b"400"], [])
    assert listener.serves()


def test_a_client_that_does_not_read_is_dropped(listener: Listener) -> None:
    """Who sends requests without end and reads no answer is cut off, and costs the others nothing."""
    link = connect(listener.target)
    one = b"GET %b HTTP/1.1\r\nAuthorization: Bearer %b\r\n\r\n" % (listener.path, forged().encode())
    link.settimeout(2)
    with contextlib.suppress(OSError):
        for _ in range(20_000):
            link.sendall(one * 20)
    assert listener.serves()
    watch = select.poll()
    watch.register(link, 0)  # for its end only: to read would make it an honest client
    assert watch.poll(CUT_OFF_WITHIN_S * 1000)
    link.close()
    assert listener.serves()
