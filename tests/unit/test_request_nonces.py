"""Nonces of signed requests: each rule of refusal, in webhooks of each shape, and what attackers try."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from redis_server import OwnRedis

from rapidjws import ConfigurationError, Verifier
from rapidjws.errors import PolicyRefused
from rapidjws.jwt.decision import Decision
from rapidjws.middleware import (
    BodyDigest,
    BodyReplay,
    RequestLines,
    RequestNonces,
    SignedBody,
    answer_for,
    verify_webhook,
)
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="hook")
SIGNER = LocalSigner(KEY, "ES256")
VERIFIER = Verifier(KEY.public(), algorithms=["ES256"])
SECRET, OTHER = b"s" * 32, b"o" * 32
SECOND_NS = 10**9


def nonces(**settings: Any) -> RequestNonces:
    """Return nonces over a store of their own."""
    return RequestNonces(**{"secrets": [SECRET], "store": MemoryReplayStore(), **settings})


def issued(of: RequestNonces, ago_s: int = 0, partner: str | None = None) -> str:
    """Return a nonce of so many seconds ago."""
    return of.issue(time.time_ns() - ago_s * SECOND_NS, partner)


def signed(header: dict[str, Any], payload: bytes) -> str:
    """Return a compact JWS with further members of its header."""
    return assemble(header_octets({"alg": "ES256", "kid": "hook", **header}), payload, SIGNER)


def hook(of: RequestNonces, payload: dict[str, Any], **how: Any) -> str:
    """Return the code of a webhook whose body, a signed one, is this JSON."""
    body = json.dumps(payload).encode()
    headers = {"X-JWS-Signature": sign_compact(body, SIGNER, detached=True)}
    return verify_webhook(VERIFIER, body=body, headers=headers, nonces=of, **how).code


def in_header(of: RequestNonces, header: dict[str, Any]) -> str:
    """Return the code of a webhook that is a JWS with these members of its protected header."""
    body = signed(header, b"paid").encode()
    return verify_webhook(VERIFIER, body=body, signature_header=None, nonces=of).code


@pytest.mark.parametrize("place", ["claims", "header"])
def test_a_nonce_is_demanded_known_in_time_and_used_once(place: Any) -> None:
    """Each rule has its code; a good nonce is good for one request and no more."""
    of = nonces(place=place, lifetime_s=60, leeway_s=5)
    send = hook if place == "claims" else in_header
    assert send(of, {}) == "nonce_missing"
    good = issued(of)
    assert send(of, {"nonce": good}) == "ok"
    assert send(of, {"nonce": good}) == "nonce_used"
    assert send(of, {"nonce": issued(of, 62)}) == "ok"  # within the leeway
    assert send(of, {"nonce": issued(of, 70)}) == "nonce_expired"
    assert send(of, {"nonce": issued(of, -3)}) == "ok"
    assert send(of, {"nonce": issued(of, -10)}) == "nonce_unknown"  # of the future
    assert send(of, {"nonce": issued(nonces(secrets=[OTHER]))}) == "nonce_unknown"


def test_wrong_nonces_of_every_kind_are_unknown() -> None:
    """Other types, texts, lengths and spellings are no nonce, and none of them uses a good one up."""
    of = nonces()
    good = issued(of)
    octets = base64.urlsafe_b64decode(good)
    changed = [base64.urlsafe_b64encode(octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]).decode()
               for at in range(len(octets))]  # fmt: skip
    texts = [good[:-1], good[:28], good[:-24], good + "A", good + "=", f" {good}", f"{good} ",
             good.swapcase(),
             good[:-4] + "AAAA", "", "\u2028", "\N{FULLWIDTH LATIN SMALL LETTER A}" * len(good),
             "ä" * len(good), "\0" * len(good), "n" * 500_000]  # fmt: skip
    wrong: list[Any] = [*changed, *texts, None, True, 7, 1.5, [good], {"nonce": good}, [good, good]]
    for one in wrong:
        assert hook(of, {"nonce": one}) == "nonce_unknown", one
    assert hook(of, {"nonce": good}) == "ok"


def test_no_text_of_another_length_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge text costs nothing: its length is looked at before all else."""
    seen: list[int] = []

    def decode(octets: bytes) -> None:
        seen.append(len(octets))

    monkeypatch.setattr("rapidjws.middleware.request_nonces._native.b64url_decode", decode)
    of = nonces()
    for count in (0, 51, 53, 500_000):
        with pytest.raises(PolicyRefused, match="nonce_unknown"):
            of.check("A" * count, time.time_ns())
    assert seen == []


