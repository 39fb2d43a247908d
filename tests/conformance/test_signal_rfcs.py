"""The examples of RFC 8417, 8935, 8936 and 8693: what each means here.

The RFCs' tokens are unsecured, or signed by keys that nobody published: their claims are signed anew. Their
dates are of 2016 and 2017, and a signal is refused after 30 days: ``iat`` is moved to now for a receiver.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from rapidjws import Engine, Issuer
from rapidjws.authz import Authorizer, Delegation, HTTPRequest, Rule
from rapidjws.authz.delegation import chain_of
from rapidjws.signals import SETPoller, SignalReceiver
from rapidjws.signals.events import effects_of
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import FakeIssuer
from rapidjws.verify.revocations import Revocation

RISC_DISABLED = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"
SCIM: dict[str, Any] = {
    "iss": "https://scim.example.com", "iat": 1458496404, "jti": "4d3559ec67504aaba65d40b0363faad8",
    "aud": ["https://scim.example.com/Feeds/98d52461fa5bbc879593b7754",
            "https://scim.example.com/Feeds/5d7604516b1d08641d7676ee7"],
    "events": {"urn:ietf:params:scim:event:create": {
        "ref": "https://scim.example.com/Users/44f6142df96bd6ab61e7521d9",
        "attributes": ["id", "name", "userName", "password", "emails"]}},
}  # fmt: skip
LOGOUT: dict[str, Any] = {
    "iss": "https://server.example.com", "sub": "248289761001", "aud": "s6BhdRkqt3", "iat": 1471566154,
    "jti": "bWJq", "sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
    "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
}  # fmt: skip
CONSENT: dict[str, Any] = {
    "iss": "https://my.med.example.org", "iat": 1458496025, "jti": "fb4e75b5411e4e19b6c0fe87950f7749",
    "aud": ["https://rp.example.com"],
    "events": {"https://openid.net/heart/specs/consent.html": {
        "iss": "https://connect.example.com", "sub": "248289761001",
        "consentUri": ["https://terms.med.example.org/labdisclosure.html#Agree"]}},
}  # fmt: skip
RISC: dict[str, Any] = {
    "iss": "https://idp.example.com/", "jti": "756E69717565206964656E746966696572", "iat": 1508184845,
    "aud": "636C69656E745F6964",
    "events": {RISC_DISABLED: {
        "subject": {"subject_type": "iss-sub", "iss": "https://idp.example.com/", "sub": "7375626A656374"},
        "reason": "hijacking", "cause-time": 1508012752}},
}  # fmt: skip
EXAMPLES = {
    "figure 1, SCIM": SCIM,
    "figure 2, logout": LOGOUT,
    "figure 3, consent": CONSENT,
    "figure 4, RISC": RISC,
}


@pytest.mark.parametrize(
    ("claims", "revoked", "unknown"),
    [
        (SCIM, (), 1),
        (LOGOUT, (Revocation(issuer=LOGOUT["iss"], sid=LOGOUT["sid"]),), 0),
        (CONSENT, (), 1),
        (RISC, (Revocation(issuer=RISC["iss"], sub="7375626A656374"),), 0),
    ],
    ids=["SCIM", "logout", "consent", "RISC"],
)
def test_rfc_8417_section_2_1(claims: dict[str, Any], revoked: tuple[Revocation, ...], unknown: int) -> None:
    """The example revokes what it names, or nothing where its event means nothing here."""
    found = effects_of(claims, frozenset({claims["iss"]}), int(time.time()))
    assert (found.revoked, found.lifted, found.unknown) == (revoked, (), unknown)


class World:
    """A service of one example's issuer, and the receiver of its signals."""

    def __init__(self, claims: Mapping[str, Any]) -> None:
        self.idp = FakeIssuer(claims["iss"], "ES256", lifetime_s=3600)
        common: dict[str, Any] = {"keys": self.idp.jwks, "algorithms": ["ES256"]}
        aud = claims["aud"]
        profile: Any = "logout_token" if claims is LOGOUT else "security_event"
        self.engine = Engine(Issuer(self.idp.iss, audience=self.idp.audience, **common), workers=1)
        tokens = Engine(Issuer.profile(profile, self.idp.iss, audience=aud, **common), workers=1)
        self.receiver = SignalReceiver(tokens, self.engine, replay=MemoryReplayStore())

    def signed(self, claims: Mapping[str, Any], **changes: Any) -> str:
        """Return an example's claims, signed now."""
        return self.idp.token({**claims, "iat": int(time.time()), **changes}, header={"typ": "secevent+jwt"})

    def access(self, sub: str) -> str:
        """Return an access token of a subject."""
        return self.idp.token(self.idp.claims(int(time.time()) - 60, sub=sub))


