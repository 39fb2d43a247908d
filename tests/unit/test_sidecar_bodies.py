"""``[server.body]``: requests that the sidecar decides by a signature of their body, over HTTP and gRPC."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

pytest.importorskip("httptools", reason="the extra `server` is not installed")

from asked_bodies import SENDER, Asked, Headers, check_of, detached, token
from certified import Chain
from cryptography.hazmat.primitives import serialization
from grpc_calls import SERVERS, checked
from rollouts import rollout
from thread_faults import failing_starts

from rapidjws import JWK
from rapidjws._protobuf import field
from rapidjws.rollout import Rollout
from rapidjws.sidecar.body_routes import BodyRoutes
from rapidjws.sidecar.body_settings import body_settings_from
from rapidjws.sidecar.settings import ServerSettings
from rapidjws.signing import LocalSigner
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets

JSON_TYPE = ("content-type", "application/json")


@pytest.fixture(name="keys")
def _keys(tmp_path: Path) -> Path:
    path = tmp_path / "senders.json"
    path.write_text(json.dumps({"keys": [SENDER.public().as_dict()]}))
    return path


@pytest.fixture(name="asking")
def _asking(tmp_path: Path, keys: Path) -> Iterator[Callable[..., Asked]]:
    made: list[Asked] = []

    def ask(*, policy: Rollout | None = None, method_header: str | None = None, **section: Any) -> Asked:
        if "signature_headers" in section and "digest_claim" not in section:
            section = {"jwks_file": keys.name, "algorithms": ["ES256"], **section}
        settings = ServerSettings(body=body_settings_from(section, tmp_path), method_header=method_header)
        made.append(Asked(settings, policy))
        return made[-1]

    yield ask
    for one in made:
        one.public.change_bus.close()


def test_a_member_of_a_json_body_is_the_token(asking: Any) -> None:
    """A JSON member is verified by the issuers' keys; what is beside it is refused, or let through."""
    asked = asking(member="/signedPayload")
    body = json.dumps({"signedPayload": token()}).encode()
    more = json.dumps({"signedPayload": token(), "amount": 1}).encode()
    assert asked(body, [JSON_TYPE]) == 200
    assert b"x-jws-subject: a\r\n" in asked.heads[0]
    assert asked(more, [JSON_TYPE]) == 401
    assert asked(json.dumps({"signedPayload": token()[:-4] + "AAAA"}).encode(), [JSON_TYPE]) == 401
    assert asked(b"", [JSON_TYPE]) == 401
    assert asked(body, [("content-type", "text/plain")]) == 401
    assert asked(body, [JSON_TYPE, ("content-encoding", "gzip")]) == 401
    assert asking(member="/signedPayload", unsigned="pass")(more, [JSON_TYPE]) == 200


def test_a_bearer_token_does_not_stand_for_a_signed_body(asking: Any) -> None:
    """Where bodies decide, a good bearer token beside another body is nothing."""
    asked = asking(member="/signedPayload")
    bearer = ("authorization", f"Bearer {token()}")
    assert asked(b'{"amount": 1}', [JSON_TYPE, bearer]) == 401
    assert b'www-authenticate: JWS realm="api"' in asked.heads[0].lower().replace(b"jws", b"JWS")


def test_a_form_field_and_a_whole_body(asking: Any) -> None:
    """A logout token stands in a form field; a security event is the whole body."""
    form = ("content-type", "application/x-www-form-urlencoded")
    asked = asking(form_field="logout_token")
    body = f"logout_token={quote_plus(token())}".encode()
    assert asked(body, [form]) == 200
    assert asked(body + b"&logout_token=x", [form]) == 401
    assert asked(body, [JSON_TYPE]) == 401
    whole = asking(empty_body=False)
    assert whole(token().encode(), [("content-type", "application/secevent+jwt")]) == 200
    assert whole(token().encode(), [JSON_TYPE]) == 401


