"""JSON serializations for tests, good and spoiled; signed over exactly these octets by our own signer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tokens

import rapidjws
from rapidjws.signing import LocalSigner

PAYLOAD = b'{"amount":"10.00","note":"\xc3\xa9"}'


def signed(
    alg: str = "ES256",
    *,
    payload: bytes = PAYLOAD,
    name: str = "k1",
    protected: Mapping[str, Any] | bytes | None = None,
    unprotected: Any = None,
    b64: bool = True,
) -> dict[str, Any]:
    """Return one signature's members over exactly this protected header; {} signs without one."""
    jwk = tokens.key(alg, name)
    members = {"alg": alg, "kid": jwk.kid} if protected is None else protected
    octets = members if isinstance(members, bytes) else json.dumps(members).encode() if members else b""
    text = tokens.b64url(octets)
    signing_input = text.encode() + b"." + (tokens.b64url(payload).encode() if b64 else payload)
    made: dict[str, Any] = {"protected": text} if octets else {}
    if unprotected is not None:
        made["header"] = unprotected
    made["signature"] = tokens.b64url(LocalSigner(jwk, alg).sign(signing_input))
    return made


def flattened(alg: str = "ES256", **options: Any) -> dict[str, Any]:
    """Return a Flattened JSON Serialization; options as of ``signed``."""
    payload = options.get("payload", PAYLOAD)
    shown = tokens.b64url(payload) if options.get("b64", True) else payload.decode()
    return {"payload": shown, **signed(alg, **options)}


def general(*signatures: Mapping[str, Any], payload: bytes | None = PAYLOAD) -> dict[str, Any]:
    """Return a General JSON Serialization of these signatures; payload None: detached."""
    shown = {} if payload is None else {"payload": tokens.b64url(payload)}
    return {**shown, "signatures": [dict(one) for one in signatures]}


def spoiled(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a signature's members with another signature."""
    octets = bytearray(tokens.b64url_decode(one["signature"]))
    octets[-1] ^= 1
    return {**one, "signature": tokens.b64url(bytes(octets))}


def verifier(*algs: str, names: Sequence[str] = ("k1",), **options: Any) -> rapidjws.Verifier:
    """Return a verifier with a key of each name for each algorithm."""
    wanted = algs or ("ES256",)
    keys = [tokens.public(alg, name) for alg in wanted for name in names]
    return rapidjws.Verifier(keys, algorithms=wanted, **options)


def outcome(one: rapidjws.Verifier, token: Any, **options: Any) -> str:
    """Return "ok" or the code, asked as members, text and bytes, twice each; all have to agree."""
    spellings = (
        [token] if isinstance(token, (str, bytes)) else [token, json.dumps(token), json.dumps(token).encode()]
    )
    codes = []
    for spelling in spellings * 2:  # the second time the headers may be known
        try:
            one.verify(spelling, **options)
            codes.append("ok")
        except rapidjws.TokenRefused as refused:
            codes.append(refused.code)
    assert len(set(codes)) == 1, codes
    return codes[0]
