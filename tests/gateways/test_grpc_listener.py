"""The sidecar's gRPC listener without Envoy: real calls, what is no check, and clients that mean no good."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gates import ISSUER, bearer, free_port, kinds, serving, token
from raw_links import CUT_OFF_WITHIN_S, closed

grpc = pytest.importorskip("grpc", reason="the extra `envoy` is not installed")
external_auth = pytest.importorskip("envoy.service.auth.v3.external_auth_pb2", reason="xds-protos is absent")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

METHOD = "/envoy.service.auth.v3.Authorization/Check"


def request(headers: list[tuple[str, str]], path: str = "/a") -> bytes:
    """Return a check as Envoy sends it: headers of one name joined by a comma."""
    asked = external_auth.CheckRequest()
    http = asked.attributes.request.http
    http.method, http.path = "GET", path
    for name, value in headers:
        before = http.headers.get(name.lower())
        http.headers[name.lower()] = value if before is None else f"{before},{value}"
    return bytes(asked.SerializeToString())


class Client:
    """A channel to the listener."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.channel = grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)])

    def call(self, octets: bytes, method: str = METHOD) -> Any:
        """Send one message and return the answer read."""
        answer = self.channel.unary_unary(method)(octets, timeout=60, wait_for_ready=True)
        return external_auth.CheckResponse.FromString(answer)

    def status(self, headers: list[tuple[str, str]]) -> int:
        """Return the HTTP status that Envoy would answer, 200 for a permit."""
        answer = self.call(request(headers))
        return int(answer.denied_response.status.code) or 200

    def refused(self, octets: bytes, method: str = METHOD) -> Any:
        """Return the gRPC status of a call that gets no answer."""
        with pytest.raises(grpc.RpcError) as caught:
            self.call(octets, method)
        return caught.value.code()


@pytest.fixture(name="server", scope="module", params=["grpcio", "ngh2"])
def _server(request: pytest.FixtureRequest) -> str:
    """Give what answers gRPC."""
    pytest.importorskip("grpc" if request.param == "grpcio" else "ngh2", reason="the extra `envoy` is absent")
    return str(request.param)


@pytest.fixture(scope="module")
def client(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Start a sidecar of two workers that answers gRPC."""
    address = f"127.0.0.1:{free_port()}"
    folder = tmp_path_factory.mktemp("g")
    with serving(folder, grpc_listen=address, grpc_server=server, header_timeout_s=1.5):
        one = Client(address)
        yield one
        one.channel.close()


def test_each_kind_of_token_gets_its_status(client: Client) -> None:
    """A call is answered as a request to the other middlewares is; two tokens are one too many."""
    for name, headers, status in kinds():
        expected = 400 if name == "two tokens" else status
        assert client.status(headers) == expected, name


def test_a_good_token_hands_its_names_on(client: Client) -> None:
    """A permit carries the trusted names, and takes away what the client sent under ours."""
    answer = client.call(request([*bearer(token(sub="ann")), ("X-JWS-Role", "admin")]))
    given = {one.header.key: one.header.value for one in answer.ok_response.headers}
    assert (given["x-jws-subject"], given["x-jws-issuer"], given["x-jws-partner"]) == (
        "ann",
        ISSUER.iss,
        "ready",
    )
    assert list(answer.ok_response.headers_to_remove) == ["x-jws-role"]


def test_what_is_no_check_is_refused(client: Client) -> None:
    """Broken messages, other methods and what is too large get an error, on which Envoy lets nothing pass."""
    good = request(bearer(token()))
    assert client.refused(b"\xff" * 50) == grpc.StatusCode.INVALID_ARGUMENT
    assert client.refused(good[:-20]) == grpc.StatusCode.INVALID_ARGUMENT
    assert client.refused(b"") == grpc.StatusCode.INVALID_ARGUMENT
    assert client.refused(good, METHOD + "s") == grpc.StatusCode.UNIMPLEMENTED
    assert client.refused(request([("x", "a" * (1 << 20))])) == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert client.status(bearer(token())) == 200


def raw(client: Client) -> socket.socket:
    """Connect beside the channel."""
    host, _, port = client.address.rpartition(":")
    return socket.create_connection((host, int(port)), 30)


@pytest.mark.parametrize(
    "octets",
    [
        b"GET /verify HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + bytes(9)
        + b"\x00\x7f\xff\xff\x01\x05\x00\x00\x00\x01"
        + b"a" * 9999,
    ],
    ids=["HTTP/1.1", "TLS", "garbage frames", "huge header frame"],
)
def test_other_protocols_are_cut_off(client: Client, octets: bytes) -> None:
    """What does not speak HTTP/2, or speaks it wrongly, is hung up on; calls go on."""
    link = raw(client)
    link.sendall(octets)
    assert closed(link)
    assert client.status(bearer(token())) == 200


def test_silent_and_slow_greetings_are_cut_off(client: Client) -> None:
    """Many connections that never finish their greeting end in time, and calls are answered meanwhile."""
    slow = [raw(client) for _ in range(40)]
    for number, link in enumerate(slow):
        link.sendall(b"PRI * HTTP/2.0\r\n\r\nSM"[: number % 18])
    assert client.status(bearer(token())) == 200
    started_s = time.monotonic()
    assert all(closed(link) for link in slow)
    assert time.monotonic() - started_s < CUT_OFF_WITHIN_S
    assert client.status(bearer(token())) == 200


def test_a_unix_socket(server: str, tmp_path: Path) -> None:
    """A sidecar answers gRPC on a Unix socket as well, where grpcio does with one worker only."""
    path = tmp_path / "g.sock"
    workers = 1 if server == "grpcio" else 2
    with serving(tmp_path, workers=workers, grpc_listen=f"unix:{path}", grpc_server=server):
        one = Client(f"unix:{path}")
        assert one.status(bearer(token())) == 200
        assert one.status([]) == 401
        one.channel.close()


def test_drain_answers_what_is_under_way(server: str, tmp_path: Path) -> None:
    """A sidecar that is reported to stop ends with 0 although a channel stays open."""
    address = f"127.0.0.1:{free_port()}"
    with serving(tmp_path, grpc_listen=address, grpc_server=server, drain_s=2) as sidecar:
        one = Client(address)
        assert one.status(bearer(token())) == 200
        sidecar.process.terminate()
        assert sidecar.process.wait(60) == 0
        one.channel.close()
