"""What a signing service and its clients refuse before a request comes, and its answer in an application."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from issuing_world import CountingMaker, life_cycle
from signing_world import CLIENT_KEYS, encoded
from token_world import FORM, ISS, KEY, OTHER, World

from rapidjws import RapidJWSError, Verifier
from rapidjws.config.issuing_file import load_issuing
from rapidjws.errors import error_for
from rapidjws.issuing import (
    ActiveSigner,
    PublicationApp,
    SignatureRecord,
    SigningClient,
    SigningService,
    TokenClient,
)
from rapidjws.issuing.client_authentication import ASSERTION_TYPE
from rapidjws.issuing.token_request import BODY_MAX_BYTES
from rapidjws.signing import LocalSigner
from rapidjws.stores import MemoryReplayStore

SIGN = f"{ISS}/sign"


def service(world: World, **settings: Any) -> SigningService:
    """Return a signing service beside a token service."""
    given: dict[str, Any] = {
        "issuer": ISS,
        "endpoint": SIGN,
        "clients": [TokenClient(client_id="a", audiences=["b"], keys=KEY.public())],
        "allowed": [SigningClient(client_id="a", typ=("order+jwt",))],
        "replay": MemoryReplayStore(clock=world.clock),
        "clock": world.clock,
    }
    return SigningService(world.active, **{**given, **settings})


def form(world: World, **changes: Any) -> bytes:
    """Return a request for a signature."""
    head = encoded({"alg": "ES256", "kid": world.keys.signing_key().kid, "typ": "order+jwt"}).decode()
    given = {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": world.assertion(aud=SIGN),
        "signing_input": f"{head}.e30",
    }
    return urlencode({**given, **changes}).encode()


def test_a_signature_that_cannot_be_recorded_does_not_leave() -> None:
    """Nor does the answer of a refusal, whose record is missing."""

    def broken(record: SignatureRecord) -> None:
        raise error_for("audit_unavailable", "audit")

    world = World()
    for more in ({}, {"signing_input": "a.b"}):
        answered = service(world, audit=broken).handle("POST", [FORM], form(world, **more))
        assert (answered.status, answered.headers["retry-after"]) == (503, "1")
        assert json.loads(answered.body) == {
            "error": "temporarily_unavailable", "code": "audit_unavailable"}  # fmt: skip


def test_an_assertion_is_used_once_and_signed_by_its_client() -> None:
    """A second use, another client's key and another method have no signature."""
    world = World()
    made = service(world)
    body = form(world)
    assert made.handle("POST", [FORM], body).status == 200
    assert made.handle("POST", [FORM], body).status == 401
    forged = world.assertion(LocalSigner(OTHER, "ES256"), aud=SIGN)
    assert made.handle("POST", [FORM], form(world, client_assertion=forged)).status == 401
    assert made.handle("GET", [FORM], body).headers["allow"] == "POST"
    assert made.handle("POST", [FORM], b"a" * 70_000).status == 413
    assert made.handle("POST", [], body).status == 400


def test_an_issuer_without_an_active_key_says_so() -> None:
    """503 with the code, to be asked again."""
    world = World()
    body = form(world)
    world.active = ActiveSigner(life_cycle(world.clock), CountingMaker())  # whose keys were never made
    answered = service(world).handle("POST", [FORM], body)
    assert (answered.status, answered.headers["retry-after"]) == (503, "1")
    assert json.loads(answered.body)["code"] == "no_signing_key"


def test_an_application_answers_under_both_paths() -> None:
    """The ASGI application has the signing endpoint where it is given one."""
    world = World()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": form(world)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/sign",
        "headers": [(b"content-type", FORM[1].encode())],
    }
    asyncio.run(PublicationApp(world.publication, world.service, service(world))(scope, receive, send))
    assert sent[0]["status"] == 200
    sent.clear()
    asyncio.run(PublicationApp(world.publication, world.service)(scope, receive, send))
    assert sent[0]["status"] in (404, 405)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"typ": ()}, "typ"),
        ({"typ": ("a", "a")}, "typ"),
        ({"typ": ("",)}, "typ"),
        ({"typ": ("at+jwt",)}, "typ"),
        ({"typ": ("application/AT+JWT",)}, "typ"),
        ({"client_id": ""}, "client_id"),
        ({"algorithms": ()}, "algorithms"),
        ({"algorithms": ("none",)}, "algorithms"),
        ({"kids": ("",)}, "kids"),
        ({"max_payload_bytes": 0}, "max_payload_bytes"),
        ({"max_payload_bytes": 32769}, "max_payload_bytes"),
    ],
    ids=str,
)
def test_a_client_that_makes_no_sense_is_refused(change: dict[str, Any], place: str) -> None:
    """Each setting is checked where it is made."""
    given: dict[str, Any] = {"client_id": "a", "typ": ("order+jwt",)}
    with pytest.raises(RapidJWSError) as refused:
        SigningClient(**{**given, **change})
    assert (refused.value.code, refused.value.place) == ("configuration_invalid", f"signing_clients.{place}")


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "http://issuer.example/sign"},
        {"allowed": []},
        {"allowed": [SigningClient(client_id="nobody", typ=("a",))]},
        {"allowed": [SigningClient(client_id="a", typ=("a",)), SigningClient(client_id="a", typ=("b",))]},
        {"allowed": [SigningClient(client_id="a", typ=("a",), algorithms=("ES384",))]},
    ],
    ids=str,
)
def test_a_service_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    """No clients, an unknown one, one twice, an algorithm without keys and plain http are refused."""
    with pytest.raises(RapidJWSError) as refused:
        service(World(), **change)
    assert refused.value.code == "configuration_invalid"


