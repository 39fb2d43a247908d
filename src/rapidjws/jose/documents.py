"""What a document is that should hold keys and does not: named in fixed words, never by its content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from rapidjws.errors import RapidJWSError
from rapidjws.jose import json_text
from rapidjws.jose.limits import JSON_MAX_DEPTH, JWKS_STATIC_MAX_BYTES

JWK_SET: Final = "a JWK Set"
CERTIFICATE_MAP: Final = "a certificate map"
_MEMBERS_MAX: Final = 100_000
_LOOKED_AT: Final = 4096
_JWT: Final = re.compile(rb"eyJ[\w-]+\.[\w-]+\.[\w-]*\s*", re.ASCII)
_LOGIN: Final = re.compile(rb"password|log[ -]?in|sign[ -]?in", re.IGNORECASE)
_DISCOVERY: Final = frozenset(
    {"jwks_uri", "authorization_endpoint", "token_endpoint", "id_token_signing_alg_values_supported"}
)


def kind_of(octets: bytes) -> str:
    """Return what a document is: ``"a JWK Set"``, ``"an HTML page"``, ``"a discovery document"``."""
    text = octets.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        return "an empty document"
    if text[:1] in (b"{", b"["):
        try:
            value = json_text.loads(
                octets,
                max_bytes=JWKS_STATIC_MAX_BYTES,
                max_depth=JSON_MAX_DEPTH,
                max_members=_MEMBERS_MAX,
                place="document",
            )
        except RapidJWSError:
            return "damaged JSON"
        return kind_of_value(value)
    return _kind_of_text(text)


def kind_of_value(value: Any) -> str:
    """Return what a parsed JSON document is."""
    if isinstance(value, list):
        are_keys = bool(value) and all(isinstance(one, Mapping) and "kty" in one for one in value)
        return "a list of JWKs without its object" if are_keys else "a JSON array"
    if not isinstance(value, Mapping):
        return "a JSON value"
    if isinstance(value.get("keys"), list):
        return JWK_SET
    if "kty" in value:
        return "one JWK"
    if not _DISCOVERY.isdisjoint(value):
        return "a discovery document"
    if value and all(isinstance(one, str) and "-----BEGIN " in one for one in value.values()):
        return CERTIFICATE_MAP
    if "signatures" in value or "signature" in value:
        return "a JWS in JSON"
    if value.get("kind") == "Status" or not {"error", "errors", "message"}.isdisjoint(value):
        return "an error in JSON"
    return "another JSON object"


def _kind_of_text(text: bytes) -> str:
    start = text[:_LOOKED_AT]
    if b"-----BEGIN " in start:
        return "a PEM certificate" if b"-----BEGIN CERTIFICATE-----" in start else "PEM text"
    if start[:1] == b"<":
        if b"<html" not in start.lower() and b"<!doctype html" not in start.lower():
            return "an XML document"
        return "an HTML login page" if _LOGIN.search(start) else "an HTML page"
    if _JWT.fullmatch(text):
        return "a JWT"
    if start[:2] == b"\x1f\x8b":
        return "compressed data"
    if start[:1] == b"\x30" and len(start) > 1 and start[1] in (0x81, 0x82):
        return "DER"
    return "another text"
