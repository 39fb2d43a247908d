"""A signer whose key is that of an issuer, signed by over ``POST /sign`` of ``rapidjws issue serve``."""

from __future__ import annotations

import json
import secrets
import threading
import time
from typing import Any, Final
from urllib.parse import urlencode

from rapidjws import _native
from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import json_text
from rapidjws.jose.jwk import JWK
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.post import HttpsPost
from rapidjws.keys.settings import Transport
from rapidjws.signing.backend import BackendSigner, SignerLimits, refused, unavailable
from rapidjws.signing.compact import sign_compact
from rapidjws.signing.signer import Signer
from rapidjws.verify.raw import verify_raw

ANSWER_MAX_BYTES: Final = 64 * 1024
ASSERTION_LIFETIME_S: Final = 60
CONCURRENT: Final = 16
_PLACE: Final = "signing_service"
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_QUOTA: Final = frozenset({"signing_queue_full", "signing_late", "signer_throttled"})
_WORDS: Final = frozenset(
    "invalid_client unauthorized_client access_denied invalid_request payload_too_large".split()
)
_PLACES: Final = frozenset(
    "client_id alg header header.alg header.kid header.typ payload payload.iss".split()
)


class RemoteSigner(BackendSigner):
    """A signer by the signing service of an issuer.

    Each signature is verified with the service's public key before it leaves. After a rotation the first
    signature fails with ``signer_key_changed``: ``kid`` and ``public_jwk`` are those of the new key then.
    ``sign_compact`` and ``JWTBuilder`` make the header anew and ask once more. A call makes a connection of
    its own, without redirects and proxies.

    Args:
        url: The signing endpoint's address.
        alg: The JWS algorithm.
        client_id: The name of this client.
        client_key: Signs this client's assertions (RFC 7523).
        audience: The endpoint's URL as the service's file names it; None for ``url``.
        timeout_s: For one call: name, connection, TLS, answer.
        ca: PEM file of the only authorities trusted; None for the system's.
        insecure_allow_http: Whether plain http is allowed: for tests only.

    Raises:
        ConfigurationError: ``configuration_invalid``; ``signer_refused``: this client may not sign by it.
        HeaderRefused: ``key_alg_mismatch``: the service's key is of another type.
        DependencyUnavailable: ``signer_unavailable``, ``signer_throttled``.
        InternalError: ``signature_faulty``: an answer that is none of a signing service.
    """

    @checked
    def __init__(
        self,
        url: str,
        alg: str,
        *,
        client_id: str,
        client_key: Signer,
        audience: str | None = None,
        timeout_s: float = 2.0,
        ca: str | None = None,
        insecure_allow_http: bool = False,
    ) -> None:
        check_range("timeout_s", timeout_s, 0.05, 60)
        transport = Transport(timeout_s=timeout_s, ca=ca, insecure_allow_http=insecure_allow_http)
        self._url = transport.check_url(url)
        self._post = HttpsPost(transport, max_answer_bytes=ANSWER_MAX_BYTES)
        self._client_id = client_id
        self._client_key = client_key
        self._audience = audience or url
        self._lock = threading.Lock()
        status, answer = self._ask({"alg": alg})
        if status != 200:
            raise _failed(status, answer)
        key = _key_of(answer)
        limits = SignerLimits(concurrent=CONCURRENT)
        super().__init__(alg=alg, public=key, kid=key.kid, check="always", limits=limits)
        self._keys = {str(self.kid): self.public_jwk}

    @checked
    def sign(self, signing_input: bytes) -> bytes:
        """Return the JWS Signature over the octets.

        Raises:
            DependencyUnavailable: ``signer_key_changed``: another key signs now, and ``kid`` is its name;
                ``signer_unavailable``, ``signer_throttled``.
            ConfigurationError: ``signer_refused``: no JWS Signing Input with a ``kid``, or one that this
                client may not have signed.
            InternalError: ``signature_faulty``: the signature does not verify, and does not leave.
        """
        header = _header_of(signing_input)
        status, answer = self._ask({"signing_input": signing_input.decode("ascii")})
        if status == 409:
            raise self._changed(header["kid"], _key_of(answer))
        if status != 200:
            raise _failed(status, answer)
        kid, shown = answer.get("kid"), answer.get("signature")
        key = self._keys.get(header["kid"])
        signature = _native.b64url_decode(shown.encode()) if isinstance(shown, str) else None
        if kid != header["kid"] or header["alg"] != self.alg or key is None or signature is None:
            raise error_for("signature_faulty", _PLACE, "a signature by the header's key")
        try:
            verify_raw(self.alg, key, signing_input, signature)
        except RapidJWSError:
            raise error_for("signature_faulty", _PLACE, "a signature by the header's key") from None
        return signature

    def _changed(self, kid: str, key: JWK) -> RapidJWSError:
        """Take up the key that signs now, and return the error for a header that names another."""
        if key.kid == kid or self.alg not in key.algorithms:
            return error_for("signature_faulty", _PLACE, "another key of the algorithm")
        shown = JWK.from_json({**key.as_dict(), "alg": self.alg, "use": "sig"})
        with self._lock:
            last = {str(self.kid): self.public_jwk}  # of a call that is on its way
            self._keys = {**last, str(key.kid): shown}
            self.public_jwk = shown
            self.kid = key.kid
        return error_for("signer_key_changed", _PLACE, "a header with the kid of the key that signs now")

    def _ask(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Return status and members of an answer."""
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "x-request-id": secrets.token_hex(8),
        }
        body = {**form, "client_assertion_type": _ASSERTION_TYPE, "client_assertion": self._assertion()}
        try:
            status, octets = self._post(self._url, headers, urlencode(body).encode())
        except FetchFailed as failed:
            raise unavailable(_PLACE, failed.reason) from None
        try:
            found = json_text.loads(
                octets, max_bytes=ANSWER_MAX_BYTES, max_depth=4, max_members=32, place=_PLACE
            )
        except RapidJWSError:
            found = None
        if not isinstance(found, dict):
            if status == 200:
                raise error_for("signature_faulty", _PLACE, "a JSON object")
            found = {}
        return status, found

    def _assertion(self) -> str:
        """Return an assertion for one call (RFC 7523 s.3)."""
        now_s = int(time.time())
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": self._audience,
            "iat": now_s,
            "exp": now_s + ASSERTION_LIFETIME_S,
            "jti": secrets.token_urlsafe(16),
        }
        return sign_compact(json.dumps(claims).encode(), self._client_key)


def _header_of(signing_input: bytes) -> dict[str, Any]:
    """Return the header of a JWS Signing Input, before anything is sent."""
    octets = _native.b64url_decode(signing_input.partition(b".")[0]) if signing_input.isascii() else None
    try:
        found = json_text.loads(
            octets or b"", max_bytes=ANSWER_MAX_BYTES, max_depth=4, max_members=32, place="header"
        )
    except RapidJWSError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in ("alg", "kid")):
        raise refused("signing_input", "a JWS Signing Input whose header has alg and kid")
    return found


def _key_of(answer: dict[str, Any]) -> JWK:
    """Return the public key of an answer."""
    try:
        key = JWK.from_json(answer["jwk"])
    except (RapidJWSError, KeyError):
        key = None
    if key is None or not key.kid or key.is_symmetric or key.kid != answer.get("kid"):
        raise error_for("signature_faulty", _PLACE, "a public key and its kid")
    return key


def _failed(status: int, answer: dict[str, Any]) -> RapidJWSError:
    """Return the error for an answer without a signature; only words that are known here are shown."""
    word, place, code = answer.get("error"), answer.get("place"), answer.get("code")
    shown = f"{status}{f' {word}' if word in _WORDS else ''}{f' at {place}' if place in _PLACES else ''}"
    if status == 429 or (status == 503 and code in _QUOTA):
        return error_for("signer_throttled", _PLACE, actual=str(status))
    if status in (400, 401, 403, 404, 405, 413):
        return refused(_PLACE, "a client, key, typ and size that the service allows", shown)
    return unavailable(_PLACE, str(status))