def test_an_issued_text_has_one_spelling() -> None:
    """It ends at a whole octet: no bits left over by which one nonce had two texts, and two uses."""
    found = {issued(nonces()) for _ in range(100)}
    assert len(found) == 100
    assert {len(one) for one in found} == {52}
    assert all(len(base64.urlsafe_b64decode(one)) * 4 == len(one) * 3 for one in found)


def test_two_values_are_refused() -> None:
    """A member that stands twice is not read, and of two signatures both must hold the same nonce."""
    of, other = nonces(), nonces(place="header")
    body = b'{"nonce": "%b", "nonce": "%b"}' % (issued(of).encode(), issued(of).encode())
    headers = {"X-JWS-Signature": sign_compact(body, SIGNER, detached=True)}
    assert verify_webhook(VERIFIER, body=body, headers=headers, nonces=of).code == "duplicate_member"

    def general(*found: str | None) -> str:
        parts = [signed({} if one is None else {"nonce": one}, b"paid").split(".") for one in found]
        signatures = [{"protected": part[0], "signature": part[2]} for part in parts]
        document = json.dumps({"payload": parts[0][1], "signatures": signatures}).encode()
        verifier = Verifier(KEY.public(), algorithms=["ES256"])
        return verify_webhook(verifier, body=document, signature_header=None, nonces=other).code

    good = issued(other)
    assert general(good, issued(other)) == "signers_disagree"
    assert general(good, None) == "nonce_missing"
    assert general(good, good) == "ok"
    assert general(good, good) == "nonce_used"


def test_an_unprotected_header_holds_no_nonce() -> None:
    """What the signature does not cover is not read (RFC 8555 s.6.5.2: the protected header)."""
    of = nonces(place="header")
    head, payload, signature = signed({}, b"paid").split(".")
    document = {
        "payload": payload,
        "protected": head,
        "signature": signature,
        "header": {"nonce": issued(of)},
    }
    verifier = Verifier(KEY.public(), algorithms=["ES256"])
    body = json.dumps(document).encode()
    assert verify_webhook(verifier, body=body, signature_header=None, nonces=of).code == "nonce_missing"


def test_a_bad_signature_uses_no_nonce_up() -> None:
    """A nonce is read of what was verified only: a forged copy leaves it good."""
    of = nonces()
    good = issued(of)
    body = json.dumps({"nonce": good}).encode()
    forged = {"X-JWS-Signature": sign_compact(b"{}", SIGNER, detached=True)}
    assert verify_webhook(VERIFIER, body=body, headers=forged, nonces=of).code == "signature_invalid"
    assert hook(of, {"nonce": good}) == "ok"


def test_a_nonce_of_the_body_needs_a_digest_or_a_payload_that_covers_it() -> None:
    """With a token in a header the body's own member counts; where nothing covers the body it is refused."""
    of = nonces(place="body", member="/meta/nonce")

    def send(body: bytes, token_of: bytes) -> str:
        token = sign_compact(json.dumps({"sha": hashlib.sha256(token_of).hexdigest()}).encode(), SIGNER)
        return verify_webhook(VERIFIER, body=body, headers={"S": token}, signature_header="S",
                              digest=BodyDigest(claim="/sha"), nonces=of).code  # fmt: skip

    body = json.dumps({"meta": {"nonce": issued(of)}}).encode()
    assert send(body, b"another") == "signature_invalid"
    assert send(body, body) == "ok"
    assert send(body, body) == "nonce_used"
    assert send(b"{}", b"{}") == "nonce_missing"
    assert send(b"nonce", b"nonce") == "malformed_json"
    for settings in ({}, {"payload_of": lambda request: b""}, {"signature_header": None}):
        with pytest.raises(ConfigurationError) as refused:
            SignedBody(verifier=VERIFIER, nonces=of, **settings)  # type: ignore[arg-type]
        assert refused.value.place == "nonces.place"
    lines = {"payload_of": RequestLines(), "target": "/hook", "signature_header": "S"}
    body = json.dumps({"meta": {"nonce": issued(of)}}).encode()
    head, _, tag = signed({}, b"POST /hook\n" + body).split(".")
    for code in ("ok", "nonce_used"):
        found = verify_webhook(VERIFIER, body=body, headers={"S": f"{head}..{tag}"}, nonces=of, **lines)  # type: ignore[arg-type]
        assert found.code == code


