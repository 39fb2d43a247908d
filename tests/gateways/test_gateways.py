"""Behind each real gateway: the same status for each kind of token, no spoofed name, no smuggled request."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from gates import (
    GATEWAYS,
    ISSUER,
    SPOOFED,
    Service,
    Sidecar,
    bearer,
    exchange,
    forged,
    free_port,
    get,
    kinds,
    serving,
    started,
    token,
)

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")
pytestmark = pytest.mark.gateways

KINDS = kinds()
SILENT = {"traefik"}
"""Hands none of the sidecar's headers on to a client whose request passes, so no warning either."""

BY_NAME = {"nginx"}
"""Overwrites the names it is reported, and cannot remove others by how they begin."""


@pytest.mark.parametrize(("headers", "status"), [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS])
def test_gateway_decides(gate: Any, service: Service, headers: list[tuple[str, str]], status: int) -> None:
    """Behind each gateway each kind of token gets its status, and only the good one reaches the service."""
    before = len(service.seen)
    found, answer, _ = get(gate.port, [*headers, *SPOOFED])
    # some refuse two tokens by themselves
    assert found == status or (found == 400 and len(headers) == 2), (found, answer)
    assert len(service.seen) - before == (status == 200), (found, service.seen[before:])
    assert "www-authenticate" in answer or status != 401 or found == 400
    assert "retry-after" in answer or status != 503 or gate.name.startswith("envoy")
    if status == 200:
        inner = service.seen[-1]
        assert (inner["x-jws-subject"], inner["x-jws-issuer"]) == ("ann", ISSUER.iss)
        assert inner["x-jws-status"] == "verified"
        assert spoofed(inner, gate) == {}


INVENTED = {value for name, value in SPOOFED if name != "X-JWS-Status"}


def spoofed(inner: dict[str, str], gate: Any) -> dict[str, str]:
    """Return what a client made up and a service would believe."""
    if gate.name in BY_NAME:
        inner = {name: value for name, value in inner.items() if name != "x-jws-role"}
    return {
        name: value
        for name, value in inner.items()
        if name.replace("_", "-").startswith("x-jws-") and value in INVENTED
    }


def test_A7_names_in_mixed_spellings_reach_nobody(gate: Any, service: Service) -> None:
    """What a service may fold into a trusted name is removed, with ``_`` at any place in it."""
    spellings = [
        (f"X{first}JWS{second}{name}", "admin")
        for name in ("Subject", "Scope", "Partner")
        for first in "-_"
        for second in "-_"
    ]
    assert get(gate.port, [*bearer(token(sub="ann")), *spellings])[0] == 200
    folded = [(name.replace("_", "-"), value) for name, value in service.seen[-1].items()]
    assert [value for name, value in folded if name == "x-jws-subject"] == ["ann"]
    assert [one for one in folded if one[0].startswith("x-jws-") and one[1] == "admin"] == []


MADE_UP = [
    (f"X{sign}{name}", "evil") for name in ("Tenant", "Roles", "tenant", "ROLES") for sign in ("-", "_")
]
"""What a client makes up under the names of claims, in the spellings that a service may fold into one."""


def claims_seen(service: Service) -> list[tuple[str, str]]:
    """Return what the service saw last under the names of claims, empty ones left out."""
    seen = [(name.replace("_", "-"), value) for name, value in service.seen[-1].items() if value]
    return [one for one in seen if one[0] in ("x-tenant", "x-roles")]


def test_claims_reach_the_service_and_no_made_up_one(gate: Any, service: Service) -> None:
    """Behind each gateway verified claims stand in their headers, and nothing that a client made up."""
    roles = base64.urlsafe_b64encode(b'["clerk"]').rstrip(b"=").decode()
    full = token(tid="acme", realm_access={"roles": ["clerk"]})
    assert get(gate.port, [*bearer(full), *MADE_UP])[0] == 200
    assert sorted(claims_seen(service)) == [("x-roles", roles), ("x-tenant", "acme")]
    assert get(gate.port, [*bearer(token(tid="acme")), *MADE_UP])[0] == 200
    assert claims_seen(service) == [("x-tenant", "acme")]
    assert get(gate.port, [*bearer(token()), *MADE_UP])[0] == 200
    assert claims_seen(service) == []


