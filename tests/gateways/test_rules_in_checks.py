"""Rules after the verdict at the sidecar's two listeners: the same table over HTTP and over Envoy's gRPC."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from gates import bearer, free_port, get, serving, token

grpc = pytest.importorskip("grpc", reason="the extra `envoy` is not installed")
external_auth = pytest.importorskip("envoy.service.auth.v3.external_auth_pb2", reason="xds-protos is absent")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")
pytest.importorskip("cel", reason="the extra `cel` is not installed")

METHOD = "/envoy.service.auth.v3.Authorization/Check"
AUTHZ = {
    "rules": [
        {"name": "tenant", "routes": ["/tenants/{tenant}"], "claim_equals": {"tid": "path.tenant"}},
        {"name": "pay", "routes": ["/tenants/{tenant}/pay"], "methods": ["POST"], "scopes": ["pay"]},
        {"name": "internal", "hosts": ["internal.example"], "claims": {"staff": True}},
        {"name": "gold", "routes": ["/gold"], "cel": ["has(claims.tier) && header['x-t'] == claims.tier"]},
        {"name": "agent", "routes": ["/agent"], "act": {"required": True, "actors": ["svc"]}},
        {"name": "watched", "routes": ["/tenants"], "scopes": ["of.nobody"], "phase": "detect"},
    ]
}


class Row(NamedTuple):
    """A request and what it must get, at either listener."""

    path: str
    code: str
    claims: dict[str, Any]
    method: str = "GET"
    host: str = "api.example"
    headers: tuple[tuple[str, str], ...] = ()


OWN = {"tid": "acme"}
STATUSES = {"ok": 200, "policy_unavailable": 503}
ROWS = (
    Row("/tenants/acme/orders", "ok", OWN),
    Row("/tenants/acme/orders?x=/gold", "ok", OWN),
    Row("/tenants/other/orders", "request_mismatch", OWN),
    Row("/tenants/acme/pay", "ok", OWN),
    Row("/tenants/acme/pay", "insufficient_scope", OWN, "POST"),
    Row("/tenants/acme/PAY", "insufficient_scope", OWN, "post"),
    Row("/tenants/acme/pay", "ok", {**OWN, "scope": "a pay"}, "POST"),
    Row("/tenants/acme/pay", "ambiguous_request", {**OWN, "scope": "pay"}, "PO ST"),
    Row("/tenants/acme//pay", "ambiguous_request", OWN, "POST"),
    Row("/tenants/acme/x/../pay", "ambiguous_request", OWN, "POST"),
    Row("/tenants/acme/pay;a=b", "ambiguous_request", OWN, "POST"),
    Row("/tenants/acme%2Fpay", "ambiguous_request", OWN, "POST"),
    Row("/tenants/acme/p%61y", "insufficient_scope", OWN, "POST"),
    Row("/tenants/acme/orders", "claim_not_accepted", OWN, host="internal.example"),
    Row("/tenants/acme/orders", "claim_not_accepted", {**OWN, "staff": "true"}, host="INTERNAL.example:443"),
    Row("/tenants/acme/orders", "ok", {**OWN, "staff": True}, host="internal.example."),
    Row("http://internal.example/tenants/acme", "ambiguous_request", OWN),
    Row("/gold", "ok", {"tier": "gold"}, headers=(("X-T", "gold"),)),
    Row("/gold", "policy_refused", {"tier": "gold"}, headers=(("X-T", "lead"),)),
    Row("/gold", "policy_refused", {}, headers=(("X-T", "gold"),)),
    Row("/gold", "policy_unavailable", {"tier": "gold"}),
    Row("/agent", "ok", {"act": {"sub": "svc"}}),
    Row("/agent", "actor_not_allowed", {"act": {"sub": "svc", "iss": "https://evil.example"}}),
    Row("/agent", "actor_not_allowed", {"act": {"sub": "other", "act": {"sub": "svc"}}}),
    Row("/elsewhere", "no_rule", OWN),
)


class Listeners(NamedTuple):
    """Where a sidecar answers."""

    port: int
    channel: Any

    def http(self, row: Row) -> tuple[int, str]:
        """Return status and code over HTTP."""
        sent = [("X-Original-URI", row.path), ("X-Method", row.method), ("X-Host", row.host), *row.headers]
        status, _, body = get(self.port, [*bearer(token(**row.claims)), *sent], "/verify")
        return status, "ok" if status == 200 else json.loads(body)["code"]

    def envoy(self, row: Row) -> tuple[int, str]:
        """Return status and code over gRPC."""
        asked = external_auth.CheckRequest()
        http = asked.attributes.request.http
        http.method, http.path, http.host = row.method, row.path, row.host
        for name, value in (*bearer(token(**row.claims)), *row.headers):
            http.headers[name.lower()] = value
        octets = self.channel.unary_unary(METHOD)(asked.SerializeToString(), timeout=60, wait_for_ready=True)
        answer = external_auth.CheckResponse.FromString(octets)
        if not answer.status.code:
            return 200, "ok"
        return int(answer.denied_response.status.code), json.loads(answer.denied_response.body)["code"]


@pytest.fixture(scope="module")
def listeners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listeners]:
    """Start a sidecar of two workers with rules."""
    address = f"127.0.0.1:{free_port()}"
    names = {"method_header": "X-Method", "host_header": "X-Host"}
    folder = tmp_path_factory.mktemp("rules")
    with serving(folder, {"authz": AUTHZ}, grpc_listen=address, **names) as sidecar:
        channel = grpc.insecure_channel(address)
        yield Listeners(sidecar.port, channel)
        channel.close()


@pytest.mark.parametrize("row", ROWS, ids=[f"{at}-{row.code}" for at, row in enumerate(ROWS)])
def test_a_rule_says_the_same_at_both_listeners(listeners: Listeners, row: Row) -> None:
    """Each worker answers as the table says, over HTTP and over gRPC, and again when it knows the request."""
    expected = STATUSES.get(row.code, 403), row.code
    for _ in range(4):
        assert listeners.envoy(row) == expected
        assert listeners.http(row) == expected