def test_another_partners_nonce_is_refused() -> None:
    """A nonce is good for the partner it was given to, and stays good after another one tried it."""
    of = nonces()
    mine = issued(of, partner="shop")
    for partner in ("bank", "shop2", "SHOP", None):
        assert hook(of, {"nonce": mine}, partner=partner) == "nonce_unknown"
    assert hook(of, {"nonce": mine}, partner="shop") == "ok"
    assert hook(of, {"nonce": issued(of)}, partner="shop") == "nonce_unknown"


def test_secrets_are_replaced_without_a_refusal() -> None:
    """The first makes nonces, all of them check."""
    store = MemoryReplayStore()
    old, both = nonces(store=store), nonces(secrets=[OTHER, SECRET], store=store)
    new = nonces(secrets=[OTHER], store=store)
    assert hook(both, {"nonce": issued(old)}) == "ok"
    made = issued(both)
    assert hook(old, {"nonce": made}) == "nonce_unknown"
    assert hook(new, {"nonce": made}) == "ok"
    assert hook(both, {"nonce": made}) == "nonce_used"


def test_optional_nonces_refuse_wrong_ones_only() -> None:
    """Where none is required, a request without one passes, and a wrong one does not."""
    of = nonces(required=False)
    assert hook(of, {}) == "ok"
    assert hook(of, {"nonce": "made up"}) == "nonce_unknown"
    assert hook(of, {"nonce": None}) == "nonce_unknown"


class Store:
    """A replay store that cannot tell, or fails; it knows what it was to take back and keep for how long."""

    blocking = False

    def __init__(self, answer: bool | Exception | None) -> None:
        self.answer = answer
        self.lives: list[int] = []
        self.withdrawn: list[bytes] = []

    def record(self, entries: Sequence[tuple[bytes, int]]) -> list[bool | None]:
        """Record what is asked for."""
        self.lives += [life_s for _, life_s in entries]
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer]

    def withdraw(self, keys: Sequence[bytes]) -> None:
        """Take back."""
        self.withdrawn += keys


@pytest.mark.parametrize("answer", [None, OSError("down")])
def test_a_store_that_cannot_tell_is_the_operators_choice(answer: Any) -> None:
    """It is indeterminate, and the use taken back; or the request passes, by choice."""
    store = Store(answer)
    of = nonces(store=store)
    body = json.dumps({"nonce": issued(of)}).encode()
    headers = {"X-JWS-Signature": sign_compact(body, SIGNER, detached=True)}
    found = verify_webhook(VERIFIER, body=body, headers=headers, nonces=of)
    assert (found.outcome, found.code) == ("indeterminate", "replay_store_unavailable")
    assert len(store.withdrawn) == 1
    assert hook(nonces(store=store, on_failure="accept"), {"nonce": issued(of)}) == "ok"
    assert hook(nonces(store=Store(False), on_failure="accept"), {"nonce": issued(of)}) == "nonce_used"


def test_a_use_is_remembered_as_long_as_any_worker_takes_the_nonce() -> None:
    """Whatever the leeway and the clock of another worker: its widest leeway, twice."""
    store = Store(True)
    of = nonces(store=store, lifetime_s=60, leeway_s=0)
    assert hook(of, {"nonce": issued(of)}) == "ok"
    assert 60 + 600 <= store.lives[0] <= 60 + 601
    wide = nonces(store=store, lifetime_s=60, leeway_s=300)
    assert hook(wide, {"nonce": issued(of, 350)}) == "ok"
    assert store.lives[1] >= 300 + 5
    narrow = nonces(store=store, lifetime_s=600)
    assert hook(narrow, {"nonce": issued(of, 100)}) == "nonce_expired"  # it holds its own life


