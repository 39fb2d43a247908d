"""The token endpoint: who may ask, what they get, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from issuing_world import TIMING
from token_world import ENDPOINT, FORM, ISS, KEY, ORDERS, OTHER, SECRET, STOCK, World, basic, error_of

from rapidjws import RapidJWSError
from rapidjws.issuing import SignatureLog, SignatureRecord, TokenClient
from rapidjws.issuing.client_authentication import ASSERTION_TYPE
from rapidjws.signing import LocalSigner
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import make_key


def test_an_assertion_gets_a_token_of_the_client() -> None:
    """The token has the audience and scopes asked for, names the client, and its signature is audited."""
    world = World()
    answered = world.asserted(scope="read")
    body = json.loads(answered.body)
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 300, "read")
    claims = world.verified(answered)
    assert (claims["sub"], claims["client_id"], claims["scope"]) == ("a", "a", "read")
    assert claims["exp"] - claims["iat"] == 300
    assert [(one.who, one.kid, one.result, len(one.digest)) for one in world.records] == [
        ("a", "es256-0", "ok", 64)
    ]
    assert world.verified(world.asserted(scope=None))["scope"] == "read write"
    assert world.verified(world.asserted(audience=[ORDERS, STOCK]), STOCK)["aud"] == [ORDERS, STOCK]
    assert world.verified(world.asserted(world.assertion(aud=[ISS])))["sub"] == "a"


HMAC_OF_PUBLIC = json.dumps(KEY.public().as_dict()).encode()


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example/token"},
        {"aud": [ENDPOINT, "https://other.example/token"]},
        {"aud": None},
        {"aud": ENDPOINT + "/"},
        {"sub": "b"},
        {"sub": None},
        {"iss": "b"},
        {"iss": "b", "sub": "b"},
        {"iss": "nobody", "sub": "nobody"},
        {"iss": "test", "sub": "test"},
        {"jti": None},
        {"jti": 7},
        {"jti": ""},
        {"exp": None},
        {"exp": 1},
        {"exp": 4_000_000_000},
        {"nbf": 4_000_000_000},
    ],
    ids=str,
)
def test_a_wrong_claim_of_an_assertion_is_refused(claims: dict[str, Any]) -> None:
    """A wrong audience, subject, key, jti or exp gets invalid_client and not a word more."""
    world = World()
    answered = world.asserted(world.assertion(**claims))
    assert error_of(answered) == (401, "invalid_client")
    assert set(json.loads(answered.body)) == {"error"}
    assert world.records == []


def forged(world: World, header: dict[str, Any]) -> str:
    """Return an assertion of the client a with another header and a signature by whoever has the key."""
    b64 = base64.urlsafe_b64encode
    head = b64(json.dumps(header).encode()).rstrip(b"=")
    octets = head + b"." + world.assertion().split(".")[1].encode()
    signer: Any = LocalSigner(OTHER, "ES256")
    if header["alg"] == "HS256":
        import hashlib
        import hmac

        signature = hmac.new(HMAC_OF_PUBLIC, octets, hashlib.sha256).digest()
    elif header["alg"] == "none":
        signature = b""
    else:
        signature = signer.sign(octets)
    return (octets + b"." + b64(signature).rstrip(b"=")).decode()


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES256"},
        {"alg": "ES256", "jwk": OTHER.public().as_dict()},
        {"alg": "ES256", "jwk": OTHER.as_dict(private=True)},
        {"alg": "ES256", "kid": OTHER.kid},
        {"alg": "ES256", "jku": "https://evil.example/jwks"},
        {"alg": "ES256", "typ": "at+jwt"},
        {"alg": "ES384"},
    ],
    ids=lambda one: " ".join(one) + one["alg"],
)
def test_a_confused_header_of_an_assertion_is_refused(header: dict[str, Any]) -> None:
    """Neither alg none, a public key as a secret, nor a key in the header makes a client."""
    world = World()
    assert error_of(world.asserted(forged(world, header))) == (401, "invalid_client")


def test_a_token_for_a_resource_is_no_assertion() -> None:
    """A token of type at+jwt that the client's key signed is refused, though its claims fit."""
    world = World()
    assert world.asserted(world.assertion(header={"typ": "client-authentication+jwt"})).status == 200
    assert error_of(world.asserted(world.assertion(header={"typ": "at+jwt"}))) == (401, "invalid_client")


