"""The signing endpoint of `rapidjws issue serve` and `RemoteSigner`, over real sockets."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from issue_process import IssueServer
from signing_world import CLIENT_KEYS, ISS, SIGN, SigningServer, code_of, encoded
from soft_hsm import LIBRARY, make_token
from typer.testing import CliRunner

from rapidjws import Verifier
from rapidjws.cli.app import app
from rapidjws.issuing.token_clients import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from rapidjws.signing import JWTBuilder, LocalSigner, sign_compact
from rapidjws.testing import make_key

pytest.importorskip("httptools", reason="httptools absent: pip install 'rapidjws[server]'")

PIN = "4711-canary"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "signers.md"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningServer]:
    """Give a service whose first key signs."""
    made = SigningServer(tmp_path_factory.mktemp("sign"))
    yield made
    assert made.server.end() == 0


def promoted(service: SigningServer) -> None:
    """Have the next key sign, once it was published for long enough."""
    end_s = time.monotonic() + 60
    while CliRunner().invoke(app, ["issue", "promote", "--config", str(service.config)]).exit_code:
        assert time.monotonic() < end_s
        time.sleep(0.1)


def test_a_good_signature_verifies_and_is_audited(service: SigningServer) -> None:
    """A token verifies by the published keys; client, kid, digest and request are recorded."""
    signer = service.signer()
    assert (signer.alg, signer.kid, signer.limits.is_remote) == ("ES256", service.kid(), True)
    token = sign_compact(b'{"order":1}', signer, header={"typ": "order+jwt"})
    keys = list(service.keys().keys)
    assert Verifier(keys, algorithms=["ES256"]).verify(token).payload == b'{"order":1}'
    record = service.records()[-1]
    digest = hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
    shown = tuple(record[name] for name in ("who", "kid", "alg", "digest", "result"))
    assert shown == ("orders", signer.kid, "ES256", digest, "ok")
    assert len(record["request_id"]) == 16
    assert str(signer.public_jwk.thumbprint()) in {one.thumbprint() for one in keys}
    assert signer.public_jwk.is_private is False


def test_asign_waits_on_a_thread(service: SigningServer) -> None:
    """The loop's version gives the same."""
    import asyncio

    signer = service.signer()
    octets = encoded({"alg": "ES256", "kid": signer.kid, "typ": "order+jwt"}) + b"." + encoded(b"{}")
    assert len(asyncio.run(signer.asign(octets))) == 64


