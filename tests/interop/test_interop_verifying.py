"""JSON serializations, detached and unencoded payloads that others sign, verified here; and the way back."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
import tokens
from joserfc import jws as joserfc_jws
from joserfc.jwk import import_key
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws

import rapidjws
from rapidjws import SignatureInvalid, Verifier
from rapidjws.signing import LocalSigner, Signature, sign_compact, sign_flattened, sign_general

PAYLOAD = b'{"amount":"10.00","note":"\xc3\xa9"}'
ALGS = ("HS256", "RS256", "PS384", "ES256", "ES512")
WIDE = (*ALGS, "EdDSA", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87")
ENCODED = base64.urlsafe_b64encode(PAYLOAD).decode().rstrip("=")


def usable(alg: str) -> str:
    """Return the algorithm, or skip where no backend has it."""
    if rapidjws.backends().algorithms[alg] == "none":
        pytest.skip(f"no backend has {alg}")
    return alg


def private(alg: str) -> dict[str, Any]:
    """Return the private JWK; kept in memory, handed to the partner."""
    return tokens.key(alg).as_dict(private=True)


def public(alg: str) -> dict[str, Any]:
    """Return the public JWK, or the secret."""
    key = tokens.key(alg)
    return key.public().as_dict(private=key.is_symmetric)


def verifier(alg: str) -> Verifier:
    """Return a verifier of the algorithm's key."""
    return Verifier(tokens.public(alg), algorithms=[alg], crit=["b64"])


def signer(alg: str) -> LocalSigner:
    """Return a signer with the algorithm's key."""
    return LocalSigner(tokens.key(alg), alg)


def header(alg: str) -> dict[str, Any]:
    """Return the protected header for a partner."""
    return {"alg": alg, "kid": tokens.key(alg).kid}


def accepted_and_bound(alg: str, token: Any, **beside: Any) -> None:
    """Assert that a partner's token verifies, and that a changed signature or payload does not."""
    one = verifier(alg)
    assert one.verify(token, **beside).payload == PAYLOAD
    if beside:
        one.verify_detached(token, [PAYLOAD[:3], PAYLOAD[3:]])
        with pytest.raises(SignatureInvalid):
            one.verify(token, payload=PAYLOAD + b" ")


@pytest.mark.parametrize("alg", WIDE)
def test_jwcrypto(alg: str) -> None:
    """jwcrypto's flattened, general, detached and unencoded tokens verify here, and ours there."""
    key = jwcrypto_jwk.JWK(**private(usable(alg)))
    for b64 in (True, False):
        made = jwcrypto_jws.JWS(PAYLOAD.decode() if not b64 else PAYLOAD)
        made.allowed_algs = [alg]
        more = {} if b64 else {"b64": False, "crit": ["b64"]}
        made.add_signature(key, alg, json.dumps({**header(alg), **more}))
        flattened = made.serialize()
        accepted_and_bound(alg, flattened)
        made.add_signature(key, alg, json.dumps({**header(alg), **more}))
        general = made.serialize()
        assert "signatures" in json.loads(general)
        accepted_and_bound(alg, general)
        made.detach_payload()
        accepted_and_bound(alg, made.serialize(), payload=PAYLOAD)
        ours = sign_flattened(PAYLOAD, signer(alg), b64=b64)
        parsed = jwcrypto_jws.JWS()
        parsed.allowed_algs = [alg]
        parsed.deserialize(json.dumps(ours), jwcrypto_jwk.JWK(**public(alg)))
        assert parsed.payload in (PAYLOAD, PAYLOAD.decode())


@pytest.mark.parametrize("alg", ALGS)
def test_joserfc(alg: str) -> None:
    """joserfc's flattened and general tokens verify here, detached ones too, and ours there."""
    key = import_key(private(alg))
    registry = joserfc_jws.JWSRegistry(algorithms=[alg])
    flattened = joserfc_jws.serialize_json({"protected": header(alg)}, PAYLOAD, key, registry=registry)
    general = joserfc_jws.serialize_json(
        [{"protected": header(alg)}, {"protected": {"alg": alg}, "header": {"kid": tokens.key(alg).kid}}],
        PAYLOAD,
        key,
        registry=registry,
    )
    for token in (flattened, general):
        accepted_and_bound(alg, dict(token))
        accepted_and_bound(alg, json.dumps(token))
        detached = joserfc_jws.detach_content(dict(token))
        accepted_and_bound(alg, detached, payload=PAYLOAD)
    for ours in (
        sign_flattened(PAYLOAD, signer(alg)),
        sign_general(PAYLOAD, [Signature(signer=signer(alg))] * 2),
    ):
        found = joserfc_jws.deserialize_json(ours, import_key(public(alg)), registry=registry)
        assert found.payload == PAYLOAD


@pytest.mark.parametrize("alg", [*ALGS, "EdDSA"])
def test_pyjwt(alg: str) -> None:
    """PyJWT's detached unencoded tokens verify here, and ours there."""
    key = jwt.PyJWK(private(alg), algorithm=alg).key
    more = {"kid": tokens.key(alg).kid, "b64": False, "crit": ["b64"]}
    token = jwt.api_jws.encode(PAYLOAD, key, algorithm=alg, headers=more, is_payload_detached=True)
    accepted_and_bound(alg, token, payload=PAYLOAD)
    ours = sign_compact(PAYLOAD, signer(alg), detached=True, b64=False)
    checking = jwt.PyJWK(public(alg), algorithm=alg)
    found = jwt.api_jws.decode(ours, checking, algorithms=[alg], detached_payload=PAYLOAD)
    assert found == PAYLOAD


@pytest.mark.parametrize("alg", WIDE)
def test_node_jose(node_jose: Any, alg: str) -> None:
    """Node's flattened and general tokens verify here, encoded or not, detached too."""
    usable(alg)
    for form in ("flattened", "general"):
        for b64 in (True, False):
            made = node_jose.ask(
                op="sign",
                form=form,
                alg=alg,
                key=private(alg),
                payload=ENCODED,
                **({} if b64 else {"b64": False}),
            )
            assert made["ok"], made
            token = made["value"]
            if b64:
                accepted_and_bound(alg, token)
                token = {name: value for name, value in token.items() if name != "payload"}
            elif "payload" in token:
                token = {name: value for name, value in token.items() if name != "payload"}
            accepted_and_bound(alg, token, payload=PAYLOAD)


def test_a_contract_signed_by_two_programs(node_jose: Any) -> None:
    """One payload, signed by Node's jose, by jwcrypto and here, is one General JSON Serialization."""
    made = node_jose.ask(op="sign", form="general", alg="ES256", key=private("ES256"), payload=ENCODED)
    theirs = jwcrypto_jws.JWS(PAYLOAD)
    theirs.add_signature(jwcrypto_jwk.JWK(**private("RS256")), "RS256", json.dumps(header("RS256")))
    flat = json.loads(theirs.serialize())
    token = {
        "payload": ENCODED,
        "signatures": [
            *made["value"]["signatures"],
            {"protected": flat["protected"], "signature": flat["signature"]},
            *sign_general(PAYLOAD, [Signature(signer=signer("EdDSA"))])["signatures"],
        ],
    }
    algs = ["ES256", "RS256", "EdDSA"]
    one = Verifier([tokens.public(alg) for alg in algs], algorithms=algs)
    assert one.verify(json.dumps(token), signatures=rapidjws.at_least(3)).payload == PAYLOAD