def test_a_body_that_cannot_be_recorded_is_sent_again_with_a_new_nonce() -> None:
    """The nonce is used first: were it the body, the same one with a new nonce would be refused."""
    of = nonces()
    down = BodyReplay(store=Store(None), identity="/id")  # type: ignore[arg-type]
    up = BodyReplay(store=MemoryReplayStore(), identity="/id")
    one = {"id": "a", "nonce": issued(of)}
    assert hook(of, one, replay=down) == "replay_store_unavailable"
    assert hook(of, one, replay=up) == "nonce_used"
    assert hook(of, {**one, "nonce": issued(of)}, replay=up) == "ok"
    assert hook(of, {**one, "nonce": issued(of)}, replay=up) == "replayed"


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"secrets": []}, "secrets"),
        ({"secrets": [b"s" * 31]}, "secrets"),
        ({"secrets": [SECRET, b"short"]}, "secrets"),
        ({"secrets": SECRET}, "secrets"),
        ({"secrets": ["s" * 32]}, "secrets"),
        ({"secrets": 7}, "secrets"),
        ({"place": "query"}, "place"),
        ({"place": None}, "place"),
        ({"member": "nonce"}, "member"),
        ({"member": ""}, "member"),
        ({"lifetime_s": 9}, "lifetime_s"),
        ({"lifetime_s": 86_401}, "lifetime_s"),
        ({"leeway_s": -1}, "leeway_s"),
        ({"leeway_s": 301}, "leeway_s"),
        ({"required": 1}, "required"),
        ({"on_failure": "ignore"}, "on_failure"),
        ({"store": None}, "store"),
    ],
)
def test_settings_are_checked_at_once(settings: dict[str, Any], place: str) -> None:
    """A wrong value is an error of the constructor, with its place."""
    with pytest.raises(ConfigurationError) as refused:
        nonces(**settings)
    assert refused.value.place == f"nonces.{place}"


def test_secrets_are_shown_nowhere() -> None:
    """Neither the repr nor a nonce holds a secret."""
    of = nonces()
    assert "sss" not in repr(of)
    assert SECRET[:8] not in base64.urlsafe_b64decode(issued(of))


def test_an_answer_gives_out_a_nonce_with_401_alone() -> None:
    """``Replay-Nonce`` stands in a refusal that a new nonce may mend (RFC 8555 s.6.5.1)."""

    def given(code: str, outcome: Any = "deny") -> tuple[int, str | None]:
        answer = answer_for(Decision(outcome=outcome, code=code), scheme="JWS", nonce="abc")
        assert answer is not None
        return answer.status, dict(answer.headers).get("replay-nonce")

    for code in ("nonce_missing", "nonce_unknown", "nonce_expired", "nonce_used", "missing_token"):
        assert given(code) == (401, "abc")
    assert given("replay_store_unavailable", "indeterminate") == (503, None)
    assert given("insufficient_scope") == (403, None)
    with pytest.raises(ConfigurationError):
        answer_for(Decision(outcome="deny", code="nonce_used"), nonce="a\r\nset-cookie: b")


WORKER = """
import sys
from rapidjws import Verifier
from rapidjws.jose.jwk import JWK
from rapidjws.middleware import RequestNonces, verify_webhook
from rapidjws.stores import RedisReplayStore
url, key, signature, body = sys.argv[1:]
store = RedisReplayStore(url)
nonces = RequestNonces(secrets=[b"s" * 32], store=store)
verifier = Verifier(key, algorithms=["ES256"])
sys.stdin.readline()
print(verify_webhook(verifier, body=body.encode(), headers={"X-JWS-Signature": signature},
                     nonces=nonces).code)
"""


def test_of_two_workers_one_takes_a_nonce(tmp_path: Path) -> None:
    """Over one Redis a nonce that both get at once is good at one of them."""
    redis = OwnRedis(tmp_path)
    try:
        body = json.dumps({"nonce": issued(nonces())})
        signature = sign_compact(body.encode(), SIGNER, detached=True)
        command = [
            sys.executable,
            "-c",
            WORKER,
            redis.url,
            json.dumps(KEY.public().as_dict()),
            signature,
            body,
        ]
        workers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        found = [worker.communicate("\n", timeout=60)[0].strip() for worker in workers]
        assert sorted(found) == ["nonce_used", "ok"]
    finally:
        redis.stop()
