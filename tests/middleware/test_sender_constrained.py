"""Sender-constrained tokens in the middlewares and the sidecar: one table of requests, the same verdicts."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import dpop
import frameworks
import pytest
import tokens
from grpc_calls import SERVERS, checked

from rapidjws.sender import ClientCertificate, DPoP, DPoPNonces, SenderConstraints

NONCES = DPoPNonces(secrets=[b"s" * 32], required=False)
ORIGIN = "https://api.example"
CERTIFICATE = "A" * 43


def constraints() -> SenderConstraints:
    """Return checks as a service has them."""
    return SenderConstraints(
        dpop=DPoP(external_origins=ORIGIN, algorithms=["ES256"], nonces=NONCES),
        mtls=ClientCertificate(trusted_peers="192.0.2.1"),
    )


class Sent(NamedTuple):
    """A request of the table, and what it comes to."""

    status: int
    code: str
    method: str
    target: str
    headers: list[tuple[str, str]]


def table() -> dict[str, Sent]:
    """Return requests that are made now."""
    now_s = int(time.time())
    times = {"iat": now_s - 5, "exp": now_s + 600}
    bound, plain = dpop.bound_token(**times), tokens.token(**times)
    stolen = dpop.bound_token(name="other", **times)

    def proved(token: str, **changes: Any) -> str:
        return dpop.proof(token, **{"htm": "GET", "htu": f"{ORIGIN}/who", "iat": now_s, **changes})

    def one(status: int, code: str, token: str, *proofs: str, scheme: str = "DPoP", **more: Any) -> Sent:
        headers = [("Authorization", f"{scheme} {token}"), *(("DPoP", made) for made in proofs)]
        headers += more.get("headers", [])
        return Sent(status, code, more.get("method", "GET"), more.get("target", "/who"), headers)

    once = proved(bound)
    certified = tokens.token(cnf={"x5t#S256": CERTIFICATE}, **times)
    forged = [("X-Forwarded-Client-Cert", f"Hash={'00' * 32}")]
    return {
        "a bound token with its proof": one(200, "ok", bound, once),
        "the same again": one(401, "dpop_proof_replayed", bound, once),
        "the scheme in small letters": one(200, "ok", bound, proved(bound), scheme="dpop"),
        "with a query": one(200, "ok", bound, proved(bound), target="/who?a=b"),
        "a query that the proof has otherwise": one(
            401, "dpop_proof_invalid", bound, proved(bound, htu=f"{ORIGIN}/who?a=c"), target="/who?a=b"
        ),
        "a proof for another method": one(401, "dpop_proof_invalid", bound, proved(bound, htm="POST")),
        "the proof used for another method": one(
            401, "dpop_proof_invalid", bound, proved(bound), method="POST"
        ),
        "a proof for another path": one(401, "dpop_proof_invalid", bound, proved(bound, htu=f"{ORIGIN}/")),
        "a proof for another token": one(401, "dpop_proof_invalid", bound, proved(plain)),
        "a bound token as Bearer": one(401, "dpop_proof_missing", bound, proved(bound), scheme="Bearer"),
        "no proof": one(401, "dpop_proof_missing", bound),
        "two proofs": one(400, "malformed_request", bound, proved(bound), proved(bound)),
        "somebody else's token": one(401, "binding_mismatch", stolen, proved(stolen)),
        "a plain token": one(200, "ok", plain, scheme="Bearer"),
        "a plain token with a proof": one(401, "token_not_bound", plain, proved(plain)),
        "a wrong nonce": one(401, "dpop_nonce_required", bound, proved(bound, nonce="made up")),
        "the nonce": one(200, "ok", bound, proved(bound, nonce=NONCES.issue(now_s * 10**9))),
        "no certificate": one(401, "client_certificate_missing", certified, scheme="Bearer"),
        "a certificate from who is not trusted": one(
            400, "malformed_request", certified, scheme="Bearer", headers=forged
        ),
        "another token as Bearer": one(
            400, "malformed_request", bound, proved(bound), headers=[("Authorization", f"Bearer {plain}")]
        ),
        **{
            name: one(*row, headers=more.get("headers", []), target=more.get("target", "/who"))
            for name, (row, more) in misread(bound, proved).items()
        },
    }


def misread(
    bound: str, proved: Callable[..., str]
) -> dict[str, tuple[tuple[int, str, str, str], dict[str, Any]]]:
    """Return requests whose headers and paths others may read in another way."""
    invalid = "dpop_proof_invalid"

    def refused(target: str = "/who", headers: list[tuple[str, str]] | None = None, **claims: str) -> Any:
        return (401, invalid, bound, proved(bound, **claims)), {"target": target, "headers": headers or []}

    forwarded = [("X-Forwarded-Host", "other.example"), ("Forwarded", "host=other.example")]
    overridden = [("X-HTTP-Method-Override", "POST"), ("X-Forwarded-Method", "POST")]
    moved = [("X-Forwarded-Uri", "/x"), ("X-Forwarded-Prefix", "/x")]
    return {
        "an escape that need not be there": ((200, "ok", bound, proved(bound)), {"target": "/wh%6F"}),
        "a slash at the end": refused("/who/"),
        "a dot segment": refused("/x/../who"),
        "a host in X-Forwarded-Host": refused(headers=forwarded, htu="https://other.example/who"),
        "a scheme in X-Forwarded-Proto": refused(
            headers=[("X-Forwarded-Proto", "http")], htu="http://api.example/who"
        ),
        "a path in X-Forwarded-Uri": refused(headers=moved, htu=f"{ORIGIN}/x"),
        "a method in X-HTTP-Method-Override": refused(headers=overridden, htm="POST"),
    }


@pytest.fixture(scope="module", params=["starlette", "fastapi_dependency", "flask", "aiohttp"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Return the port of an application behind each kind of middleware."""
    serve: Callable[..., Any] = getattr(frameworks, request.param)
    with serve(engine=dpop.engine(), sender=constraints()) as found:
        yield found