def test_a_detached_signature_covers_exactly_these_octets(asking: Any) -> None:
    """One of several headers holds the signature, encoded or not; another octet, or two headers, refuse."""
    asked = asking(signature_headers=["X-JWS-Signature", "X-Signature"])
    body = b'{"amount": 1}'
    for name in ("X-JWS-Signature", "x-signature"):
        assert asked(body, [(name, detached(body))]) == 200
        assert asked(body + b" ", [(name, detached(body))]) == 401
    assert asked(body, [("x-signature", detached(body)), ("x-jws-signature", detached(body))]) == 401
    assert asked(body, []) == 401
    assert asked(body, [("x-signature", detached(body, b64=False))]) == 200


def test_an_empty_body_is_no_signed_body(asking: Any) -> None:
    """A gateway that hands on no body would have every request verified as an empty one."""
    signature = [("x-jws-signature", detached(b""))]
    assert asking(signature_headers="x-jws-signature")(b"", signature) == 401
    assert asking(signature_headers="x-jws-signature", empty_body=True)(b"", signature) == 200


def test_a_digest_in_a_claim_covers_the_body(asking: Any) -> None:
    """A whole token in a header names the digest of the body."""
    asked = asking(signature_headers="x-verification", digest_claim="/request_body_sha256")
    body = b"a=1"
    good = [("x-verification", token(request_body_sha256=hashlib.sha256(body).hexdigest()))]
    assert asked(body, good) == 200
    assert asked(b"a=2", good) == 401
    assert asked(body, [("x-verification", token())]) == 401


def test_a_payload_of_method_path_headers_and_body(asking: Any) -> None:
    """TrueLayer's lines: another method, path, header or body than was signed is refused, also by headers."""
    shape = {"signature_headers": "Tl-Signature", "payload": "request_lines"}
    shape["required_headers"] = ["Idempotency-Key"]
    asked = asking(**shape)
    body, key = b'{"amount": 1}', ("Idempotency-Key", "k1")
    lines = b"POST /hooks/pay?x=1\nIdempotency-Key: k1\n" + body
    signature = ("Tl-Signature", detached(lines, {"tl_headers": "Idempotency-Key"}))
    target = "/verify/hooks/pay?x=1"
    assert asked(body, [key, signature], target) == 200
    assert asked(body, [key, signature], "/verify/hooks/pay?x=2") == 401
    assert asked(body, [key, signature], target, "PUT") == 401
    assert asked(body, [("Idempotency-Key", "k2"), signature], target) == 401
    assert asked(body + b" ", [key, signature], target) == 401
    named = [("x-original-uri", "/hooks/pay?x=1"), ("x-original-method", "POST")]
    assert asked(body, [key, signature, *named], "/verify", "GET") == 401  # a header that nobody configured
    asked = asking(method_header="X-Original-Method", **shape)
    assert asked(body, [key, signature, *named], "/verify", "GET") == 200
    assert asked(body, [key, signature, named[0]], "/verify") == 401  # no word of the client's method
    twice = [*named, ("x-forwarded-uri", "/other")]
    assert asked(body, [key, signature, *twice], "/verify") == 401


def test_keys_that_come_in_chains(asking: Any, tmp_path: Path) -> None:
    """A detached signature whose header brings its certificates verifies by pinned roots."""
    chain, other = Chain(), Chain()
    (tmp_path / "root.pem").write_text(chain.root.pem)
    settings = {"x5c_roots": "root.pem", "x5c_policy": "jades", "algorithms": ["ES256"]}
    settings_of = body_settings_from({"signature_headers": "x-jws-signature", **settings}, tmp_path)
    asked = Asked(ServerSettings(body=settings_of))

    def signature(by: Chain, body: bytes) -> Headers:
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        key = JWK.from_pem(by.leaf.key.private_bytes(*form), private=True)
        header = header_octets({"alg": "ES256", "x5c": by.x5c, "iat": int(time.time())})
        return [("x-jws-signature", assemble(header, body, LocalSigner(key, "ES256"), detached=True))]

    assert [asked(b"a", signature(chain, b"a")) for _ in range(2)] == [200, 200]
    assert asked(b"b", signature(chain, b"a")) == 401
    assert asked(b"a", signature(other, b"a")) == 401
    asked.public.change_bus.close()


