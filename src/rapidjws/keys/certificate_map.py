"""Keys out of X.509 certificates and PEM texts under their kids, as Firebase publishes them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import KeyRefused, error_for
from rapidjws.jose import json_text
from rapidjws.jose.documents import CERTIFICATE_MAP, kind_of_value
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet, Skipped
from rapidjws.jose.limits import JSON_MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Mapping

_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"


def keys_of_map(body: bytes, *, max_bytes: int, max_keys: int, now_s: float) -> JWKSet:
    """Return the keys of a JSON object of kid -> PEM text, a certificate or a public key each.

    A certificate outside of its dates is left out, and so is what is no public key.

    Args:
        body: The JSON text.
        max_bytes: Largest text.
        max_keys: Most entries.
        now_s: Seconds since the epoch.

    Raises:
        KeySetRefused: jwks_malformed, jwks_too_large.
        MalformedToken: The text is no JSON, or beyond its limits.
    """
    found = json_text.loads(
        body, max_bytes=max_bytes, max_depth=JSON_MAX_DEPTH, max_members=max_keys, place="certificates"
    )
    kind = kind_of_value(found)
    if kind != CERTIFICATE_MAP:
        expected = "a JSON object of kid -> certificate in PEM"
        raise error_for("jwks_malformed", "certificates", expected, f"{kind}, not a certificate map")
    return keys_of_texts(found, now_s=now_s)


def keys_of_texts(texts: Mapping[str, Any], *, now_s: float | None) -> JWKSet:
    """Return the keys of kid -> PEM text; those that cannot be used are named in ``skipped``.

    Args:
        texts: The texts.
        now_s: Seconds since the epoch, with which the dates of certificates are compared; None compares none.
    """
    usable: list[JWK] = []
    skipped: list[Skipped] = []
    for index, (kid, text) in enumerate(texts.items()):
        try:
            if now_s is not None and _CERTIFICATE in text:
                _check_dates(text, now_s)
            usable.append(JWK.from_pem(text, kid=kid))
        except KeyRefused as refused:
            skipped.append(Skipped(index=index, error=refused.with_traceback(None), kid=kid))
    made = JWKSet(usable)
    object.__setattr__(made, "skipped", (*made.skipped, *skipped))
    return made


def _check_dates(text: str, now_s: float) -> None:
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(text.encode())
        first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except ValueError:
        raise error_for("key_malformed", "certificate", "an X.509 certificate") from None
    if not first <= datetime.fromtimestamp(now_s, timezone.utc) <= last:  # RFC 5280 s.4.1.2.5
        raise error_for("certificate_refused", "certificate", "a certificate within its dates")