def test_an_assertion_counts_once() -> None:
    """The jti of an assertion is recorded in the replay store; a full store is 503, never a second use."""
    world = World()
    assertion = world.assertion()
    assert world.asserted(assertion).status == 200
    assert error_of(world.asserted(assertion)) == (401, "invalid_client")
    full = World(replay=MemoryReplayStore(1))
    assert full.asserted().status == 200
    answered = full.asserted()
    assert error_of(answered) == (503, "temporarily_unavailable")
    assert answered.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "claims", [{"exp": 4_000_000_000}, {"aud": [ENDPOINT, "https://other.example"]}], ids=str
)
def test_a_refused_assertion_is_not_kept(claims: dict[str, Any]) -> None:
    """An assertion for years, or for two audiences, takes no place in the store that all clients share."""
    replay = MemoryReplayStore(1)
    world = World(replay=replay)
    assert error_of(world.asserted(world.assertion(**claims))) == (401, "invalid_client")
    assert len(replay) == 0
    assert world.asserted().status == 200


def test_parameters_without_a_value_are_left_out() -> None:
    """RFC 6749 s.3.2: an empty audience, resource or scope is none, also beside one with a value."""
    world = World()
    answered = world.asserted(audience=["", ORDERS], resource="", scope="")
    assert world.verified(answered)["scope"] == "read write"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": None}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, 400, "unsupported_grant_type"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange"}, 400, "unauthorized_client"),
        ({"scope": "admin"}, 400, "invalid_scope"),
        ({"scope": "read admin"}, 400, "invalid_scope"),
        ({"scope": "read  write"}, 400, "invalid_scope"),
        ({"scope": 'read "'}, 400, "invalid_scope"),
        ({"audience": "https://other.example"}, 400, "invalid_target"),
        ({"audience": [ORDERS, "https://other.example"]}, 400, "invalid_target"),
        ({"audience": None}, 400, "invalid_target"),
        ({"resource": "relative"}, 400, "invalid_target"),
        ({"resource": ORDERS + "#f"}, 400, "invalid_target"),
        ({"resource": "http://["}, 400, "invalid_target"),
        ({"client_id": "b"}, 401, "invalid_client"),
        ({"client_secret": "x"}, 401, "invalid_client"),
        ({"client_assertion_type": "urn:other"}, 401, "invalid_client"),
        ({"client_assertion_type": None}, 401, "invalid_client"),
        ({"client_assertion": None}, 401, "invalid_client"),
        ({"client_assertion": ["a.b.c", "a.b.c"]}, 400, "invalid_request"),
        ({"scope": ["read", "write"]}, 400, "invalid_request"),
        ({"client_assertion": "x" * 200}, 401, "invalid_client"),
    ],
    ids=str,
)
def test_errors_are_those_of_rfc_6749(form: dict[str, Any], status: int, error: str) -> None:
    """Each refusal has the status and error of RFC 6749 section 5.2, RFC 8693 section 2.2.2, and no token."""
    world = World()
    answered = world.asserted(**form)
    assert error_of(answered) == (status, error)
    assert "access_token" not in json.loads(answered.body)
    assert world.records == []


def test_what_is_no_form_is_refused() -> None:
    """Another method, content type or encoding, and a body that is too large are refused."""
    world = World()
    assert error_of(world.service.handle("GET", [FORM], b""))[0] == 405
    for kinds in ([], [("content-type", "application/json")], [FORM, FORM]):
        assert error_of(world.service.handle("POST", kinds, b"a=b")) == (400, "invalid_request")
    for body in (b"", b"a", b"a=%ff", b"a=\xff", b"&".join([b"a=b"] * 100)):
        assert error_of(world.service.handle("POST", [FORM], body)) == (400, "invalid_request")
    assert error_of(world.service.handle("POST", [FORM], b"a=" + b"b" * 70_000))[0] == 413


def test_basic_is_for_clients_registered_so() -> None:
    """A secret authenticates its client alone, and not beside an assertion."""
    world = World()
    form = {"grant_type": "client_credentials"}
    assert world.verified(world.ask(form, basic()))["sub"] == "test"
    for wrong in (basic(secret="y" * 40), basic("a"), basic("nobody"), ("authorization", "Basic !"),
                  ("authorization", "Bearer x"), basic("test", "")):  # fmt: skip
        answered = world.ask(form, wrong)
        assert error_of(answered) == (401, "invalid_client")
        assert answered.headers["www-authenticate"].startswith("Basic")
    assert error_of(world.ask(form, basic(), basic())) == (401, "invalid_client")
    both = {**form, "client_assertion": world.assertion(), "client_assertion_type": ASSERTION_TYPE}
    assert error_of(world.ask(both, basic())) == (400, "invalid_request")
    assert error_of(world.ask({**form, "client_id": "a"}, basic())) == (401, "invalid_client")
    assert error_of(world.ask({**form, "client_id": "test"})) == (401, "invalid_client")


