"""The largest of what strangers send, and of what is kept for them: it is taken, and one more is not."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import dpop
import pytest
import tokens
from introspected import Server, client_of

from rapidjws import Engine, Issuer, RapidJWSError
from rapidjws.introspection import Introspection
from rapidjws.introspection.introspection import OPAQUE_MAX_BYTES
from rapidjws.issuing.state import KEYS_MAX, IssuingState, SigningKey
from rapidjws.issuing.transitions import publish
from rapidjws.jose.limits import NUMERIC_DATE_MAX_S
from rapidjws.keys import Transport
from rapidjws.keys.post import ANSWER_MAX_BYTES, HttpsPost
from rapidjws.sender import ClientCertificate, DPoP, SenderConstraints, SenderRequest
from rapidjws.sender.client_certificate import VALUE_MAX_BYTES
from rapidjws.sender.dpop import PROOF_MAX_BYTES
from rapidjws.signals import SignalReceiver, TokenRevocationHook
from rapidjws.signals.receiver import _DISABLED_MAX
from rapidjws.signals.revocation_hook import BODY_MAX_BYTES
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import FakeIssuer, make_key

ISSUER = FakeIssuer("https://as.example", "ES256", lifetime_s=86_400)
FORM = "application/x-www-form-urlencoded"
SECRET = "a secret of the authorization server"
NUMBERS = itertools.count()


def engine_of() -> Engine:
    """Return an engine of access tokens."""
    rules = Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience=str(ISSUER.audience))
    return Engine(rules, workers=1)


def access() -> str:
    """Return an access token."""
    return ISSUER.token(ISSUER.claims(int(time.time()) - 5, jti="t-1"))


# --- proofs and certificates -----------------------------------------------------------------------------


def padded(token: str, header: dict[str, Any], size: int) -> str | None:
    """Return a good proof of so many octets, or None where base64url has no claims of what is left."""
    missing = size - len(dpop.proof(token, header=header, pad=""))
    for chars in range(missing * 3 // 4 - 3, missing * 3 // 4 + 4):
        made: str = dpop.proof(token, header=header, jti=f"{next(NUMBERS):07}", pad="p" * chars)
        if len(made) == size:
            return made
    return None


def test_T11_a_proof_at_its_longest() -> None:
    """Of a key that comes for the first time, and of a known one, which is verified with the token."""
    token: str = dpop.bound_token()
    bare = len(dpop.proof(token, header={"pad": ""}).partition(".")[0]) * 3 // 4
    for chars in range(4090 - bare, 4094 - bare):
        header = {"pad": "h" * chars}
        if padded(token, header, PROOF_MAX_BYTES) and padded(token, header, PROOF_MAX_BYTES + 1):
            break

    def outcome(checks: SenderConstraints, more: int) -> Any:
        made = padded(token, header, PROOF_MAX_BYTES + more)
        assert made
        sender = checks.check(dpop.sent(token, made))  # octets: text is not verified with its proof
        return engine.decide(token.encode(), now=dpop.NOW_S, sender=sender).code

    engine, checks = dpop.engine(), dpop.constraints()
    assert [outcome(checks, 0) for _ in range(3)] == ["ok"] * 3
    assert outcome(checks, 1) == "dpop_proof_invalid"
    assert outcome(dpop.constraints(), 1) == "dpop_proof_invalid"


LEEWAY_S, MAX_AGE_S = 7, 60


@pytest.mark.parametrize(
    ("iat_s", "after_ns", "expected"),
    [
        (LEEWAY_S, 0, None),
        (LEEWAY_S, -1, "at most 60 seconds ago"),
        (-LEEWAY_S - MAX_AGE_S, -1, None),
        (-LEEWAY_S - MAX_AGE_S, 0, "at most 60 seconds ago"),
        (NUMERIC_DATE_MAX_S - dpop.NOW_S, 0, "at most 60 seconds ago"),
        (NUMERIC_DATE_MAX_S - dpop.NOW_S + 1, 0, "a NumericDate"),
        (-dpop.NOW_S, 0, "at most 60 seconds ago"),
        (-dpop.NOW_S + 1, 0, "at most 60 seconds ago"),
    ],
)
def test_T11_the_time_of_a_proof(iat_s: int, after_ns: int, expected: str | None) -> None:
    """To the nanosecond: not after now and the leeway, before its age and the leeway are over, and a date."""
    checks = DPoP(external_origins=dpop.ORIGIN, leeway_s=LEEWAY_S, max_age_s=MAX_AGE_S)
    claims = {"iat": dpop.NOW_S + iat_s}
    octets, now_ns = json.dumps(claims).encode(), dpop.NOW_S * 10**9 + after_ns
    if expected is None:
        assert checks._life_s(claims, octets, now_ns) > 0
        return
    with pytest.raises(RapidJWSError) as refused:
        checks._life_s(claims, octets, now_ns)
    assert (refused.value.code, refused.value.expected) == ("dpop_proof_invalid", expected)


@pytest.mark.parametrize(("more", "expected"), [(0, "ok"), (1, "malformed_request")])
def test_T11_the_header_of_a_certificate(more: int, expected: str) -> None:
    """A longer one is not read."""
    digest = hashlib.sha256(b"a certificate")
    value = f"Hash={digest.hexdigest()};URI=".encode().ljust(VALUE_MAX_BYTES + more, b"u")
    token = tokens.token(cnf={"x5t#S256": tokens.b64url(digest.digest())})
    mtls = ClientCertificate(trusted_peers="192.0.2.7", form="xfcc")
    request = SenderRequest(token.encode(), certificates=[value], peer="192.0.2.7")
    sender = SenderConstraints(mtls=mtls).check(request)
    assert dpop.engine().decide(token, now=dpop.NOW_S, sender=sender).code == expected


# --- signals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 400)])
def test_T11_the_body_of_a_revocation(more: int, status: int) -> None:
    """A longer one revokes nothing."""
    engine, value = engine_of(), access()
    body = urlencode({"token": value, "pad": ""}).encode().ljust(BODY_MAX_BYTES + more, b"p")
    hook = TokenRevocationHook(engine, secret=SECRET)
    assert hook.handle("POST", FORM, body, f"Bearer {SECRET}")[0] == status
    assert engine.decide(value).code == ("revoked" if status == 200 else "ok")


def test_T11_the_subjects_that_were_disabled() -> None:
    """As many are remembered, and for one more the one that was named the longest ago is forgotten."""
    rules = Issuer.profile(
        "security_event", ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience=str(ISSUER.audience)
    )
    taken: Any = SignalReceiver(Engine(rules, workers=1), engine_of(), replay=MemoryReplayStore())
    for number in range(_DISABLED_MAX):
        taken._note_disabled(number, 1)
    taken._note_disabled(0, 2)
    assert len(taken._disabled) == _DISABLED_MAX
    taken._note_disabled(_DISABLED_MAX, 1)
    assert len(taken._disabled) == _DISABLED_MAX
    assert (1 in taken._disabled, taken._disabled[0], taken._disabled[_DISABLED_MAX]) == (False, 2, 1)


# --- the others ------------------------------------------------------------------------------------------


def test_T11_requests_that_wait_on_a_connection() -> None:
    """With as many the connection is read no further, and not before."""
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    from rapidjws.sidecar.protocol import QUEUE_MAX, SidecarProtocol

    paused: list[int] = []
    waiting = deque[Any]()
    transport = SimpleNamespace(pause_reading=lambda: paused.append(len(waiting)))
    connection: Any = SimpleNamespace(_waiting=waiting, _transport=transport, _worker=object())
    for _ in range(QUEUE_MAX):
        SidecarProtocol._queue(connection, (b"/", [], b"GET", b"", True))
    assert paused == [QUEUE_MAX]


@pytest.mark.parametrize(("more", "expected"), [(0, True), (1, False)])
def test_T11_an_opaque_token(more: int, expected: bool) -> None:
    """A longer one is no token of the server, which is not asked about it."""
    server = Server({"active": True})
    asks = Introspection(client_of(server), opaque_issuer=ISSUER.iss)
    assert asks.is_opaque(b"o" * (OPAQUE_MAX_BYTES + more)) is expected
    engine = Engine(
        Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience=str(ISSUER.audience)),
        workers=1,
        introspection=asks,
    )
    engine.decide("o" * (OPAQUE_MAX_BYTES + more))
    assert server.count == int(expected)


@pytest.mark.parametrize(("first", "read"), [(-1, 2), (0, 1), (1, 1)])
def test_T11_what_is_read_of_an_answer(first: int, read: int) -> None:
    """It is cut where it is longer, and nothing is read any more once there is enough."""
    chunks: list[bytes] = []

    def stream() -> Iterator[bytes]:
        for chunk in (b"a" * (ANSWER_MAX_BYTES + first), b"bcd"):
            chunks.append(chunk)
            yield chunk

    answer: Any = SimpleNamespace(iter_stream=stream)
    found = HttpsPost(Transport())._first_bytes(answer)
    assert found == (b"a" * (ANSWER_MAX_BYTES + first) + b"bcd")[:ANSWER_MAX_BYTES]
    assert len(chunks) == read


@pytest.mark.parametrize(("more", "is_taken"), [(-1, True), (0, False)])
def test_T11_the_keys_of_an_issuer(more: int, is_taken: bool) -> None:
    """One more than the most is not published; removed ones count."""

    def key(kid: str, stage: Any) -> SigningKey:
        public = make_key("ES256", kid=kid).public()
        return SigningKey(
            kid=kid, alg="ES256", stage=stage, jwk=public.as_dict(), reference="r", published_at_s=1.0
        )

    state = IssuingState(keys=(key("old", "removed"),) * (KEYS_MAX + more))
    if is_taken:
        assert len(publish(state, key("new", "next")).keys) == KEYS_MAX
    else:
        with pytest.raises(RapidJWSError) as refused:
            publish(state, key("new", "next"))
        assert (refused.value.code, refused.value.place) == ("configuration_invalid", "keys")
