"""What rapidjws signs others accept, and what others sign rapidjws accepts; a changed token nobody does."""

from __future__ import annotations

import base64
import json
import warnings
from typing import Any

import jwt
import pytest
from joserfc import jws as joserfc_jws
from joserfc.jwk import import_key
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws

from rapidjws import ALGORITHMS, JWK, SignatureInvalid, Verifier
from rapidjws.signing import LocalSigner, Signature, sign_compact, sign_flattened, sign_general
from rapidjws.testing import make_key

PAYLOAD = b'{"amount":"10.00","currency":"EUR","note":"\xc3\xa9"}'

CLASSIC = ALGORITHMS[: ALGORITHMS.index("ES512") + 1]  # RFC 7518
PYJWT = (*CLASSIC, "ES256K", "EdDSA")
JOSERFC = (*CLASSIC, "ES256K", "Ed25519", "Ed448")
JWCRYPTO = (*CLASSIC, "ES256K", "EdDSA", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87")
NODE = (*CLASSIC, "EdDSA", "Ed25519", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87")

_keys: dict[str, JWK] = {}


def key(alg: str) -> JWK:
    """Return one private key an algorithm, made once."""
    if alg not in _keys:
        _keys[alg] = make_key(alg, kid=f"kid-{alg}")
    return _keys[alg]


def private(alg: str) -> dict[str, Any]:
    """Return the private JWK; kept in memory, handed to the partner."""
    return key(alg).as_dict(private=True)


def public(alg: str) -> dict[str, Any]:
    """Return the public JWK, or the secret."""
    return key(alg).public().as_dict(private=key(alg).is_symmetric)


def ours(alg: str, token: str) -> bytes:
    """Return the payload that rapidjws verifies."""
    return Verifier(key(alg).public(), algorithms=[alg]).verify(token).payload


def tampered(token: str) -> str:
    """Return the token with another payload under the same signature."""
    header, _, signature = token.split(".")
    other = base64.urlsafe_b64encode(b'{"amount":"99.00"}').decode().rstrip("=")
    return f"{header}.{other}.{signature}"


@pytest.mark.parametrize("alg", PYJWT)
def test_pyjwt(alg: str) -> None:
    """PyJWT and rapidjws accept each other's compact tokens."""
    theirs = jwt.PyJWK(private(alg), algorithm=alg).key
    token = jwt.api_jws.encode(PAYLOAD, theirs, algorithm=alg, headers={"kid": f"kid-{alg}"})
    assert ours(alg, token) == PAYLOAD
    mine = sign_compact(PAYLOAD, LocalSigner(key(alg), alg))
    verifying = jwt.PyJWK(public(alg), algorithm=alg)
    assert jwt.api_jws.decode(mine, verifying, algorithms=[alg]) == PAYLOAD
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.api_jws.decode(tampered(mine), verifying, algorithms=[alg])
    with pytest.raises(SignatureInvalid):
        ours(alg, tampered(token))


@pytest.mark.parametrize("alg", JOSERFC)
def test_joserfc(alg: str) -> None:
    """joserfc and rapidjws accept each other's compact tokens."""
    theirs = import_key(private(alg))
    registry = joserfc_jws.JWSRegistry(algorithms=[alg])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        token = joserfc_jws.serialize_compact(
            {"alg": alg, "kid": f"kid-{alg}"}, PAYLOAD, theirs, registry=registry
        )
        assert ours(alg, token) == PAYLOAD
        mine = sign_compact(PAYLOAD, LocalSigner(key(alg), alg))
        found = joserfc_jws.deserialize_compact(mine, import_key(public(alg)), registry=registry)
    assert found.payload == PAYLOAD
    with pytest.raises(SignatureInvalid):
        ours(alg, tampered(token))


def jwcrypto_accepts(token: str, alg: str) -> bytes:
    """Return the payload that jwcrypto verifies."""
    parsed = jwcrypto_jws.JWS()
    parsed.allowed_algs = [alg]
    parsed.deserialize(token, jwcrypto_jwk.JWK(**public(alg)))
    payload: bytes = parsed.payload
    return payload


@pytest.mark.parametrize("alg", JWCRYPTO)
def test_jwcrypto(alg: str) -> None:
    """jwcrypto and rapidjws accept each other's tokens, compact, flattened and general."""
    theirs = jwcrypto_jwk.JWK(**private(alg))
    made = jwcrypto_jws.JWS(PAYLOAD)
    made.allowed_algs = [alg]
    made.add_signature(theirs, alg, json.dumps({"alg": alg, "kid": f"kid-{alg}"}))
    token = made.serialize(compact=True)
    assert ours(alg, token) == PAYLOAD
    signer = LocalSigner(key(alg), alg)
    assert jwcrypto_accepts(sign_compact(PAYLOAD, signer), alg) == PAYLOAD
    assert jwcrypto_accepts(json.dumps(sign_flattened(PAYLOAD, signer)), alg) == PAYLOAD
    assert jwcrypto_accepts(json.dumps(sign_general(PAYLOAD, [Signature(signer=signer)])), alg) == PAYLOAD
    with pytest.raises(jwcrypto_jws.InvalidJWSSignature):
        jwcrypto_accepts(tampered(sign_compact(PAYLOAD, signer)), alg)
    with pytest.raises(SignatureInvalid):
        ours(alg, tampered(token))


@pytest.mark.parametrize("alg", NODE)
def test_node_jose(node_jose: Any, alg: str) -> None:
    """Node's jose and rapidjws accept each other's tokens, compact, flattened and general."""
    payload = base64.urlsafe_b64encode(PAYLOAD).decode().rstrip("=")
    made = node_jose.ask(op="sign", form="compact", alg=alg, key=private(alg), payload=payload)
    assert made["ok"], made
    assert ours(alg, made["value"]) == PAYLOAD
    signer = LocalSigner(key(alg), alg)
    forms = {
        "compact": sign_compact(PAYLOAD, signer),
        "flattened": sign_flattened(PAYLOAD, signer),
        "general": sign_general(PAYLOAD, [Signature(signer=signer)]),
    }
    for form, token in forms.items():
        found = node_jose.ask(op="verify", form=form, alg=alg, key=public(alg), token=token)
        assert found == {"ok": True, "value": payload}
    bad = node_jose.ask(
        op="verify", form="compact", alg=alg, key=public(alg), token=tampered(forms["compact"])
    )
    assert bad["code"] == "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"
    with pytest.raises(SignatureInvalid):
        ours(alg, tampered(made["value"]))