def test_the_operator_issues_without_authentication() -> None:
    """``issue`` keeps to the client's grants, audiences and scopes, as its requests do."""
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    world = World(
        TokenClient(
            client_id="c", audiences=[ORDERS], keys=KEY.public(), grants=[exchange], subject_issuers=[ISS]
        )
    )
    token = world.service.issue("a", audience=ORDERS, scope="read")
    assert token.count(".") == 2
    for wrong in ({"client_id": "nobody"}, {"client_id": "a", "audience": "x"}, {"client_id": "a"},
                  {"client_id": "b", "scope": "read"}, {"client_id": "c"}):  # fmt: skip
        with pytest.raises(RapidJWSError) as caught:
            world.service.issue(**wrong)
        assert caught.value.code == "token_request_refused"


def test_a_signature_that_is_not_recorded_does_not_leave() -> None:
    """Where the audit fails nothing is answered but an error; a failed signature is recorded as well."""

    def fail(record: SignatureRecord, /) -> None:
        raise RapidJWSError("signer_unavailable", "audit")

    world = World(audit=fail)
    assert error_of(world.asserted()) == (503, "temporarily_unavailable")


def test_signatures_are_recorded_in_a_file(tmp_path: Path) -> None:
    """Each line says who, kid, digest and request id, also after the file was moved; else nothing leaves."""
    path = tmp_path / "signatures.jsonl"
    world = World(audit=SignatureLog(path, clock=lambda: 7.0))
    form = {"grant_type": "client_credentials"}
    answered = world.ask(form, basic(), ("x-request-id", "r-1"))
    token = json.loads(answered.body)["access_token"]
    assert world.ask(form, basic(), ("x-request-id", "r\n2")).status == 200
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    digest = hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
    assert first == {"at": 7.0, "who": "test", "kid": "es256-0", "alg": "ES256", "digest": digest,
                     "request_id": "r-1", "result": "ok"}  # fmt: skip
    assert second["request_id"] == ""
    assert token not in path.read_text()
    path.rename(tmp_path / "old")
    assert world.ask(form, basic()).status == 200
    assert len(path.read_text().splitlines()) == 1
    path.unlink()
    path.mkdir()
    assert error_of(world.ask(form, basic())) == (503, "temporarily_unavailable")


def test_tokens_are_of_the_key_that_is_active_now() -> None:
    """After a rotation the next key signs; with none to be had the answer is 503."""
    world = World()
    world.clock.advance(TIMING.before_s)
    world.keys.tick()
    world.keys.promote()
    world.verified(world.asserted())
    assert world.records[-1].kid == "es256-1"
    bare = World()
    bare.keys.taint("es256-0", "leaked", unready=True)
    assert bare.asserted().status == 200
    assert bare.records[-1].kid == "es256-1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"audiences": []},
        {"client_id": "a b"},
        {"client_id": "{tid}"},
        {"scopes": ["a b"]},
        {"keys": None},
        {"secret": SECRET},
        {"algorithms": ["HS256"]},
        {"keys": make_key("HS256"), "algorithms": ["ES256"]},
        {"keys": KEY},
        {"grants": ["password"]},
        {"grants": ["urn:ietf:params:oauth:grant-type:token-exchange"]},
        {"may_impersonate": True},
        {"lifetime_s": 0},
        {"authentication": "tls_client_auth"},
        {"authentication": "client_secret_basic", "keys": None, "secret": "short"},
        {"authentication": "tls_client_auth", "keys": None, "certificates": ["short"]},
        {"authentication": "none"},
    ],
    ids=str,
)
def test_a_wrong_client_is_an_error_at_construction(wrong: dict[str, Any]) -> None:
    """What a client cannot be is refused with the setting's place."""
    with pytest.raises(RapidJWSError) as caught:
        TokenClient(**({"client_id": "a", "audiences": [ORDERS], "keys": KEY.public()} | wrong))
    assert caught.value.place.startswith("clients") or caught.value.code.startswith("key")


@pytest.mark.parametrize(
    "wrong",
    [
        {"lifetime_s": 100_000},
        {"replay": None},
        {"clients": []},
        {"act_depth": 0},
        {"token_endpoint": "http://a"},
    ],
    ids=str,
)
def test_a_wrong_service_is_an_error_at_construction(wrong: dict[str, Any]) -> None:
    """Tokens that outlive their key, assertions without a replay store and the like are refused."""
    with pytest.raises(RapidJWSError) as caught:
        World(**wrong)
    assert caught.value.code == "configuration_invalid"


def test_nothing_of_a_secret_is_shown() -> None:
    """A client's repr and the metadata name no secret and no key."""
    world = World()
    client = TokenClient(
        client_id="t", audiences=[ORDERS], authentication="client_secret_basic", secret=SECRET
    )
    assert SECRET not in repr(client)
    found = world.service.metadata()
    assert found["token_endpoint"] == ENDPOINT
    assert found["token_endpoint_auth_methods_supported"] == ["client_secret_basic", "private_key_jwt"]
    assert world.service.path == "/token"
