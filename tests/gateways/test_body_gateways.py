"""Signed bodies behind gateways that hand them on: a real Envoy, over HTTP and gRPC, and a real Traefik."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gates import Service, Sidecar, bearer, free_port, get, program, running, token
from sidecar_process import until

from rapidjws import JWK
from rapidjws.signing import LocalSigner, sign_compact

pytest.importorskip("uvloop", reason="the extra `server` is not installed")
pytestmark = [pytest.mark.gateways, pytest.mark.source_tree]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Signature = Callable[[bytes], dict[str, str]]
BODY = b'{"amount": "12.00"}'
LIMIT_BYTES = 8192
ALLOWED = "".join(f"{{ exact: {name} }}, " for name in ("authorization", "content-type", "x-signature"))
INDENT = " " * 22
WITH_BODY = (
    f"with_request_body:\n{INDENT}  {{ max_request_bytes: {LIMIT_BYTES}, allow_partial_message: true, "
    f"pack_as_bytes: true }}\n{INDENT}allowed_headers: {{ patterns: [{ALLOWED}] }}\n{INDENT}"
)


@pytest.fixture(name="port", scope="module", params=["envoy-http", "envoy-grpc", "traefik"])
def _port(
    request: pytest.FixtureRequest,
    sidecar: Sidecar,
    grpc_port: int,
    service: Service,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    name = request.param.partition("-")[0]
    if program(name) is None:
        pytest.skip(f"{name} absent: `make gateways` installs it where it can be had")
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    ports = {8080: port, 8088: sidecar.port, 8089: grpc_port, 9000: service.port}
    for path in (EXAMPLES / name).glob("*.y*ml"):
        text = path.read_text("utf-8")
        for before, after in ports.items():
            text = text.replace(f":{before}", f":{after}").replace(
                f"port_value: {before}", f"port_value: {after}"
            )
        text = text.replace("allowed_headers: { patterns: [{ exact: dpop }] } # beside Authorization\n", "\n")
        text = text.replace("failure_mode_allow: false", f"{WITH_BODY}failure_mode_allow: false")
        forwarded = "trustForwardHeader: false\n        forwardBody: true\n        maxBodySize: "
        text = text.replace("trustForwardHeader: false", f"{forwarded}{LIMIT_BYTES}")
        (folder / path.name).write_text(text)
    words = [str(program(name)), "--configFile=traefik.yml"]
    if name == "envoy":
        words = [words[0], "-c", f"{request.param}.yaml", "--use-dynamic-base-id", "--log-level", "error"]
    with running(words, port, cwd=folder):
        until(lambda: get(port, [])[0] != 404, "no routes")  # Traefik listens before it has any
        yield port


def status(port: int, body: bytes, headers: dict[str, str], path: str = "/hooks/pay") -> int:
    """Return the status of a POST."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        link.request("POST", path, body, {"Content-Type": "application/json", **headers})
        answer = link.getresponse()
        answer.read()
        return answer.status
    finally:
        link.close()


@pytest.fixture(name="signature", scope="module")
def _signature(sender: JWK) -> Callable[[bytes], dict[str, str]]:
    return lambda body: {"X-Signature": sign_compact(body, LocalSigner(sender), detached=True)}


def test_bodies_are_verified_behind_a_gateway(port: int, service: Service, signature: Signature) -> None:
    """A signed body reaches the service; a changed one, one without a signature and a bearer token do not."""
    before = len(service.seen)
    assert status(port, BODY, signature(BODY)) == 200
    assert len(service.seen) == before + 1
    assert service.seen[-1]["x-jws-status"] == "verified"
    assert status(port, BODY + b" ", signature(BODY)) == 401
    assert status(port, BODY, {}) == 401
    assert status(port, BODY, dict(bearer(token()))) == 401
    assert status(port, b"", signature(b"")) == 401
    assert len(service.seen) == before + 1


def test_other_routes_need_their_token(port: int, signature: Signature) -> None:
    """Outside of the routes a bearer token decides, and a signed body is nothing."""
    assert status(port, BODY, dict(bearer(token())), "/api") == 200
    assert status(port, BODY, signature(BODY), "/api") == 401


def test_a_body_that_was_cut_off_is_refused(port: int, service: Service, signature: Signature) -> None:
    """What a gateway hands on in part is not verified by its beginning."""
    before = len(service.seen)
    whole = b"a" * (2 * LIMIT_BYTES)
    for signed in (whole, whole[:LIMIT_BYTES]):
        assert status(port, whole, signature(signed)) in (401, 413)
    assert len(service.seen) == before