def answered(port: int, sent: Sent) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest(sent.method, sent.target)
    for name, value in sent.headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def test_every_middleware_gives_the_verdicts_of_the_table(port: int) -> None:
    """Status, code, challenge and nonce are the same, whatever framework reads the request."""
    for name, sent in table().items():
        status, headers, body = answered(port, sent)
        if status in (307, 404) and sent.status == 401:  # no route: the dependency is not asked
            continue
        code = json.loads(body)["code"]
        joined = name == "two proofs" and status == 401  # never a permit
        assert (status, code) == (sent.status, sent.code) or joined, name
        if status == 401:
            challenge = headers["www-authenticate"]
            assert challenge.startswith("DPoP realm="), name
            assert 'algs="ES256"' in challenge
            assert NONCES.accepts(headers["dpop-nonce"], time.time_ns())
        if code == "dpop_nonce_required":
            assert 'error="use_dpop_nonce"' in headers["www-authenticate"]
        elif code.startswith("dpop_"):
            assert 'error="invalid_dpop_proof"' in headers["www-authenticate"]


def listener(settings: Any) -> Any:
    """Return the public side of a sidecar."""
    from rollouts import rollout

    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.protocol import PublicListener

    policy, change_bus = rollout(), ChangeBus(1)
    engine = dpop.engine()
    app = SidecarApp(engine=engine, rollout=policy)
    return PublicListener(app, settings, change_bus, index=0, seen=change_bus.counters())


def asked(public: Any, requests: list[bytes]) -> list[tuple[int, dict[str, str], bytes]]:
    """Return the answers of a sidecar to requests that arrive together."""
    from rapidjws.sidecar.protocol import SidecarProtocol

    async def run() -> list[tuple[int, dict[str, str], bytes]]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(partial(SidecarProtocol, public, loop), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"".join(requests))
        answers = []
        for _ in requests:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            start, *lines = head.strip().split("\r\n")
            headers = {line.partition(":")[0]: line.partition(":")[2].strip().lower() for line in lines}
            body = await reader.readexactly(int(headers["content-length"]))
            answers.append((int(start.split()[1]), headers, body))
        writer.close()
        server.close()
        return answers

    return asyncio.run(asyncio.wait_for(run(), 60))