def test_without_threads(asking: Any) -> None:
    """Where no thread can be had a body is decided all the same."""
    asked = asking(member="/signedPayload")
    body = json.dumps({"signedPayload": token()}).encode()
    with failing_starts(lambda number: True, only="rapidjws_"):
        assert [asked(body, [JSON_TYPE]), asked(b"{}", [JSON_TYPE])] == [200, 401]


def test_a_body_is_used_once(asking: Any) -> None:
    """The second use of a body's identifier is refused, and so is a body without one."""
    asked = asking(member="/signedPayload", replay_identity="/jti")
    bodies = [json.dumps({"signedPayload": token(**one)}).encode() for one in ({"jti": "1"}, {})]
    assert [asked(bodies[0], [JSON_TYPE]) for _ in range(2)] == [200, 401]
    assert asked(bodies[1], [JSON_TYPE]) == 401
    digest = asking(signature_headers="x-jws-signature", replay_identity="digest")
    signature = [("x-jws-signature", detached(b"x"))]
    assert [digest(b"x", signature) for _ in range(2)] == [200, 401]


def test_other_routes_are_decided_by_their_token(asking: Any) -> None:
    """A request outside of ``routes`` needs its token; answers keep the order of their requests."""
    asked = asking(member="/signedPayload", routes=["/hooks/*"])
    bearer = ("authorization", f"Bearer {token()}")
    body = json.dumps({"signedPayload": token()}).encode()
    requests = [
        ("GET", "/verify/api", [bearer], b""),
        ("POST", "/verify/hooks/a", [JSON_TYPE], body),
        ("POST", "/verify/hooks/a", [JSON_TYPE, bearer], b"{}"),
        ("POST", "/verify/api", [JSON_TYPE], body),
        ("GET", "/verify/api", [bearer], b""),
        ("GET", "/healthz", [], b""),
    ]
    assert asked.all(*requests) == [200, 200, 401, 401, 200, 200]


@pytest.mark.parametrize(
    "path",
    [
        "/hooks/../api", "/api/../hooks/a", "/%68ooks/a", "/hooks%2Fa", "//hooks/a", "/Hooks/a", "/hooks;x/a",
        "/./hooks/a", "/%2568ooks/a", "/hooks\\a", "/hooks/a/../../api", "/hooks/%2e%2e/api", "/hooks/",
    ],
)  # fmt: skip
def test_a_path_with_two_readings_is_refused(path: str, asking: Any) -> None:
    """Neither a token nor a signed body passes where routers may take the path for another one."""
    asked = asking(member="/signedPayload", routes=["/hooks/*"])
    body = json.dumps({"signedPayload": token()}).encode()
    headers = [JSON_TYPE, ("authorization", f"Bearer {token()}")]
    assert asked(body, headers, f"/verify{path}") == 401
    assert asked(body, [*headers, ("x-original-uri", path)], "/verify") == 401


def test_routes_named_twice_and_not_at_all_are_refused(asking: Any) -> None:
    """Where headers name two routes, or none, nobody can tell by what a request is decided."""
    asked = asking(member="/signedPayload", routes=["/hooks/*"])
    body = json.dumps({"signedPayload": token()}).encode()
    headers = [JSON_TYPE, ("authorization", f"Bearer {token()}")]
    both = [("x-original-uri", "/hooks/a"), ("x-original-uri", "/api")]
    assert asked(body, [*headers, *both], "/verify") == 401
    assert asked(body, headers, "/verify") == 401


def test_a_phase_that_only_looks_lets_pass(asking: Any) -> None:
    """In detection nothing is refused, unsigned bodies included."""
    asked = asking(policy=rollout(phase="detection"), member="/signedPayload")
    assert [asked(b"{}", [JSON_TYPE]), asked(b"", [])] == [200, 200]


def test_capitals_in_routes() -> None:
    """A configured path with capitals is itself; one that differs in capitals only has two readings."""
    routes = BodyRoutes(("/Hooks/*", "/b"))
    assert [routes.covers([one]) for one in (b"/Hooks/a", b"/hooks/a", b"/b", b"/c", b"/a%25")] == [
        True, None, True, False, False,
    ]  # fmt: skip
    assert BodyRoutes(()).covers([]) is True
    assert routes.covers([]) is None


