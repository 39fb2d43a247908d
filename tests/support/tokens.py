"""Keys, tokens and engines for tests: one key an algorithm, made once a process.

What it never does: verify. Signatures come from the package's own signer, verdicts from elsewhere.
"""

from __future__ import annotations

import base64
import functools
import json
from typing import Any

import rapidjws
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key

NOW_S = 1_800_000_000
ISS = "https://issuer.example"
AUD = "https://api.example"
FAST_ALGS = ("HS256", "RS256", "PS256", "ES256", "ES256K", "EdDSA", "ES384", "ES512")
SIGNABLE = tuple(name for name in rapidjws.ALGORITHMS if not name.startswith("ML-DSA"))


def b64url(octets: bytes) -> str:
    """Encode without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def b64url_decode(text: str) -> bytes:
    """Decode what this module encoded."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@functools.cache
def _rsa_members() -> dict[str, Any]:
    return make_key("RS256", bound=False).as_dict(private=True)


def key(alg: str, name: str = "k1", *, bound: bool = True, crv: str | None = None) -> rapidjws.JWK:
    """Return the private key, or secret, of this name for an algorithm; the kid is name-alg."""
    return _key(alg, name, bound, crv)


@functools.cache
def _key(alg: str, name: str, bound: bool, crv: str | None) -> rapidjws.JWK:
    if ALGORITHM_TABLE[alg].kty == "RSA" and name == "k1":  # making RSA keys takes long
        members = {**_rsa_members(), "kid": f"{name}-{alg.lower()}"}
        return rapidjws.JWK.from_json({**members, **({"alg": alg} if bound else {})}, private=True)
    return make_key(alg, kid=f"{name}-{alg.lower()}", bound=bound, crv=crv)


def public(alg: str, name: str = "k1", *, bound: bool = True) -> rapidjws.JWK:
    """Return the public half of a key, or the secret."""
    return key(alg, name, bound=bound).public()


def renamed(jwk: rapidjws.JWK, kid: str | None, **changes: Any) -> rapidjws.JWK:
    """Return a key under another kid (None: without one), and with other members."""
    members = {**jwk.as_dict(private=jwk.is_private or jwk.is_symmetric), "kid": kid, **changes}
    return rapidjws.JWK.from_json(
        {name: value for name, value in members.items() if value is not None}, private=jwk.is_private
    )


def sign(jwk: rapidjws.JWK, header: Any, payload: bytes, *, alg: str | None = None) -> str:
    """Return a compact token with exactly this header (an object, or octets) and payload."""
    octets = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    signing_input = f"{b64url(octets)}.{b64url(payload)}"
    return f"{signing_input}.{b64url(LocalSigner(jwk, alg).sign(signing_input.encode()))}"


def claims(**changes: Any) -> dict[str, Any]:
    """Return a good claims set at NOW_S; a change to None leaves the claim out."""
    made = {"iss": ISS, "aud": AUD, "sub": "user-1", "iat": NOW_S - 10, "exp": NOW_S + 300, **changes}
    return {name: value for name, value in made.items() if value is not None}


def token(
    alg: str = "ES256",
    name: str = "k1",
    *,
    header: dict[str, Any] | None = None,
    jwk: rapidjws.JWK | None = None,
    **changes: Any,
) -> str:
    """Return a good token of ISS; a header member of None is left out, changes are those of ``claims``."""
    signing = jwk or key(alg, name)
    members = {"alg": alg, "kid": signing.kid, **(header or {})}
    octets = json.dumps(claims(**changes), separators=(",", ":")).encode()
    return sign(signing, {k: v for k, v in members.items() if v is not None}, octets, alg=alg)


def issuer(*algs: str, iss: str = ISS, name: str = "k1", **options: Any) -> rapidjws.Issuer:
    """Return an issuer with one key for each algorithm."""
    names = algs or ("ES256",)
    options.setdefault("keys", [public(alg, name) for alg in names])
    options.setdefault("algorithms", names)
    options.setdefault("audience", AUD)
    return rapidjws.Issuer(iss, **options)


def engine(*algs: str, **options: Any) -> rapidjws.Engine:
    """Return an engine with the one issuer ``issuer`` makes."""
    return rapidjws.Engine(issuer(*algs, **options))


def code_of(verifier: rapidjws.Engine | rapidjws.Verifier, text: Any, now: float | None = NOW_S) -> str:
    """Return "ok" or the code, asked singly, again, and in batches; all have to agree."""
    codes = []
    for _ in range(2):  # the second time the header may be known
        try:
            if isinstance(verifier, rapidjws.Engine):
                verifier.verify(text, now)
            else:
                verifier.verify(text)
            codes.append("ok")
        except rapidjws.RapidJWSError as refused:
            codes.append(refused.code)
    many = [text] * 3
    results = (
        verifier.verify_many(many, now)
        if isinstance(verifier, rapidjws.Engine)
        else verifier.verify_many(many)
    )
    codes += ["ok" if isinstance(one, rapidjws.VerifiedJWS) else one.code for one in results]
    assert len(set(codes)) == 1, codes
    return codes[0]