def _request(line: str, headers: list[tuple[str, str]]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{line} HTTP/1.1\r\nhost: api.example\r\n{lines}\r\n".encode()


def by_path(sent: Sent) -> bytes:
    """Return a request as Envoy asks over HTTP: its method, and its target behind the prefix."""
    return _request(f"{sent.method} /verify{sent.target}", sent.headers)


def by_headers(sent: Sent) -> bytes:
    """Return a request as nginx asks: method and target in headers."""
    named = [("X-Original-URI", sent.target), ("X-Original-Method", sent.method)]
    return _request("GET /verify", [*named, *sent.headers])


@pytest.mark.parametrize("written", [by_path, by_headers])
def test_the_sidecar_gives_them_too(written: Callable[[Sent], bytes]) -> None:
    """Whether the gateway names the request by its path or by headers, the verdicts are the same."""
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    from rapidjws.sidecar.settings import ServerSettings

    rows = table()
    settings = ServerSettings(sender=constraints(), method_header="X-Original-Method")
    found = asked(listener(settings), [written(one) for one in rows.values()])
    for (name, sent), (status, headers, body) in zip(rows.items(), found, strict=True):
        wanted = 401 if sent.status == 400 else sent.status  # nginx knows 401 and 403 only
        assert status == wanted, name
        if status == 401:
            assert json.loads(body)["code"] == sent.code, name
            assert headers["www-authenticate"].startswith("dpop realm=")
            assert "dpop-nonce" in headers


def test_the_sidecar_believes_no_method_that_is_named_twice() -> None:
    """Without a method, or with two, a proof is refused."""
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    from rapidjws.sidecar.settings import ServerSettings

    public = listener(ServerSettings(sender=constraints(), method_header="X-Original-Method"))
    for names in ([], [("X-Original-Method", "GET"), ("X-Original-Method", "POST")]):
        headers = [("X-Original-URI", "/who"), *names, *table()["a bound token with its proof"].headers]
        ((status, _, body),) = asked(public, [_request("GET /verify", headers)])
        assert (status, json.loads(body)["code"]) == (401, "dpop_proof_invalid")


@pytest.mark.parametrize("name", ["X-Original-Method", "X-Forwarded-Method", "X-HTTP-Method-Override"])
def test_the_sidecar_believes_no_method_that_nobody_configured(name: str) -> None:
    """A header that any client can write names no method, unless the configuration says that it does."""
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    from rapidjws.sidecar.settings import ServerSettings

    headers = [("X-Original-URI", "/who"), (name, "GET"), *table()["a bound token with its proof"].headers]
    public = listener(ServerSettings(sender=constraints()))
    ((status, _, body),) = asked(public, [_request("GET /verify", headers)])
    assert (status, json.loads(body)["code"]) == (401, "dpop_proof_invalid")
    public = listener(ServerSettings(sender=constraints(), method_header=name))
    assert asked(public, [_request("GET /verify", headers)])[0][0] == 200


@pytest.mark.parametrize("server", SERVERS)
def test_ext_authz_gives_them_over_grpc(server: str) -> None:
    """Method, path and headers of a CheckRequest give the same verdicts."""
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    external_auth = pytest.importorskip(
        "envoy.service.auth.v3.external_auth_pb2", reason="xds-protos is absent"
    )
    from rapidjws.sidecar.settings import ServerSettings

    public = listener(ServerSettings(sender=constraints()))
    for name, sent in table().items():
        asked_for = external_auth.CheckRequest()
        http_request = asked_for.attributes.request.http
        http_request.method, http_request.path, http_request.host = sent.method, sent.target, "api.example"
        for key, value in sent.headers:
            http_request.header_map.headers.add(key=key, raw_value=value.encode())
        octets = checked(server, public, asked_for.SerializeToString())
        answer = external_auth.CheckResponse.FromString(octets)
        if sent.status == 200:
            assert answer.status.code == 0, name
            continue
        assert answer.denied_response.status.code == sent.status, name
        assert json.loads(answer.denied_response.body)["code"] == sent.code, name


@pytest.mark.parametrize("host_header", [None, "X-Client-Host"])
def test_no_header_of_a_client_chooses_the_origin(host_header: str | None) -> None:
    """A proof for one name holds for no other, whatever X-Forwarded-Host says; the gateway's header does."""
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    from rapidjws.sidecar.settings import ServerSettings

    names = ["https://api.example", "https://other.example"]
    checks = SenderConstraints(dpop=DPoP(external_origins=names, algorithms=["ES256"]))
    now_s = int(time.time())
    bound = dpop.bound_token(iat=now_s - 5, exp=now_s + 600)
    public = listener(
        ServerSettings(sender=checks, host_header=host_header, method_header="X-Original-Method")
    )

    def answer(origin: str, **more: str) -> tuple[int, str]:
        made = dpop.proof(bound, htm="GET", htu=f"{origin}/who", iat=now_s)
        named = {"X-Original-URI": "/who", "X-Original-Method": "GET", "Authorization": f"DPoP {bound}"}
        headers = {**named, "DPoP": made, **more}
        ((status, _, body),) = asked(public, [_request("GET /verify", list(headers.items()))])
        return status, "ok" if status == 200 else json.loads(body)["code"]

    by_gateway = {} if host_header is None else {host_header: "api.example"}
    assert answer(names[0], **by_gateway) == (200, "ok")
    spoofed = {"X-Forwarded-Host": "other.example", **by_gateway}
    assert answer(names[1], **spoofed) == (401, "dpop_proof_invalid")
    assert answer(names[0], **spoofed) == (200, "ok")