# --- Envoy over gRPC ---------------------------------------------------------------------------------


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("number", [11, 12])
def test_envoy_hands_bodies_over_grpc(number: int, server: str, asking: Any) -> None:
    """A body as text or as bytes is verified; one that Envoy cut off is refused, whatever is left of it."""
    pytest.importorskip("grpc")
    asked = asking(signature_headers="x-jws-signature", routes=["/hooks/*"])

    def answer(body: bytes, headers: Headers, path: str = "/hooks/pay") -> int:
        found = checked(server, asked.public, check_of(body, headers, path, number))
        return 200 if b"verified" in found else 403 if found[:2] == field(1, b"") else 401

    signature = ("x-jws-signature", detached(b"abc"))
    assert answer(b"abc", [signature]) == 200
    assert answer(b"abd", [signature]) == 401
    assert answer(b"abc", [signature, ("x-envoy-auth-partial-body", "true")]) == 401
    assert answer(b"abc", [signature, ("x-envoy-auth-partial-body", "false")]) == 200
    assert answer(b"abc", [signature], "/api") == 401
    assert answer(b"", [("authorization", f"Bearer {token()}")], "/api") == 200


def test_two_bodies_in_a_check_are_no_request() -> None:
    """A CheckRequest with a body as text and one as bytes has two readings."""
    from rapidjws._native import check_request

    def read(http: bytes) -> object:
        return check_request(field(1, field(4, field(2, http))), 0, None, (), True)

    http = field(2, b"POST") + field(11, b"a")
    assert read(http) == ([], b"", b"POST", b"", b"a", [])
    assert read(http + field(12, b"b")) is None
    assert read(http + field(11, b"a")) is None


TAN = "http://openbanking.org.uk/tan"
IAT = "http://openbanking.org.uk/iat"
LEVEL = "http://bank.example/level"


def test_critical_parameters_are_what_the_table_says(asking: Any) -> None:
    """Each parameter of the table must be there, be listed, and have a value that it allows."""
    table = {TAN: "openbanking.org.uk", IAT: {"max_age_s": 300}, LEVEL: {"prefix": ["lo", "hi"]}}
    asked = asking(signature_headers="x-jws-signature", crit_checks=table)
    now, body = int(time.time()), b'{"amount": 1}'
    good = {TAN: "openbanking.org.uk", IAT: now, LEVEL: "high"}

    def signed(crit: list[str], header: dict[str, Any]) -> str:
        octets = header_octets({"alg": "ES256", "kid": SENDER.kid, "crit": crit, **header})
        return assemble(octets, body, LocalSigner(SENDER, "ES256"), detached=True)

    def sent(crit: list[str] | None = None, **changes: Any) -> int:
        named = {"tan": TAN, "iat": IAT, "level": LEVEL}
        header = {**good, **{named[name]: value for name, value in changes.items()}}
        header = {name: value for name, value in header.items() if value is not None}
        return asked(body, [("x-jws-signature", signed(crit or sorted(header), header))])

    assert sent() == sent(iat=now - 299) == sent(iat=now + 30) == 200
    for changes in (
        {"tan": "evil.example"}, {"tan": ["openbanking.org.uk"]}, {"tan": None}, {"level": "mid"},
        {"iat": now - 400}, {"iat": now + 120}, {"iat": str(now)}, {"iat": True}, {"iat": None},
    ):  # fmt: skip
        assert sent(**changes) == 401, changes
    assert sent(crit=[TAN, IAT]) == 401  # there, and not listed
    assert sent(crit=[TAN, IAT, LEVEL, "exp"]) == 401
    plain = asking(signature_headers="x-jws-signature")
    assert plain(body, [("x-jws-signature", signed(sorted(good), good))]) == 401
    asked = asking(signature_headers="x-jws-signature", crit_checks=table, crit_optional=[LEVEL])
    assert sent() == sent(level=None) == 200
    assert sent(level="mid") == sent(level=None, tan=None) == sent(crit=[TAN, IAT]) == 401