@pytest.mark.source_tree
def test_the_example_of_the_page_signs(
    service: SigningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's example of a remote signer runs as it stands, with this service's address."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = [one for one in blocks if "RemoteSigner" in one]

    assert block.count(f'"{SIGN}",') == 1
    here = f'audience="{SIGN}", insecure_allow_http=True, timeout_s=30.0,'
    block = block.replace(f'"{SIGN}",', f'"{service.url}",').replace(
        'client_id="orders",', f'client_id="orders", {here}'
    )
    path = tmp_path / "orders.jwk"
    path.touch(mode=0o600)
    path.write_text(json.dumps(CLIENT_KEYS["orders"].as_dict(private=True)))
    monkeypatch.chdir(tmp_path)
    named: dict[str, Any] = {}
    exec(compile(block, "signers.md", "exec"), named)
    found = Verifier(list(service.keys().keys), algorithms=["ES256"]).verify(named["token"])
    assert found.header["typ"] == "order+jwt"


HEADER = {"alg": "ES256", "kid": "", "typ": "order+jwt"}


@pytest.mark.parametrize(
    ("change", "payload", "answer"),
    [
        ({"alg": "ES384"}, b"{}", (403, "access_denied", "header.alg")),
        ({"alg": "none"}, b"{}", (403, "access_denied", "header.alg")),
        ({"alg": "HS256"}, b"{}", (403, "access_denied", "header.alg")),
        ({"typ": "at+jwt"}, b"{}", (403, "access_denied", "header.typ")),
        ({"typ": "stock+jwt"}, b"{}", (403, "access_denied", "header.typ")),
        ({"typ": "Order+JWT"}, b"{}", (403, "access_denied", "header.typ")),
        ({"typ": None}, b"{}", (400, "invalid_request", "header.typ")),
        ({"kid": None}, b"{}", (400, "invalid_request", "header.kid")),
        ({"alg": None}, b"{}", (400, "invalid_request", "header.alg")),
        ({"kid": "another"}, b"{}", (409, "key_changed", None)),
        ({"b64": False}, b"{}", (400, "invalid_request", "header.b64")),
        ({"b64": False, "crit": ["b64"]}, b"{}", (400, "invalid_request", "header.b64")),
        ({"crit": ["exp"], "exp": 1}, b"{}", (400, "invalid_request", "header.crit")),
        ({"jwk": {}}, b"{}", (400, "invalid_request", "header")),
        ({"cty": 7}, b"{}", (400, "invalid_request", "header")),
        ({}, b"x" * 201, (413, "payload_too_large", "payload")),
        ({}, b"x" * 30_000, (413, "payload_too_large", "payload")),
        ({}, f'{{"iss":"{ISS}"}}'.encode(), (403, "access_denied", "payload.iss")),
        ({}, b' {"iss":"https:\\/\\/issuer.example"}', (403, "access_denied", "payload.iss")),
        ({}, f'{{"iss":"{ISS}","iss":"b"}}'.encode(), (403, "access_denied", "payload.iss")),
        ({}, f'{{"iss":"{ISS}",}}'.encode(), (403, "access_denied", "payload.iss")),
        ({}, f'{{"iss":"{ISS}"}}'.encode("utf-16"), (403, "access_denied", "payload.iss")),
    ],
    ids=str,
)
def test_what_a_client_may_not_have_signed(
    service: SigningServer, change: dict[str, Any], payload: bytes, answer: tuple[int, str, str | None]
) -> None:
    """Each refusal names its place, is recorded, and no signature leaves."""
    header = {**HEADER, "kid": service.kid(), **change}
    header = {name: value for name, value in header.items() if value is not None}
    octets = (encoded(header) + b"." + encoded(payload)).decode()
    status, found, _ = service.ask(signing_input=octets, request_id="r-denied")
    assert (status, found["error"], found.get("place")) == answer
    assert "signature" not in found
    record = service.records()[-1]
    assert (record["who"], record["result"], record["request_id"]) == ("orders", answer[1], "r-denied")
    assert record["digest"] == hashlib.sha256(octets.encode()).hexdigest()


@pytest.mark.parametrize("octets", ["", ".", "a", "bm8.e30", "e30=.e30", "{}.e30", "\u00e9.e30"])
def test_what_is_no_signing_input_is_refused(service: SigningServer, octets: str) -> None:
    """Arbitrary octets, and a digest among them, are not signed."""
    status, found, _ = service.ask(signing_input=octets)
    assert (status, "signature" in found) == (403 if not octets else 400, False)


def test_a_form_of_a_payload_that_is_not_canonical_is_refused(service: SigningServer) -> None:
    """A third part, bits that are set behind the payload's end, a missing dot and equal names are refused."""
    head = encoded({**HEADER, "kid": service.kid()}).decode()
    twice = encoded(f'{{"alg":"ES256","kid":"{service.kid()}","typ":"stock+jwt","typ":"order+jwt"}}'.encode())
    for octets in (f"{head}.e30.e30", f"{head}.YR", head, f"{head}.e30=", f"{twice.decode()}.e30"):
        status, found, _ = service.ask(signing_input=octets)
        assert (status, found["error"]) == (400, "invalid_request"), octets


def test_who_may_not_sign(service: SigningServer) -> None:
    """A stranger learns nothing; an unnamed client, another endpoint's assertion and a kid are denied."""
    head = encoded({**HEADER, "kid": service.kid()}).decode()
    forged = make_key("ES256", kid="orders")
    assert service.ask(key=forged, signing_input=f"{head}.e30")[:2] == (401, {"error": "invalid_client"})
    for aud in (ISS, f"{ISS}/token"):
        assert service.ask(aud=aud, signing_input=f"{head}.e30")[:2] == (401, {"error": "invalid_client"})
    assert service.ask("plain", signing_input=f"{head}.e30")[:2] == (
        403, {"error": "unauthorized_client", "place": "client_id"})  # fmt: skip
    assert service.ask("plain", alg="ES256")[0] == 403
    assert service.ask(alg="ES384")[:2] == (403, {"error": "access_denied", "place": "alg"})
    stock = encoded({**HEADER, "kid": service.kid(), "typ": "stock+jwt"}).decode()
    status, found, _ = service.ask("stock", signing_input=f"{stock}.e30")
    assert (status, found) == (403, {"error": "access_denied", "place": "header.kid"})
    assert code_of(lambda: service.signer("plain")) == "signer_refused"
    wrong = LocalSigner(forged)
    assert code_of(lambda: service.signer(client_key=wrong)) == "signer_refused"
    signer = service.signer("stock")
    assert code_of(lambda: sign_compact(b"{}", signer, header={"typ": "stock+jwt"})) == "signer_refused"


def test_a_client_that_may_only_sign(service: SigningServer) -> None:
    """It has payloads signed and gets no token, neither by its key nor from the operator."""
    octets = encoded({**HEADER, "kid": service.kid(), "typ": "seal+jwt"}).decode() + ".e30"
    assert service.ask("sealing", signing_input=octets)[0] == 200
    for grant in (CLIENT_CREDENTIALS, TOKEN_EXCHANGE):
        form = {"grant_type": grant, "audience": "https://orders.example", "subject_token": "a"}
        status, found, _ = service.ask("sealing", aud=f"{ISS}/token", path="/token", **form)
        assert (status, found["error"], "access_token" in found) == (400, "unauthorized_client", False)
    words = ["issue", "token", "--client", "sealing", "--config", str(service.config)]
    ended = CliRunner().invoke(app, [*words, "--audience", "https://orders.example"])
    assert (ended.exit_code, ended.stdout) == (1, "")
    form = {"grant_type": CLIENT_CREDENTIALS}
    assert service.ask("orders", aud=f"{ISS}/token", path="/token", **form)[0] == 200


def test_who_may_issue_signs_tokens_of_the_issuer(service: SigningServer) -> None:
    """A client with may_issue has the issuer's name in its tokens; all others have not."""
    signer = service.signer("issuing")
    token = JWTBuilder(signer, iss=ISS, audience="a", typ="at+jwt").sign({"sub": "b"})
    assert Verifier(list(service.keys().keys), algorithms=["ES256"]).verify(token).header["typ"] == "at+jwt"
    other = JWTBuilder(service.signer(), iss=ISS, typ="order+jwt")
    assert code_of(lambda: other.sign()) == "signer_refused"


def test_a_signer_follows_a_rotation(service: SigningServer) -> None:
    """A signature with the old kid fails with its code once; sign_compact asks again and succeeds."""
    signer, second = service.signer(), service.signer()
    old = str(signer.kid)
    octets = encoded({**HEADER, "kid": old}) + b"." + encoded(b"{}")
    promoted(service)
    end_s = time.monotonic() + 60
    while service.kid() == old:
        assert time.monotonic() < end_s
        time.sleep(0.05)
    assert code_of(lambda: signer.sign(octets)) == "signer_key_changed"
    assert signer.kid == service.kid() == signer.public_jwk.kid
    token = sign_compact(b"{}", second, header={"typ": "order+jwt"})
    found = Verifier(list(service.keys().keys), algorithms=["ES256"]).verify(token)
    assert found.header["kid"] == second.kid == signer.kid
    assert {"key_changed", "ok"} <= {one["result"] for one in service.records()}


def test_a_signer_sends_no_octets_that_it_cannot_read(service: SigningServer) -> None:
    """A header without a kid is refused before anything is sent; so is plain http."""
    signer = service.signer()
    before = len(service.records())
    for octets in (b"a.b", b"", b"\xff.e30", encoded({"alg": "ES256"}) + b".e30"):
        assert code_of(lambda octets=octets: signer.sign(octets)) == "signer_refused"
    assert len(service.records()) == before
    assert code_of(lambda: service.signer(insecure_allow_http=False)) == "configuration_invalid"


def test_no_private_byte_comes_out(service: SigningServer) -> None:
    """Neither answers, audit, output nor errors hold a private member."""
    assert sign_compact(b"{}", service.signer(), header={"typ": "order+jwt"})
    shown = repr(service.ask(alg="ES256")) + repr(service.records()) + "".join(service.server.lines)
    shown += repr(service.signer())
    found = service.secrets()
    assert found
    assert not [one for one in found if one in shown]


def test_a_service_that_is_away_and_back(tmp_path: Path) -> None:
    """A killed service is unavailable within the deadline; once it is back the same signer signs."""
    service = SigningServer(tmp_path)
    signer = service.signer(timeout_s=5.0)
    service.server.process.kill()
    service.server.end()
    assert code_of(lambda: sign_compact(b"{}", signer, header={"typ": "order+jwt"})) == "signer_unavailable"
    assert code_of(service.signer) == "signer_unavailable"
    text = service.config.read_text().replace('listen = "127.0.0.1:0"', f'listen = "{service.address}"')
    service.config.write_text(text)
    again = IssueServer(service.config)
    try:
        again.address()
        token = sign_compact(b"{}", signer, header={"typ": "order+jwt"})
        assert Verifier(list(service.keys().keys), algorithms=["ES256"]).verify(token).payload == b"{}"
    finally:
        assert again.end() == 0


TWO = """\
[queue]
depth = 4
concurrent = 1
per_second = 10
[signing_service]
[[signing_clients]]
client_id = "orders"
typ = "order+jwt"
[[signing_clients]]
client_id = "stock"
typ = "stock+jwt"
"""


def test_one_client_does_not_take_all_of_a_slow_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the queue's depth the greedy client is shed with 503 and Retry-After; the other one is served."""
    make_token(monkeypatch, tmp_path, "issuer", PIN)
    pin = tmp_path / "hsm.pin"
    pin.touch(mode=0o600)
    pin.write_text(f"{PIN}\n")
    keys = f'pkcs11_module = "{LIBRARY}"\npkcs11_token = "issuer"\npkcs11_pin_file = "hsm.pin"\n'
    service = SigningServer(tmp_path, keys=keys, more=TWO)
    try:
        kid = service.kid()
        ended = threading.Event()
        greedy: list[tuple[int, Any, Any]] = []

        def octets(typ: str, number: int) -> str:
            head = encoded({"alg": "ES256", "kid": kid, "typ": typ})
            return (head + b"." + encoded({"n": number})).decode()

        def ask(number: int) -> None:
            while not ended.is_set():
                number += 100
                greedy.append(service.ask(signing_input=octets("order+jwt", number)))

        threads = [threading.Thread(target=ask, args=(one,)) for one in range(10)]
        for one in threads:
            one.start()
        try:
            end_s = time.monotonic() + 60
            while not any(one[0] == 503 for one in greedy):
                assert time.monotonic() < end_s
                time.sleep(0.01)
            served = [service.ask("stock", signing_input=octets("stock+jwt", one)) for one in range(5)]
        finally:
            ended.set()
            for one in threads:
                one.join(60)
        assert [one[0] for one in served] == [200] * 5
        shed = [one for one in greedy if one[0] == 503]
        assert {one[0] for one in greedy} == {200, 503}
        assert all(one[1]["code"] == "signing_queue_full" and one[2]["retry-after"] == "1" for one in shed)
        whos = {(one["who"], one["result"]) for one in service.records()}
        assert whos >= {("orders", "ok"), ("orders", "signing_queue_full"), ("stock", "ok")}
        assert PIN not in json.dumps(service.records()) + "".join(service.server.lines)
    finally:
        assert service.server.end() == 0
