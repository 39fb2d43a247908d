"""``Verifier`` by the chains that tokens bring in x5c, in every serialization, at the time of each."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from certified import Chain, app_store_chain, x5c_of
from cryptography.hazmat.primitives import serialization

from rapidjws import JWK, ConfigurationError, RapidJWSError, Rejected, VerifiedJWS, Verifier
from rapidjws.jws import chain_verifiers
from rapidjws.keys import RemoteJWKS, X5CKeys
from rapidjws.middleware import verify_webhook
from rapidjws.signing import LocalSigner
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets

NOW = int(time.time())
DAY = 86_400


@pytest.fixture(name="apple", scope="module")
def _apple_chain() -> Chain:
    return app_store_chain()


@pytest.fixture(name="verifier")
def _verifier(apple: Chain) -> Verifier:
    return made(apple)


def made(chain: Chain, **settings: Any) -> Verifier:
    """Return a verifier of a chain's root."""
    source = X5CKeys(chain.root.pem, policy=settings.pop("policy", "app_store"))
    settings = {"algorithms": ["ES256"], "crit": ["b64"], "max_header_bytes": 16_384, **settings}
    return Verifier(source, **settings)


def code_of(ask: Callable[[], Any]) -> str:
    """Return the code of a refusal, or ``ok``."""
    try:
        ask()
    except RapidJWSError as refused:
        return refused.code
    return "ok"


def changed(token: str) -> str:
    """Return a token with another signature."""
    return token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBB")


def signed(chain: Chain, payload: bytes, *, detached: bool = False, b64: bool = True, **header: Any) -> str:
    """Return a token of a chain's leaf."""
    members = {"alg": "ES256", "x5c": chain.x5c, **header}
    if not b64:
        members |= {"b64": False, "crit": ["b64"]}
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    signer = LocalSigner(JWK.from_pem(chain.leaf.key.private_bytes(*form), private=True), "ES256")
    return assemble(header_octets(members), payload, signer, detached=detached, b64=b64)


def test_a_token_is_verified_by_its_chain(apple: Chain, verifier: Verifier) -> None:
    """The payload is given out, with the certificate's thumbprint as the key that signed."""
    found = verifier.verify(apple.token())
    assert json.loads(found.payload)["notificationType"] == "TEST"
    assert found.issuer is None


def test_a_bad_signature_is_refused_and_nothing_is_remembered(apple: Chain, verifier: Verifier) -> None:
    """A header enters after a good signature only, whatever its chain is."""
    assert code_of(lambda: verifier.verify(changed(apple.token()))) == "signature_invalid"
    assert verifier._chains is not None
    assert not verifier._chains._known
    assert not verifier._chains.source._leaves
    verifier.verify(apple.token())
    assert len(verifier._chains._known) == 2  # as text and as octets


