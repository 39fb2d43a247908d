"""The question to an introspection endpoint: one authenticated POST, answered in JSON or signed."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote_plus, urlencode

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.introspection.answer import ANSWER_MAX_BYTES, answer_from, answer_of, nonsense
from rapidjws.jwt.engine import Engine
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.post import HttpsPost
from rapidjws.keys.settings import Transport
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets
from rapidjws.signing.signer import Signer
from rapidjws.verify.arguments import names_of

if TYPE_CHECKING:
    from rapidjws.introspection.answer import IntrospectionAnswer

Post = Callable[[str, Mapping[str, str], bytes], tuple[int, bytes]]
ClientAuth = Literal["basic", "post", "bearer", "private_key_jwt", "tls_client_auth"]

CLIENT_AUTHS: Final = ("basic", "post", "bearer", "private_key_jwt", "tls_client_auth")
RESPONSE_TYPE: Final = "token-introspection+jwt"
"""The ``typ`` of a signed answer (RFC 9701 s.5)."""

SIGNED_ANSWER_MAX_AGE_S: Final = 300
"""Oldest ``iat`` of a signed answer: one that was kept from before a revocation says nothing."""

SECRET_MAX_BYTES: Final = 8192
ASSERTION_S: Final = 60
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FORM: Final = "application/x-www-form-urlencoded"


class IntrospectionClient:
    """A client of one introspection endpoint.

    Args:
        url: The endpoint, https.
        client_id: Ours at the server; none for ``bearer``.
        client_secret: Ours, for ``basic``, ``post`` and ``bearer`` (the access token); or from a file.
        client_secret_file: A file of it, read again at each look-up.
        auth: How we authenticate: RFC 6749 s.2.3.1, RFC 6750, RFC 7523, or RFC 8705 s.2 by the client
            certificate of ``transport``.
        signer: Signs assertions, for ``private_key_jwt``.
        assertion_audience: Their ``aud``: the server's issuer; by default the endpoint.
        answers: Verifies signed answers: an engine whose issuers have the profile
            ``introspection_response`` and our ``client_id`` as audience. None takes plain JSON alone, an
            engine signed answers alone.
        transport: Deadline, authorities, addresses.
        post: Sends a request; by default over HTTPS within ``transport.timeout_s``.

    Raises:
        ConfigurationError: ``configuration_invalid``.

    Source: RFC 7662 section 2, RFC 9701 section 4.
    """

    __slots__ = ("_answers", "_audience", "_auth", "_client_id", "_post", "_secret", "_secret_file",
                 "_signer", "timeout_s", "url")  # fmt: skip

    @checked
    def __init__(
        self,
        url: str,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        client_secret_file: str | Path | None = None,
        auth: ClientAuth = "basic",
        signer: Signer | None = None,
        assertion_audience: str | None = None,
        answers: Engine | None = None,
        transport: Transport | None = None,
        post: Post | None = None,
    ) -> None:
        transport = Transport(timeout_s=1.0) if transport is None else transport
        self.url = transport.check_url(url)
        self.timeout_s = transport.timeout_s
        if auth not in CLIENT_AUTHS:
            raise error_for("configuration_invalid", "auth", expected=CLIENT_AUTHS)
        if not client_id and auth != "bearer":
            raise error_for("configuration_invalid", "client_id", expected="a value")
        if auth == "private_key_jwt":
            if signer is None or client_secret is not None or client_secret_file is not None:
                raise error_for("configuration_invalid", "client_key_file", "a key, and no secret")
        elif auth == "tls_client_auth":
            if transport.client_certificate is None:
                raise error_for(
                    "configuration_invalid", "client_certificate_file", "a certificate and its key"
                )
            if signer is not None or client_secret is not None or client_secret_file is not None:
                raise error_for("configuration_invalid", "client_secret_file", "a certificate alone")
        elif (client_secret is None) == (client_secret_file is None) or signer is not None:
            raise error_for("configuration_invalid", "client_secret_file", "a secret, and no key")
        if answers is not None and not all(
            names_of(one.typ or (), "typ") == (RESPONSE_TYPE,) for one in answers.issuers
        ):
            expected = "issuers of the profile introspection_response"
            raise error_for("configuration_invalid", "answers", expected)
        self._client_id, self._auth, self._signer = client_id or "", auth, signer
        self._secret = client_secret
        self._secret_file = None if client_secret_file is None else Path(client_secret_file)
        self._audience = assertion_audience or url
        self._answers = answers
        self._post = post or HttpsPost(transport, max_answer_bytes=ANSWER_MAX_BYTES + 1)
        if self._secret_file is not None or client_secret is not None:
            self._read_secret("configuration_invalid", "client_secret_file")

    @checked
    def ask(self, token: str) -> IntrospectionAnswer:
        """Ask the server about one token.

        Args:
            token: The token; it goes to the server alone.

        Raises:
            DependencyUnavailable: ``introspection_unavailable``: no answer, or one that says nothing.
        """
        accept = "application/json" if self._answers is None else f"application/{RESPONSE_TYPE}"
        headers = {"content-type": _FORM, "accept": accept}
        form = {"token": token, "token_type_hint": "access_token"}
        self._authenticate(headers, form)
        try:
            status, body = self._post(self.url, headers, urlencode(form).encode())
        except FetchFailed as failed:
            raise error_for("introspection_unavailable", "introspection", actual=failed.reason) from None
        if status != 200:  # s.2.3: 401 says that our own credentials are wrong, nothing about the token
            raise error_for("introspection_unavailable", "introspection.status", 200, status)
        if len(body) > ANSWER_MAX_BYTES:
            raise nonsense(f"at most {ANSWER_MAX_BYTES} bytes")
        return answer_of(body) if self._answers is None else self._signed(self._answers, body)

    def _signed(self, answers: Engine, body: bytes) -> IntrospectionAnswer:
        """Return what a signed answer says (RFC 9701 s.5); a plain one says nothing."""
        try:
            verified = answers.verify(body.strip())
        except RapidJWSError as fault:
            raise error_for("introspection_unavailable", "introspection.answer", actual=fault.code) from None
        if verified.claims["iat"] < time() - SIGNED_ANSWER_MAX_AGE_S:  # its profile requires iat
            raise error_for("introspection_unavailable", "introspection.answer", actual="too_old")
        found = verified.claims.get("token_introspection")
        # dates with a fraction are read from a text of this object alone
        return answer_from(found, json.dumps(found).encode())

    def _authenticate(self, headers: dict[str, str], form: dict[str, str]) -> None:
        if self._auth == "private_key_jwt":
            form |= {"client_id": self._client_id, "client_assertion_type": _ASSERTION_TYPE,
                     "client_assertion": self._assertion()}  # fmt: skip
            return
        if self._auth == "tls_client_auth":  # RFC 8705 s.2: the certificate says it, client_id whose it is
            form["client_id"] = self._client_id
            return
        secret = self._read_secret("introspection_unavailable", "introspection.client_secret_file")
        if self._auth == "post":
            form |= {"client_id": self._client_id, "client_secret": secret}
        elif self._auth == "bearer":
            headers["authorization"] = f"Bearer {secret}"
        else:  # RFC 6749 s.2.3.1: encoded before they are joined
            pair = f"{quote_plus(self._client_id)}:{quote_plus(secret)}".encode()
            headers["authorization"] = f"Basic {b64encode(pair).decode()}"

    def _assertion(self) -> str:
        signer = self._signer
        assert signer is not None
        now_s = int(time())
        claims: dict[str, Any] = {
            "iss": self._client_id, "sub": self._client_id, "aud": self._audience, "iat": now_s,
            "exp": now_s + ASSERTION_S, "jti": secrets.token_urlsafe(18),
        }  # fmt: skip
        header: dict[str, Any] = {"alg": signer.alg, "typ": "JWT"}
        if signer.kid is not None:
            header["kid"] = signer.kid
        try:
            return assemble(header_octets(header), json.dumps(claims).encode(), signer)
        except RapidJWSError as fault:
            raise error_for(
                "introspection_unavailable", "introspection.client_key", actual=fault.code
            ) from None

    def _read_secret(self, code: str, place: str) -> str:
        """Return our secret as it is now; no word of it is shown."""
        if self._secret is not None:
            secret = self._secret
        else:
            assert self._secret_file is not None
            try:
                secret = _files.read_trusted(self._secret_file, SECRET_MAX_BYTES).decode("utf-8").strip()
            except (OSError, ValueError):
                raise error_for(code, place, "a file to read") from None
        if not secret or not secret.isprintable() or (self._auth == "bearer" and not secret.isascii()):
            raise error_for(code, place, "one line of text")
        return secret

    def __repr__(self) -> str:
        return f"IntrospectionClient({self.url!r}, client_id={self._client_id!r}, auth={self._auth!r})"