def enforce(sidecar: Sidecar) -> None:
    """End a rollback, which took the partner's own stage back too, where an earlier test gave it one."""
    sidecar.rollout.promote(by="ann", to="enforcement", force=True)
    if any(partner == "ready" for partner, _ in sidecar.rollout.state.plan().stages):
        sidecar.rollout.promote(by="ann", partner="ready", to="enforcement", force=True)
    sidecar.hold(401)
    sidecar.hold(401, bearer(token(exp=1_700_000_000)))


def test_A7_warnings_reach_the_client_whole(gate: Any, sidecar: Sidecar) -> None:
    """Since when and until when come beside the warning, where the gateway can hand them on."""
    try:
        sidecar.rollout.rollback(by="ann", to="warning")
        sidecar.hold(200)
        for _ in range(6):
            status, answer, _ = get(gate.port, [])
            assert status == 200
            if gate.name not in SILENT:
                assert "missing_token" in answer["warning"]
                assert answer["deprecation"].startswith("@")
    finally:
        enforce(sidecar)


def test_promotion_and_rollback_hold_at_once(gate: Any, sidecar: Sidecar, service: Service) -> None:
    """A rollback lets the next request through unsigned, without any trusted name on it."""
    assert get(gate.port, SPOOFED)[0] == 401
    try:
        sidecar.rollout.rollback(by="ann", to="warning")
        sidecar.hold(200)
        for _ in range(6):  # both workers
            status, answer, _ = get(gate.port, SPOOFED)
            assert status == 200
            assert gate.name in SILENT or "missing_token" in answer["warning"]
            inner = service.seen[-1]
            assert inner.get("x-jws-subject", "") == inner.get("x-jws-issuer", "") == ""
            assert inner["x-jws-status"] == "unverified missing_token"
            assert spoofed(inner, gate) == {}
        assert get(gate.port, MADE_UP)[0] == 200  # nothing was verified: no claim is handed on
        assert claims_seen(service) == []
    finally:
        enforce(sidecar)
    for _ in range(6):
        assert get(gate.port, [])[0] == 401


def test_route_of_each_gateway_is_heeded(gate: Any, sidecar: Sidecar) -> None:
    """A stage of one route holds for that route only, and for no other spelling of a stricter one."""
    sidecar.rollout.rollback(by="ann", route="/open", to="detection")
    try:
        sidecar.hold(200, path="/verify/open/x")
        assert get(gate.port, [], "/open/x?y=1")[0] == 200
        assert get(gate.port, [], "/other")[0] == 401
        lies = [("X-Original-URI", "/open"), ("X-Forwarded-Uri", "/open"), ("X-Envoy-Original-Path", "/open")]
        assert get(gate.port, lies, "/other")[0] == 401
        assert get(gate.port, [], "/open/%2e%2e/other")[0] in (400, 401)
        assert get(gate.port, [], "/open%2f..%2fother")[0] in (400, 401)
    finally:
        sidecar.rollout.promote(by="ann", route="/open", to="enforcement", force=True)
        sidecar.hold(401, path="/verify/open/x")


def test_trusted_names_survive_a_hop_by_hop_list(gate: Any, service: Service) -> None:
    """A client that lists our names in Connection can lose them, and never replaces them."""
    for listed in ("X-JWS-Subject", "X-JWS-Status, X-JWS-Subject, X-JWS-Issuer", "close, Authorization"):
        before = len(service.seen)
        lines = [*bearer(token(sub="ann")), *SPOOFED, ("Connection", listed)]
        if get(gate.port, lines)[0] == 200:
            assert spoofed(service.seen[-1], gate) == {}
            assert service.seen[-1].get("x-jws-subject", "ann") in ("ann", "")
        else:
            assert len(service.seen) == before


