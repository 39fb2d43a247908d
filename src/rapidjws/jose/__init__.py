"""The RFC nouns, pure: algorithms, keys, key sets, headers, claims. No network, no clock, no handles."""

from __future__ import annotations

from rapidjws.jose.claims import ClaimsPolicy, check_claims
from rapidjws.jose.jwa import ALGORITHMS, Algorithm, algorithms_for_key
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet, Skipped
from rapidjws.jose.jws import Header, check_typ, parse_header

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "ClaimsPolicy",
    "Header",
    "JWK",
    "JWKSet",
    "Skipped",
    "algorithms_for_key",
    "check_claims",
    "check_typ",
    "parse_header",
]
