"""A secret in tokens that come over gRPC, to a sidecar with an audit trail, is in none of its outputs."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from audited_sidecar import answer, audited, sequencer_of
from gates import forged, free_port, get, token

grpc = pytest.importorskip("grpc", reason="the extra `envoy` is not installed")
external_auth = pytest.importorskip("envoy.service.auth.v3.external_auth_pb2", reason="xds-protos is absent")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

CANARY = "canary-c3e9"
METHOD = "/envoy.service.auth.v3.Authorization/Check"


def checked(channel: object, given: str) -> int:
    """Return the status that Envoy would answer, 200 for a permit."""
    asked = external_auth.CheckRequest()
    http = asked.attributes.request.http
    http.method, http.path = "GET", f"/a?token={given}"
    http.headers["authorization"] = f"Bearer {given}"
    call = channel.unary_unary(METHOD)  # type: ignore[attr-defined]
    octets = call(asked.SerializeToString(), timeout=60, wait_for_ready=True)
    return int(external_auth.CheckResponse.FromString(octets).denied_response.status.code) or 200


def traced(address: str) -> None:
    """Send what is no gRPC, with the canary in it, to the listener."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 30) as link:
        link.sendall(f"GET /{CANARY} HTTP/1.1\r\nX-{CANARY}: {CANARY}\r\n\r\n".encode())
        link.settimeout(5)
        try:
            link.recv(4096)
        except OSError:
            return


@pytest.mark.parametrize("server", ["grpcio", "ngh2"])
def test_no_secret_of_a_check_is_written(server: str, tmp_path: Path) -> None:
    """Good, forged, confused and malformed tokens with a canary: lines, metrics, sequencer, trail."""
    pytest.importorskip("grpc" if server == "grpcio" else "ngh2", reason="the extra `envoy` is absent")
    address = f"127.0.0.1:{free_port()}"
    good = token(sub=CANARY, jti=CANARY)
    given = {
        good: 200,
        good.rpartition(".")[0] + "." + forged().rpartition(".")[2]: 401,
        token(sub=CANARY, header={"alg": "none", "kid": "k"}): 401,
        token(sub=CANARY, exp=1): 401,
        token(sub=CANARY, iss=f"https://{CANARY}.example"): 401,
        f"{CANARY}.a.b": 401,
    }
    shown = b""
    listener = {"grpc_listen": address, "grpc_server": server}
    with audited(tmp_path, server=listener, content=[]) as (service, port):  # no tokens beside the records
        channel = grpc.insecure_channel(address)
        for one, status in given.items():
            assert checked(channel, one) == status
            assert answer(port, one) == status
        channel.close()
        traced(address)
        assert sequencer_of(service, tmp_path) > 0
        end_s = time.monotonic() + 60
        while b'rapidjws_audit_records_total{result="recorded"}' not in shown and time.monotonic() < end_s:
            shown = get(port, [], "/metrics")[2]
            time.sleep(0.1)
    trail = {one.name: one.read_bytes() for one in (tmp_path / "trail").rglob("*") if one.is_file()}
    outputs = {"metrics": shown, "log": service.log.read_bytes(), "lines": service.text().encode(), **trail}
    assert b"token_refused" in outputs["log"]
    assert trail
    for one in given:
        for piece in (CANARY, *(part for part in one.split(".")[1:] if len(part) > 8)):
            assert [name for name, octets in outputs.items() if piece.encode() in octets] == [], piece