def test_the_second_token_asks_for_no_chain(
    apple: Chain, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token with the exact header of one that verified goes to the verifier of its leaf."""
    verifier.verify(apple.token())
    monkeypatch.setattr(X5CKeys, "leaf_for", None)
    claims = {"notificationType": "TEST", "signedDate": NOW * 1000, "n": 2}
    assert json.loads(verifier.verify(apple.token(claims)).payload)["n"] == 2
    assert json.loads(verifier.verify(apple.token(claims).encode()).payload)["n"] == 2
    assert code_of(lambda: verifier.verify(changed(apple.token(claims)))) == "signature_invalid"


def test_a_remembered_chain_must_hold_at_each_tokens_time(apple: Chain, verifier: Verifier) -> None:
    """A token that says it was signed before or after the chain is refused, also once its header is known."""
    verifier.verify(apple.token())
    for at_s in (NOW - 100 * 365 * DAY, NOW + 30 * DAY, None):
        claims = {"notificationType": "TEST", **({} if at_s is None else {"signedDate": at_s * 1000})}
        assert code_of(lambda claims=claims: verifier.verify(apple.token(claims))) == "chain_refused"  # type: ignore[misc]


def test_detached_streamed_and_json(apple: Chain, verifier: Verifier) -> None:
    """Detached content, in memory and streamed, and the flattened JSON serialization verify."""
    body = b'{"signedDate": %d}' % (NOW * 1000)
    for b64 in (True, False):
        token = signed(apple, body, detached=True, b64=b64, iat=NOW)
        assert verifier.verify(token, payload=body).payload == body
        assert code_of(lambda token=token: verifier.verify(token, payload=body + b" ")) == "signature_invalid"  # type: ignore[misc]
        verifier.verify_detached(token, [body[:5], body[5:]])
        asyncio.run(verifier.averify_detached(token, [body]))
        assert code_of(lambda token=token: verifier.verify_detached(token, [b"x"])) == "signature_invalid"  # type: ignore[misc]
    head, payload, signature = signed(apple, body).split(".")
    members = {"protected": head, "payload": payload, "signature": signature}
    assert verifier.verify(members).payload == body
    assert verifier.verify(json.dumps(members)).payload == body
    several = {"payload": payload, "signatures": [{"protected": head, "signature": signature}] * 2}
    assert code_of(lambda: verifier.verify(several)) == "too_large"
    unprotected = {"payload": payload, "header": {"alg": "ES256"}, "signature": signature}
    assert code_of(lambda: verifier.verify(unprotected)) == "chain_refused"


def test_batches_are_placed_by_index(apple: Chain, verifier: Verifier) -> None:
    """Each result of many stands at its token's place, of a new chain and of a known one."""
    for _ in range(2):
        tokens: list[Any] = [apple.token({"signedDate": NOW * 1000, "n": number}) for number in range(5)]
        tokens[1], tokens[3] = changed(tokens[1]), "nonsense"
        found = verifier.verify_many(tokens)
        assert [isinstance(one, VerifiedJWS) for one in found] == [True, False, True, False, True]
        assert [json.loads(found[at].payload)["n"] for at in (0, 2, 4)] == [0, 2, 4]  # type: ignore[union-attr]
        assert isinstance(found[3], Rejected)


@pytest.mark.parametrize("place", ["leaf", "above", "none", "alg"])
def test_other_chains_are_refused(place: str, apple: Chain, verifier: Verifier) -> None:
    """A chain to another root, one without its authority, none, and another algorithm are refused."""
    other = app_store_chain()
    x5c = {"leaf": other.x5c, "above": x5c_of(apple.leaf, apple.root), "none": None, "alg": apple.x5c}[place]
    token = (other if place == "leaf" else apple).token(x5c=x5c)
    found = made(apple, algorithms=["RS256"]) if place == "alg" else verifier
    wanted = "algorithm_not_allowed" if place == "alg" else "chain_refused"
    assert code_of(lambda: found.verify(token)) == wanted


def test_what_is_remembered_is_bounded(apple: Chain, verifier: Verifier) -> None:
    """A sender that changes its header with each token makes nobody's memory grow."""
    for number in range(chain_verifiers.HEADERS_MAX + 5):
        verifier.verify(signed(apple, b'{"signedDate": %d}' % (NOW * 1000), n=number))
    assert verifier._chains is not None
    assert len(verifier._chains._known) <= 2 * chain_verifiers.HEADERS_MAX


def test_webhooks_by_chains(apple: Chain, verifier: Verifier) -> None:
    """A webhook's detached signature verifies by its chain."""
    body = b"a=1"
    token = signed(apple, body, detached=True, iat=NOW)
    headers = {"X-JWS-Signature": token}
    assert verify_webhook(verifier, body=body, headers=headers).outcome == "permit"
    assert verify_webhook(verifier, body=b"a=2", headers=headers).code == "signature_invalid"


def test_other_sources_are_no_keys_of_a_verifier() -> None:
    """A source that is fetched belongs to an issuer; a chain's source stands for itself alone."""
    with pytest.raises(ConfigurationError, match="keys"):
        Verifier(RemoteJWKS("https://a.example/jwks.json"), algorithms=["ES256"])  # type: ignore[arg-type]
