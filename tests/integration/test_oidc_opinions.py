"""A real OpenID provider: opaque tokens by introspection, plain and signed, and tokens bound by DPoP."""

from __future__ import annotations

import hashlib
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from oidc_provider import AUDIENCE, Provider, installed

from rapidjws import Engine, Issuer
from rapidjws.introspection import Introspection, IntrospectionClient, IntrospectionLimits
from rapidjws.keys import RemoteJWKS, Transport
from rapidjws.sender import DPoP, SenderConstraints, SenderRequest
from rapidjws.signing import LocalSigner
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets
from rapidjws.testing import make_key


@pytest.fixture(name="provider", scope="module")
def _provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    provider = Provider(installed(), tmp_path_factory.mktemp("provider"))
    yield provider
    provider.close()


def keys_of(provider: Provider) -> RemoteJWKS:
    """Return its keys."""
    return RemoteJWKS(f"{provider.iss}/jwks", transport=Transport(ca=provider.ca_pem, timeout_s=30))


def asking(provider: Provider, client: IntrospectionClient) -> Engine:
    """Return an engine that asks the provider about opaque tokens, without a cache."""
    introspection = Introspection(
        client,
        opaque_issuer=provider.iss,
        audience=AUDIENCE,
        limits=IntrospectionLimits(cache_s=0, negative_cache_s=0),
    )
    rules = Issuer(provider.iss, keys=keys_of(provider), algorithms=["ES256"], audience=AUDIENCE)
    return Engine(rules, introspection=introspection)


def client_of(provider: Provider, **settings: Any) -> IntrospectionClient:
    """Return a client of its introspection endpoint."""
    defaults: dict[str, Any] = {"client_id": "opaque", "client_secret": "not-a-secret", "auth": "post"}
    return IntrospectionClient(
        f"{provider.iss}/token/introspection",
        transport=Transport(ca=provider.ca_pem, timeout_s=30),
        **{**defaults, **settings},
    )


def test_an_opaque_token_of_a_real_provider(provider: Provider) -> None:
    """It is active until its client revokes it; a made-up one never is; a JWS is verified as before."""
    engine = asking(provider, client_of(provider))
    token = provider.token("opaque")
    assert "." not in token
    decision = engine.decide(token)
    assert decision.code == "ok"
    assert decision.verified is not None
    assert decision.verified.claims["client_id"] == "opaque"
    assert engine.decide("made-up").code == "token_inactive"
    provider.revoke(token)
    assert engine.decide(token).code == "token_inactive"
    assert engine.wait_ready(30)
    assert engine.decide(provider.token()).code == "ok"
    wrong = client_of(provider, client_secret="wrong")
    assert asking(provider, wrong).decide(token).code == "introspection_unavailable"


def test_signed_answers_of_a_real_provider(provider: Provider) -> None:
    """An answer that the provider signs for us is taken (RFC 9701); one for another client is not."""
    token, codes = provider.token("opaque"), []
    for audience in ("gateway", "another"):
        rules = Issuer.profile(
            "introspection_response",
            provider.iss,
            keys=keys_of(provider),
            algorithms=["ES256"],
            audience=audience,
        )
        answers = Engine(rules)
        assert answers.wait_ready(30)
        client = client_of(provider, client_id="gateway", auth="basic", answers=answers)
        codes.append(asking(provider, client).decide(token).code)
    assert codes == ["ok", "introspection_unavailable"]


def proof(client: LocalSigner, method: str, uri: str, token: str | None = None) -> str:
    """Return a proof of a client's key."""
    claims: dict[str, Any] = {"jti": f"proof-{time.perf_counter_ns()}", "htm": method, "htu": uri}
    claims["iat"] = int(time.time())
    if token is not None:
        digest = hashlib.sha256(token.encode()).digest()
        claims["ath"] = urlsafe_b64encode(digest).rstrip(b"=").decode()
    header = header_octets({"typ": "dpop+jwt", "alg": "ES256", "jwk": client.public.as_dict()})
    return assemble(header, json.dumps(claims).encode(), client)


def test_a_token_that_a_real_provider_bound_to_a_key(provider: Provider) -> None:
    """It holds with a proof of its key, once; not as Bearer, nor with a thief's proof."""
    client, thief = (LocalSigner(make_key("ES256"), "ES256") for _ in range(2))
    token = provider.token(proof=proof(client, "POST", f"{provider.iss}/token"))
    checks = SenderConstraints(dpop=DPoP(external_origins=AUDIENCE))
    rules = Issuer(
        provider.iss, keys=keys_of(provider), algorithms=["ES256"], audience=AUDIENCE, cnf="required"
    )
    engine = Engine(rules)
    assert engine.wait_ready(30)

    def code(*proofs: str) -> str:
        sent = [one.encode() for one in proofs]
        request = SenderRequest(token.encode(), bool(proofs), sent, "GET", "/orders", b"")
        return engine.decide(token, sender=checks.check(request)).code

    good = proof(client, "GET", f"{AUDIENCE}/orders", token)
    assert code(good) == "ok"
    assert code(good) == "dpop_proof_replayed"
    assert code() == "dpop_proof_missing"
    assert code(proof(thief, "GET", f"{AUDIENCE}/orders", token)) == "binding_mismatch"
    assert code(proof(client, "POST", f"{AUDIENCE}/orders", token)) == "dpop_proof_invalid"
    assert engine.decide(provider.token()).code == "token_not_bound"
