"""DPoP behind real gateways: what a client writes into headers moves no proof to another request."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from typing import Any

import dpop
import pytest
import tokens
from gates import ISSUER, Service, free_port, serving, started, token

from rapidjws.sender import DPoPNonces

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")
pytestmark = pytest.mark.gateways

ORIGIN = "https://api.example.com"
SECRET = "a secret for the nonces of this test, long enough"
METHOD_HEADERS = {
    "nginx": "X-Original-Method",
    "haproxy": "X-Original-Method",
    "traefik": "X-Forwarded-Method",
    "caddy": "X-Forwarded-Method",
}
"""Where a gateway puts the client's method; Envoy asks with the client's own."""
Headers = list[tuple[str, str]]


class Gate:
    """A gateway, and the service behind it."""

    def __init__(self, name: str, port: int, service: Service) -> None:
        self.name, self.port, self.service = name, port, service

    def answer(self, method: str, target: str, headers: Headers) -> tuple[int, dict[str, str]]:
        """Send one request; return status and headers of its answer."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            link.putrequest(method, target, skip_host=True)
            for name, value in [("Host", "api.example.com"), *headers]:
                link.putheader(name, value)
            if method == "POST":
                link.putheader("Content-Length", "0")
            link.endheaders()
            found = link.getresponse()
            found.read()
            return found.status, {name.lower(): value for name, value in found.getheaders()}
        finally:
            link.close()

    def status(self, method: str, target: str, headers: Headers) -> int:
        """Send one request; return the status of its answer."""
        return self.answer(method, target, headers)[0]


@pytest.fixture(scope="module", params=["nginx", "envoy", "envoy-grpc", "haproxy", "traefik", "caddy"])
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Start a gateway with its example's configuration, a sidecar that checks proofs, and a service."""
    folder, service, grpc = tmp_path_factory.mktemp(request.param), Service(), free_port()
    (folder / "secrets").write_text(SECRET)
    (folder / "secrets").chmod(0o600)
    sections = {
        "dpop": {"external_origins": ORIGIN, "nonce_secrets_file": "secrets", "nonce_required": False}
    }
    settings: dict[str, Any] = {"workers": 1}
    if request.param in METHOD_HEADERS:
        settings["method_header"] = METHOD_HEADERS[request.param]
    if request.param == "envoy-grpc":
        pytest.importorskip("grpc", reason="the extra `envoy` is not installed")
        settings["grpc_listen"] = f"127.0.0.1:{grpc}"
    try:
        with (
            serving(folder, sections, **settings) as sidecar,
            started(
                request.param, folder, service=service.port, sidecar=f"127.0.0.1:{sidecar.port}", grpc=grpc
            ) as port,
        ):
            yield Gate(request.param, port, service)
    finally:
        service.close()


def presented(bearer: str, *proofs: str, scheme: str = "DPoP") -> Headers:
    """Return the headers of a token and its proofs."""
    return [("Authorization", f"{scheme} {bearer}"), *(("DPoP", one) for one in proofs)]


def proof(bearer: str, **changes: Any) -> str:
    """Return a proof of now for GET /orders at the external origin."""
    claims = {"htm": "GET", "htu": f"{ORIGIN}/orders", "iat": int(time.time()), **changes}
    return dpop.proof(bearer, **claims)


def test_a_proof_holds_for_its_request_behind_a_gateway(gate: Gate) -> None:
    """Once, for its method and path at the external origin, and for nobody else's token."""
    bound = token(cnf={"jkt": dpop.thumbprint()})
    assert ISSUER.iss != tokens.ISS
    good = presented(bound, proof(bound))
    assert gate.status("GET", "/orders", good) == 200
    assert gate.status("GET", "/orders", good) == 401
    assert gate.status("GET", "/orders?page=2", presented(bound, proof(bound))) == 200
    assert gate.status("POST", "/orders", presented(bound, proof(bound, htm="POST"))) == 200
    for method, target, headers in (
        ("POST", "/orders", presented(bound, proof(bound))),
        ("GET", "/orders/", presented(bound, proof(bound))),
        ("GET", "/Orders", presented(bound, proof(bound))),
        ("GET", "/orders%2F", presented(bound, proof(bound))),
        ("GET", "/other", presented(bound, proof(bound))),
        ("GET", "/orders?page=2", presented(bound, proof(bound, htu=f"{ORIGIN}/orders?page=3"))),
        ("GET", "/orders", presented(bound, proof(bound, htu=f"http://127.0.0.1:{gate.port}/orders"))),
        ("GET", "/orders", presented(bound, proof(bound), scheme="Bearer")),
        ("GET", "/orders", presented(bound)),
        ("GET", "/orders", presented(bound, proof(bound), proof(bound))),
        ("GET", "/orders", presented(token(cnf={"jkt": dpop.thumbprint(name="other")}), proof(bound))),
    ):
        assert gate.status(method, target, headers) in (400, 401), (method, target)


def test_no_header_of_a_client_moves_a_proof(gate: Gate) -> None:
    """Method, path, scheme and host are the request's own, whatever the client writes beside them."""
    bound = token(cnf={"jkt": dpop.thumbprint()})
    for method, target, spoofed, changes in (
        ("POST", "/orders", [("X-Original-Method", "GET")], {}),
        ("POST", "/orders", [("X-Forwarded-Method", "GET"), ("X-Original-Method", "GET")], {}),
        ("POST", "/orders", [("X-HTTP-Method-Override", "GET")], {}),
        ("GET", "/other", [("X-Original-URI", "/orders")], {}),
        ("GET", "/other", [("X-Forwarded-Uri", "/orders"), ("X-Original-URI", "/orders")], {}),
        ("GET", "/orders", [("X-Forwarded-Proto", "http")], {"htu": "http://api.example.com/orders"}),
        ("GET", "/orders", [("X-Forwarded-Host", "evil.example")], {"htu": "https://evil.example/orders"}),
        ("GET", "/orders", [("X-Forwarded-Prefix", "/v2")], {"htu": f"{ORIGIN}/v2/orders"}),
    ):
        headers = [*presented(bound, proof(bound, **changes)), *spoofed]
        assert gate.status(method, target, headers) in (400, 401), spoofed
    assert gate.status("GET", "/orders", presented(bound, proof(bound))) == 200


def test_a_nonce_reaches_the_client_through_a_gateway(gate: Gate) -> None:
    """A refusal carries DPoP-Nonce and the challenge; the nonce is then good, and one made up is not."""
    bound = token(cnf={"jkt": dpop.thumbprint()})
    status, headers = gate.answer("GET", "/orders", presented(bound, proof(bound, nonce="made up")))
    assert status == 401
    assert "use_dpop_nonce" in headers["www-authenticate"]
    nonce = headers["dpop-nonce"]
    assert DPoPNonces(secrets=[SECRET.encode()]).accepts(nonce, time.time_ns())
    assert gate.status("GET", "/orders", presented(bound, proof(bound, nonce=nonce))) == 200
