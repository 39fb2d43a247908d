"""A real OpenID provider: opaque tokens by introspection, plain and signed, and tokens bound by DPoP."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest
import trustme
from oidc_provider import AUDIENCE, Provider, installed

from rapidjws import Engine, Issuer
from rapidjws.introspection import Introspection, IntrospectionClient, IntrospectionLimits
from rapidjws.keys import RemoteJWKS, Transport
from rapidjws.sender import ClientCertificate, DPoP, SenderConstraints, SenderRequest
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


class ProofsOfTheClient:
    """The client's own package in a process: proofs by one key that never leaves it."""

    def __init__(self, alg: str) -> None:
        command = [str(shutil.which("node")), "client.mjs", alg]
        self._process = subprocess.Popen(
            command, cwd=installed(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, *words: str) -> str:
        """Return a proof for a method, a URL and perhaps a token."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


@pytest.mark.parametrize("alg", ["ES256", "Ed25519"])  # what it enables by itself
def test_proofs_of_the_clients_own_package(provider: Provider, alg: str) -> None:
    """The provider binds a token by its proof; the next ones hold here, each once, for its request."""
    made = ProofsOfTheClient(alg)
    try:
        token = provider.token(proof=made("POST", f"{provider.iss}/token"))
        checks = SenderConstraints(dpop=DPoP(external_origins=AUDIENCE))
        rules = Issuer(
            provider.iss, keys=keys_of(provider), algorithms=["ES256"], audience=AUDIENCE, cnf="required"
        )
        engine = Engine(rules)
        assert engine.wait_ready(30)

        def code(one: str, method: str = "GET", path: str = "/orders") -> str:
            request = SenderRequest(token.encode(), True, [one.encode()], method, path, b"a=b")
            return engine.decide(token, sender=checks.check(request)).code

        for _ in range(3):
            good = made("GET", f"{AUDIENCE}/orders?a=b", token)
            assert code(good) == "ok"
            assert code(good) == "dpop_proof_replayed"
        assert code(made("GET", f"{AUDIENCE}/orders", token), "POST") == "dpop_proof_invalid"
        assert code(made("GET", f"{AUDIENCE}/orders", token), path="/other") == "dpop_proof_invalid"
        assert code(made("GET", f"{AUDIENCE}/orders")) == "dpop_proof_invalid"  # without ath
    finally:
        made.close()


def test_a_token_that_a_real_provider_bound_to_a_certificate(provider: Provider) -> None:
    """It holds with that certificate from the gateway (RFC 8705 s.3), and with no other or none."""
    authority = trustme.CA()
    own, other = (
        authority.issue_cert(f"{name}.example").cert_chain_pems[0].bytes().decode() for name in ("a", "b")
    )
    token = provider.token("certified", certificate=own)
    checks = SenderConstraints(mtls=ClientCertificate(trusted_peers="192.0.2.1", form="pem"))
    rules = Issuer(
        provider.iss, keys=keys_of(provider), algorithms=["ES256"], audience=AUDIENCE, cnf="required"
    )
    engine = Engine(rules)
    assert engine.wait_ready(30)

    def code(*certificates: str, peer: str = "192.0.2.1") -> str:
        sent = [quote(one, safe="").encode() for one in certificates]
        request = SenderRequest(token.encode(), certificates=sent, peer=peer)
        return engine.decide(token, sender=checks.check(request)).code

    assert code(own) == "ok"
    assert code(other) == "binding_mismatch"
    assert code() == "client_certificate_missing"
    assert code(own, peer="192.0.2.2") == "malformed_request"
    assert engine.decide(token).code == "binding_unchecked"
    with pytest.raises(HTTPError):
        provider.token("certified")