@pytest.mark.parametrize("claims", [SCIM, CONSENT, RISC], ids=["SCIM", "consent", "RISC"])
def test_rfc_8935_section_2_2(claims: dict[str, Any]) -> None:
    """A pushed token is answered by 202 without a body, and again by 202 where it comes twice."""
    world = World(claims)
    body = world.signed(claims).encode()
    sent = [world.receiver.push("POST", "application/secevent+jwt", body) for _ in range(2)]
    assert sent == [(202, b""), (202, b"")]
    code = "revoked" if claims is RISC else "ok"
    assert world.engine.decide(world.access("7375626A656374")).code == code
    assert world.engine.decide(world.access("another")).code == "ok"


def test_rfc_8935_section_2_3() -> None:
    """What is no good token, as the RFC's own unsecured example, is answered by 400 with ``err``."""
    world = World(SCIM)
    unsecured = "eyJ0eXAiOiJzZWNldmVudCtqd3QiLCJhbGciOiJub25lIn0." + world.signed(SCIM).split(".")[1] + "."
    for body in (
        unsecured,
        world.signed({**SCIM, "aud": "636C69656E745F6964"}),
        world.signed(SCIM, iat=SCIM["iat"]),
    ):
        status, answer = world.receiver.push("POST", "application/secevent+jwt", body.encode())
        assert (status, set(json.loads(answer))) == (400, {"err", "description"})
    assert world.receiver.push("POST", "application/jwt", world.signed(SCIM).encode())[0] == 400


def test_rfc_8936_section_2_4_and_2_5() -> None:
    """Two tokens by their ``jti``: the good one is acknowledged, the other reported, with the next poll."""
    world, requests = World(SCIM), list[dict[str, Any]]()
    bad = "eyJhbGciOiJub25lIn0." + world.signed(SCIM).split(".")[1] + "."
    good = world.signed(SCIM, jti="3d0c3cf797584bd193bd0fb1bd4e7d30")
    answers = [
        {"sets": {"4d3559ec67504aaba65d40b0363faad8": bad, "3d0c3cf797584bd193bd0fb1bd4e7d30": good}},
        {"sets": {}},
    ]

    def post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        requests.append(json.loads(body))
        return 200, json.dumps(answers[len(requests) - 1]).encode()

    poller = SETPoller("https://notify.idp.example.com/Events", world.receiver, post=post)
    assert [poller.poll(), poller.poll()] == [False, False]
    assert requests[0] == {"maxEvents": 100, "returnImmediately": True}
    assert requests[1]["ack"] == ["3d0c3cf797584bd193bd0fb1bd4e7d30"]
    assert list(requests[1]["setErrs"]) == ["4d3559ec67504aaba65d40b0363faad8"]
    assert set(requests[1]["setErrs"]["4d3559ec67504aaba65d40b0363faad8"]) == {"err", "description"}


ACT: dict[str, Any] = {
    "aud": "https://consumer.example.com", "iss": "https://issuer.example.com", "exp": 1443904177,
    "nbf": 1443904077, "sub": "user@example.com", "act": {"sub": "admin@example.com"},
}  # fmt: skip
NESTED: dict[str, Any] = {
    "aud": "https://service26.example.com", "iss": "https://issuer.example.com", "exp": 1443904100,
    "nbf": 1443904000, "sub": "user@example.com",
    "act": {"sub": "https://service16.example.com", "act": {"sub": "https://service77.example.com"}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("claims", "max_depth", "actors", "code"),
    [
        (ACT, 1, ["admin@example.com"], "ok"),
        (ACT, 1, ["another@example.com"], "actor_not_allowed"),
        (NESTED, 2, ["https://service16.example.com"], "ok"),
        (NESTED, 1, ["https://service16.example.com"], "actor_not_allowed"),
        (NESTED, 2, ["https://service77.example.com"], "actor_not_allowed"),
    ],
)
def test_rfc_8693_section_4_1(claims: dict[str, Any], max_depth: int, actors: list[str], code: str) -> None:
    """Of figures 5 and 6 the outermost actor acts; the inner one is history and permits nothing."""
    idp = FakeIssuer(claims["iss"], "ES256")
    engine = Engine(Issuer(idp.iss, keys=idp.jwks, algorithms=["ES256"], audience=claims["aud"]), workers=1)
    now_s = claims["nbf"] + 1
    decision = engine.decide(idp.token(claims), now=now_s)
    assert decision.code == "ok"
    rules = Authorizer(
        [Rule(name="act", act=Delegation(max_depth=max_depth, actors=actors))], listener=lambda *_: None
    )
    assert rules.authorize(decision, HTTPRequest(method="GET", path="/"), now=now_s).code == code
    assert chain_of(claims)
