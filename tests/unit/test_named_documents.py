"""Documents that should hold keys and do not: each is named by what it is, in fixed words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from web import Web

from rapidjws import JWKSet, KeySetRefused
from rapidjws.jose.documents import kind_of
from rapidjws.keys import RemoteCertificates, RemoteJWKS

URL = "https://issuer.example/jwks.json"
JWK = {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}
CASES: dict[str, Any] = {
    "a discovery document": {"issuer": "https://issuer.example", "jwks_uri": URL},
    "one JWK": JWK,
    "a list of JWKs without its object": [JWK],
    "a certificate map": {"k": "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"},
    "an error in JSON": {"error": "not found"},
    "another JSON object": {"a": 1},
    "a JSON array": [],
    "an HTML page": "<!DOCTYPE html><html><title>It works</title></html>",
    "an HTML login page": "\n<html><form>Password <input></form></html>",
    "an XML document": "<?xml version='1.0'?><EntityDescriptor/>",
    "a PEM certificate": "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n",
    "PEM text": "-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----\n",
    "a JWT": "eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
    "an empty document": "  \n",
    "DER": b"\x30\x82\x01\x00",
    "compressed data": b"\x1f\x8b\x08\x00",
    "another text": "ok",
}


@pytest.mark.parametrize("kind", CASES)
def test_a_document_is_named(kind: str) -> None:
    """What was fetched instead of a JWK Set is named in the source's status, nothing of its content."""
    page = CASES[kind]
    octets = page if isinstance(page, bytes) else page.encode() if isinstance(page, str) else None
    octets = json.dumps(page).encode() if octets is None else octets
    assert kind_of(octets) == kind
    source = RemoteJWKS(URL, fetch=Web({URL: octets}))
    assert not source.refresh(0.5)
    assert source.status().last_failure == f"document: {kind}, not a JWK Set"
    with pytest.raises(KeySetRefused) as refused:
        JWKSet.from_json(octets)
    assert refused.value.actual in (f"{kind}, not a JWK Set", "one JWK")


def test_a_jwk_set_where_certificates_are_due_is_named() -> None:
    """The other way round, a JWK Set is named where a certificate map is due."""
    source = RemoteCertificates(URL, fetch=Web({URL: {"keys": []}}))
    assert not source.refresh(0.5)
    assert source.status().last_failure == "document: a JWK Set, not a certificate map"
