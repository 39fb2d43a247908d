"""The push endpoint: an authenticated caller says that keys rotated, and they are fetched at once.

A handler without a server: any ASGI or WSGI application, or the package's own server, calls it. An issuer may
name the key that it published and one that it withdrew; the answer shows whether that is so here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Final, Protocol

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jws.verifier import Verifier
from rapidjws.verify.protocols import KeySource

PATH: Final = "/hooks/jwks-rotated"
SECRET_MIN_CHARS: Final = 32
BODY_MAX_BYTES: Final = 4096


class Invalidated(Protocol):
    """A source that can be invalidated."""

    def invalidate(self) -> None:
        """Fetch at once."""


class RotatedHook:
    """Handle ``POST /hooks/jwks-rotated``, with an optional body.

    ``{"issuer": "...", "kid": "...", "withdrawn": "..."}``: all are optional; ``kid`` is answered only beside
    ``issuer``, and then a source that has that key, and ``withdrawn`` no more, is not fetched again.
    A signature over the body (``X-JWS-Signature``, detached) must be good where a key of the issuer made it;
    one by a key that is not known yet is what a fetch is for.

    Args:
        sources: iss -> source.
        secret: The caller's bearer secret, 32 characters or more.

    Raises:
        ConfigurationError: ``configuration_invalid``: the secret is too short.
    """

    __slots__ = ("_secret_digest", "_sources")

    @checked
    def __init__(self, sources: Mapping[str, Invalidated], *, secret: str) -> None:
        if not isinstance(secret, str) or len(secret) < SECRET_MIN_CHARS:
            raise error_for(
                "configuration_invalid", "secret", expected=f"at least {SECRET_MIN_CHARS} characters"
            )
        self._secret_digest = hashlib.sha256(secret.encode()).digest()
        self._sources = dict(sources)

    @checked
    def handle(
        self, method: str, authorization: str | None, body: bytes = b"", *, signature: str | None = None
    ) -> tuple[int, bytes]:
        """Handle one request to the path.

        Args:
            method: The HTTP method.
            authorization: The Authorization header, or None.
            body: The request's body.
            signature: The header ``X-JWS-Signature``, or None.

        Returns:
            An HTTP status and a JSON body: 202; 200 where the named keys are known; or 400, 401, 404, 405.
        """
        if method != "POST":
            return 405, b'{"error":"method_not_allowed"}'
        scheme, _, given = (authorization or "").partition(" ")
        digest = hashlib.sha256(given.strip().encode("utf-8", "surrogateescape")).digest()
        if not hmac.compare_digest(digest, self._secret_digest) or scheme.lower() != "bearer":
            return 401, b'{"error":"unauthorized"}'
        try:
            wanted = json.loads(body) if body and len(body) <= BODY_MAX_BYTES else {}
            issuer, kid, withdrawn = (wanted.get(name) for name in ("issuer", "kid", "withdrawn"))
        except (ValueError, AttributeError, RecursionError):
            return 400, b'{"error":"malformed_body"}'
        texts = all(isinstance(one, (str, type(None))) for one in (issuer, kid, withdrawn))
        if len(body) > BODY_MAX_BYTES or not texts:
            return 400, b'{"error":"malformed_body"}'
        if issuer is not None and issuer not in self._sources:
            return 404, b'{"error":"unknown_issuer"}'
        if (
            issuer is not None
            and signature is not None
            and not _is_signed(self._sources[issuer], signature, body)
        ):
            return 401, b'{"error":"bad_signature"}'
        if issuer is not None and kid is not None and _has(self._sources[issuer], kid, withdrawn):
            return 200, b'{"status":"known"}'
        for source in self._sources.values() if issuer is None else (self._sources[issuer],):
            source.invalidate()
        return 202, b'{"status":"refreshing"}'


def _has(source: Invalidated, kid: str, withdrawn: str | None) -> bool:
    """Return whether a source has a key, and another one no more."""
    if not isinstance(source, KeySource):
        return False
    keys = source.state().keys
    kids = set() if keys is None else {one.kid for one in keys.keys}
    return kid in kids and withdrawn not in kids


def _is_signed(source: Invalidated, signature: str, body: bytes) -> bool:
    """Return whether a signature is good, or of a key that is not known yet."""
    keys = source.state().keys if isinstance(source, KeySource) else None
    signing = () if keys is None else [one for one in keys.keys if not one.is_symmetric]
    algorithms = {alg for one in signing for alg in one.algorithms}
    if keys is None or not algorithms:
        return True
    try:
        Verifier(keys, algorithms=algorithms, precompute_threshold=0).verify_detached(signature, body)
    except RapidJWSError as refused:
        return refused.reason == "unknown_key"
    return True