def smuggled(good: str, bad: str) -> list[tuple[str, bytes]]:
    """Return requests that two servers may cut apart differently; a forged token is in each.

    The body of the first request of a pair is a second request, which nobody decided on if it gets through.
    """
    inner = f"GET /inner HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bad}\r\n\r\n"
    start = "POST /outer HTTP/1.1\r\nHost: x\r\n"
    size = f"Content-Length: {len(inner) + 5}\r\n"
    chunked = "Transfer-Encoding: chunked\r\n"
    head = "GET /outer HTTP/1.1\r\nHost: x\r\n"
    texts = [
        ("length and chunked", f"{start}Authorization: Bearer {bad}\r\n{size}{chunked}\r\n0\r\n\r\n{inner}"),
        ("chunked twice", f"{start}Authorization: Bearer {bad}\r\n{chunked}{chunked}\r\n0\r\n\r\n{inner}"),
        ("odd chunked", f"{start}Authorization: Bearer {bad}\r\nTransfer-Encoding: xchunked\r\n\r\n{inner}"),
        ("two lengths", f"{start}Authorization: Bearer {bad}\r\nContent-Length: 0\r\n{size}\r\n{inner}"),
        ("space before the colon", f"{head}Authorization : Bearer {good}\r\n\r\n"),
        ("folded line", f"{head}Authorization:\r\n Bearer {bad}\r\n\r\n"),
        ("bare line feeds", f"{head}Authorization: Bearer {bad}\n\n{inner}"),
        ("bare return in a value", f"{head}X: a\rAuthorization: Bearer {good}\r\n\r\n"),
        (
            "second token in lower case",
            f"{head}Authorization: Bearer {bad}\r\nauthorization: Bearer {good}\r\n\r\n",
        ),
        ("underscore", f"{head}Authorization_: Bearer {good}\r\n\r\n"),
        ("absolute target", f"GET http://x/outer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bad}\r\n\r\n"),
        ("null in the value", f"{head}Authorization: Bearer {bad}\0{good}\r\n\r\n"),
    ]
    return [(name, text.encode("latin-1")) for name, text in texts]


SMUGGLED = smuggled(token(), forged())


@pytest.mark.parametrize("octets", [one[1] for one in SMUGGLED], ids=[one[0] for one in SMUGGLED])
def test_smuggled_requests_reach_nobody(gate: Any, service: Service, octets: bytes) -> None:
    """A request that two servers may read apart brings nothing undecided to the service."""
    before = len(service.seen)
    found = exchange(gate.port, octets, wait_s=0.4)  # some keep the connection; what comes late is seen below
    assert b" 200 " not in found
    assert get(gate.port, bearer(token(sub="last")))[0] == 200
    assert [one["x-jws-subject"] for one in service.seen[before:]] == ["last"]


def test_partner_is_named_by_the_gateway_only(gate: Any, sidecar: Sidecar) -> None:
    """A client that calls itself a partner in the gateway's own header gets nothing of that partner's."""
    sidecar.rollout.rollback(by="ann", partner="ready", to="detection")
    try:
        sidecar.hold(200, [("X-Partner", "ready")])
        assert get(sidecar.port, [("X-Partner", "ready"), ("X-Original-URI", "/")], "/verify")[0] == 200
        for name in ("X-Partner", "x-partner", "X_Partner"):
            assert get(gate.port, [(name, "ready")])[0] == 401
    finally:
        sidecar.rollout.promote(by="ann", partner="ready", to="enforcement", force=True)
        sidecar.hold(401, [("X-Partner", "ready")])


@pytest.mark.parametrize("name", GATEWAYS)
def test_without_a_sidecar_nothing_passes(name: str, service: Service, tmp_path: Path) -> None:
    """Where no sidecar answers, a good token gets 503, and the service sees nothing.

    Traefik says 500 and cannot be reported otherwise without touching the service's own answers.
    """
    status = 500 if name == "traefik" else 503
    before = len(service.seen)
    gone, grpc = f"127.0.0.1:{free_port()}", free_port()
    with started(name, tmp_path, service=service.port, sidecar=gone, grpc=grpc) as port:
        assert get(port, bearer(token()))[0] == status
        assert get(port, [])[0] == status
    assert len(service.seen) == before


def test_nginx_asks_over_a_unix_socket(service: Service, tmp_path: Path) -> None:
    """A sidecar of two workers on a Unix socket decides as one on a port does."""
    path = tmp_path / "s.sock"
    with (
        serving(tmp_path, listen=f"unix:{path}"),
        started("nginx", tmp_path, service=service.port, sidecar=f"unix:{path}") as port,
    ):
        for _, headers, status in kinds():
            before = len(service.seen)
            assert get(port, [*headers, *SPOOFED])[0] == status or len(headers) == 2
            assert len(service.seen) - before == (status == 200)
    assert not path.exists()
