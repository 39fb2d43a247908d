"""What stands where a JWK Set is due: a JWK, PEM, certificate map, discovery document, bare array, page.

The keys in it are tried, never used for a verdict. Source: RFC 7517 s.5, RFC 8414, OpenID Connect Discovery.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet

_PEM: Final = b"-----BEGIN "
_COMPACT: Final = re.compile(rb"\s*ey[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){2}\s*")
_READ_MAX_BYTES: Final = 1 << 20
_TRIED_KEYS: Final = 16


def parsed(document: Any) -> Any:
    """Return a document's JSON value; the document itself where it is a mapping; None where it is neither."""
    if isinstance(document, Mapping):
        return dict(document)
    if isinstance(document, (list, tuple)):
        return list(document) if all(isinstance(item, Mapping) for item in document) else None
    if not isinstance(document, (str, bytes)) or len(document) > _READ_MAX_BYTES:
        return None
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        return None


def recognise_set(document: Any) -> tuple[str, str] | None:
    """Return the cause and words for a document that is no JWK Set, or None where nothing is known of it."""
    value = parsed(document)
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, list) and any(isinstance(item, dict) and "kty" in item for item in value):
        return "jwks_bare_array", f"an array of {len(value)} keys without the object around it"
    octets = document.encode("utf-8", "replace") if isinstance(document, str) else document
    if not isinstance(octets, bytes):
        return None
    if _PEM in octets[:4096]:
        return "jwks_pem", "it begins with a PEM line"
    if _COMPACT.fullmatch(octets[:_READ_MAX_BYTES]):
        return "jwks_is_token", "three parts between two dots"
    if octets.lstrip()[:1] == b"<":
        return "jwks_not_json", "it starts with '<': a page"
    return None


def _object(value: dict[str, Any]) -> tuple[str, str] | None:
    """Recognise a JSON object without an array named keys."""
    if isinstance(value.get("keys"), list):
        return None
    if isinstance(value.get("kty"), str):
        return "jwks_single_jwk", f"a single JWK, kty {value['kty'][:10]!r}, not a set"
    if isinstance(value.get("jwks_uri"), str) or {"issuer", "token_endpoint"} <= value.keys():
        uri = value.get("jwks_uri")
        where = f"; its jwks_uri is {uri[:200]!r}" if isinstance(uri, str) else ""
        words = f"the members of a discovery document (OpenID configuration), not keys{where}"
        return "jwks_discovery_document", words
    texts = [text for text in value.values() if isinstance(text, str)]
    if texts and len(texts) == len(value) and all("-----BEGIN CERT" in text[:80] for text in texts):
        return "jwks_certificate_map", f"a map of {len(texts)} kids to certificates, not a set"
    return None


def keys_inside(document: Any) -> JWKSet:
    """Return the keys that such a document holds, for trials only; empty where there are none."""
    value = parsed(document)
    found: list[JWK] = []
    if isinstance(value, dict) and isinstance(value.get("kty"), str):
        found = _jwks([value])
    elif isinstance(value, dict):
        found = [key for kid, pem in list(value.items())[:_TRIED_KEYS] for key in _pems(pem, kid)]
    elif isinstance(value, list):
        found = _jwks(value)
    elif isinstance(document, (str, bytes)) and len(document) <= _READ_MAX_BYTES:
        found = _pems(document, None)
    try:
        return JWKSet(found)
    except RapidJWSError:
        return JWKSet(())


def _jwks(members: list[Any]) -> list[JWK]:
    found = []
    for one in members[:_TRIED_KEYS]:
        try:
            found.append(JWK.from_json(one))
        except (RapidJWSError, TypeError):
            continue
    return found


def _pems(text: Any, kid: str | None) -> list[JWK]:
    """Return the public key of a PEM text or certificate."""
    octets = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if not isinstance(octets, bytes) or _PEM not in octets[:4096]:
        return []
    try:
        return [JWK.from_pem(octets, kid=kid)]
    except (RapidJWSError, ValueError, TypeError):
        return _certificate(octets, kid)


def _certificate(octets: bytes, kid: str | None) -> list[JWK]:
    key = certificate_key(octets, kid)
    return [] if key is None else [key]


def certificate_key(octets: bytes, kid: str | None = None) -> JWK | None:
    """Return a certificate's public key, PEM or DER; None where it cannot be read. Nothing is checked."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        return None
    try:
        load = x509.load_pem_x509_certificate if _PEM in octets[:4096] else x509.load_der_x509_certificate
        public = load(octets).public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return JWK.from_der(der, kid=kid)
    except Exception:  # a stranger's certificate: whatever cannot be read is not tried
        return None
