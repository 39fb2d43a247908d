"""The RFCs' own example keys, and the spellings that tests of single keys need."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from rapidjws.errors import KeyRefused
from rapidjws.jose.jwk import JWK

EC = {  # RFC 7517 A.1
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
}
RSA = {  # RFC 7638 s.3.1
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK"
    "RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMic"
    "AtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3"
    "XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
}
OKP = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}  # RFC 8037 A.2
OCT = {"kty": "oct", "k": base64.urlsafe_b64encode(bytes(range(64))).rstrip(b"=").decode()}

P25519 = 2**255 - 19
P448 = 2**448 - 2**224 - 1


def b64(data: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def uint(number: int) -> str:
    """Encode as Base64urlUInt."""
    return b64(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def refused(members: Any, **options: bool) -> tuple[str, str | None]:
    """Return code and place of the refusal of a JWK."""
    with pytest.raises(KeyRefused) as caught:
        JWK.from_json(members, **options)
    return caught.value.code, caught.value.place