FILE = f"""\
[issuing]
issuer = "{ISS}"
state_file = "keys.json"
key_folder = "keys"
[token]
[[clients]]
client_id = "a"
keys_file = "a.jwks"
audiences = ["b"]
[signing_service]
[[signing_clients]]
client_id = "a"
typ = "order+jwt"
"""
ROWS = '[[signing_clients]]\nclient_id = "a"\ntyp = "order+jwt"\n'


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[signing_service]\n", ""), "nothing without signing_service"),
        ((ROWS, ""), "signing_clients"),
        (('typ = "order+jwt"\n', ""), "typ"),
        (('typ = "order+jwt"', 'typ = "at+jwt"'), ":13: signing_clients"),
        (('client_id = "a"\ntyp', 'client_id = "b"\ntyp'), "names of clients"),
        (("[signing_service]\n", f'[signing_service]\nendpoint = "{ISS}/token"\n'), "another endpoint"),
        (
            ("[signing_service]\n", f'[signing_service]\nendpoint = "{ISS}/.well-known/jwks.json"\n'),
            "another",
        ),
        (("[signing_service]\n", "[signing_service]\nendpont = 1\n"), "endpont"),
        (("[token]\n", ""), "nothing without a table token"),
        (('audiences = ["b"]\n', "grants = []\n" + 'audiences = ["b"]\n'), ":10: clients[0].audiences"),
        (('audiences = ["b"]\n', 'grants = []\nscopes = ["c"]\n'), "clients[0].scopes"),
        (('audiences = ["b"]\n', "grants = []\nlifetime_s = 9\n"), "clients[0].lifetime_s"),
        (('audiences = ["b"]\n', ""), "clients[0].audiences"),
    ],
    ids=str,
)
def test_a_file_that_makes_no_sense_is_refused(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    """Each slip is an error at the start, with its place; the file without it is good."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "a.jwks").write_text(json.dumps(CLIENT_KEYS["orders"].public().as_dict()))
    path = tmp_path / "issuing.toml"
    path.write_text(FILE)
    found = load_issuing(path)
    assert found.signing is not None
    assert found.signing.path == "/sign"
    assert change[0] in FILE
    path.write_text(FILE.replace(*change))
    with pytest.raises(RapidJWSError) as refused:
        load_issuing(path)
    assert refused.value.code == "configuration_invalid"
    assert words in str(refused.value)


def test_a_client_that_may_do_nothing_is_refused(tmp_path: Path) -> None:
    """Without grants it must be one that may sign, else it is a slip."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "a.jwks").write_text(json.dumps(CLIENT_KEYS["orders"].public().as_dict()))
    path = tmp_path / "issuing.toml"
    whole = FILE.replace('audiences = ["b"]\n', "grants = []\n")
    path.write_text(whole)
    found = load_issuing(path)
    assert found.tokens is not None
    assert found.tokens.metadata()["grant_types_supported"] == []
    assert found.tokens.metadata()["token_endpoint_auth_methods_supported"] == []
    path.write_text(whole.partition("[signing_service]")[0])
    with pytest.raises(RapidJWSError) as refused:
        load_issuing(path)
    assert "clients[0].grants" in str(refused.value)


def test_a_file_without_the_table_has_no_endpoint(tmp_path: Path) -> None:
    """It is off by default."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "a.jwks").write_text(json.dumps(CLIENT_KEYS["orders"].public().as_dict()))
    path = tmp_path / "issuing.toml"
    path.write_text(FILE.partition("[signing_service]")[0])
    assert load_issuing(path).signing is None


def test_what_is_signed_verifies() -> None:
    """By the published key."""
    world = World()
    body = form(world)
    answered = json.loads(service(world).handle("POST", [FORM], body).body)
    head = encoded({"alg": "ES256", "kid": answered["kid"], "typ": "order+jwt"}).decode()
    key = world.keys.signing_key().public()
    assert Verifier(key, algorithms=["ES256"]).verify(f"{head}.e30.{answered['signature']}").payload == b"{}"


def test_T11_a_body_of_the_longest_length_is_read() -> None:
    """At the bound its form is looked at; one octet more is refused unread."""
    made = service(World())
    assert made.handle("POST", [FORM], b"a" * BODY_MAX_BYTES).status in (400, 401)
    assert made.handle("POST", [FORM], b"a" * (BODY_MAX_BYTES + 1)).status == 413
