"""A signing endpoint for services: the active key's signature over a JWS Signing Input of theirs.

No client can have octets of its choice signed: the protected header names the active key and a ``typ`` that
the client may use, so that what is signed for one purpose never passes for another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws._checks import checked
from rapidjws._scheduler import SystemClock
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.active_signer import ActiveSigner, SignatureAudit, SignatureRecord
from rapidjws.issuing.audited_signer import AuditedSigner, digest_of, no_audit, shown_request_id
from rapidjws.issuing.client_authentication import ClientAuthentication
from rapidjws.issuing.gateway_certificate import GatewayCertificate
from rapidjws.issuing.publication import Document, is_https_url
from rapidjws.issuing.signing_request import SigningClient, checked_header
from rapidjws.issuing.token_clients import TokenClient
from rapidjws.issuing.token_exchange import refusal
from rapidjws.issuing.token_request import HEADERS_READ, parameters_of, unread_status, values_by_name
from rapidjws.verify.protocols import Clock, ReplayStore

if TYPE_CHECKING:
    from rapidjws.issuing.state import SigningKey

STATUS: Final = {
    "invalid_client": 401,
    "access_denied": 403,
    "unauthorized_client": 403,
    "key_changed": 409,
    "payload_too_large": 413,
    "invalid_request": 400,
    "temporarily_unavailable": 503,
    "server_error": 500,
}
_HEADERS: Final = {"content-type": "application/json", "cache-control": "no-store"}


class SigningService:
    """The signing endpoint of one issuer, for any server; see :meth:`handle`.

    Args:
        signer: Signs by the active key, with a ``SigningQueue`` around it where the key is elsewhere.
        issuer: The ``iss`` of the issuer's tokens, which clients may not sign.
        endpoint: The endpoint's URL, which an assertion's ``aud`` must name.
        clients: Who is authenticated, and how.
        allowed: What each of them may have signed; who is not named may not ask.
        replay: Where the ``jti`` of client assertions are recorded; one store for all processes.
        mtls: The gateway's header with client certificates, or None.
        assertion_lifetime_s: Longest time until an assertion's ``exp``, in seconds.
        leeway_s: Clock difference forgiven, in seconds.
        audit: Takes a record of each signature before it leaves, and of each refusal to a known client.
        clock: The wall clock.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_allowed", "_audit", "_clients", "_clock", "_endpoint", "_issuer", "_signer")

    @checked
    def __init__(
        self,
        signer: ActiveSigner,
        *,
        issuer: str,
        endpoint: str,
        clients: Sequence[TokenClient],
        allowed: Sequence[SigningClient],
        replay: ReplayStore | None = None,
        mtls: GatewayCertificate | None = None,
        assertion_lifetime_s: int = 300,
        leeway_s: int = 10,
        audit: SignatureAudit | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not is_https_url(endpoint):
            raise error_for("configuration_invalid", "signing_service.endpoint", "an https URL")
        self._allowed = {one.client_id: one for one in allowed}
        known = {one.client_id for one in clients}
        if not allowed or len(self._allowed) != len(allowed) or not self._allowed.keys() <= known:
            raise error_for("configuration_invalid", "signing_clients", "names of clients, each once")
        served = set(signer.life_cycle.algorithms)
        if not all(served.issuperset(one.algorithms) for one in allowed):
            raise error_for("configuration_invalid", "signing_clients.algorithms", tuple(sorted(served)))
        self._clock: Clock = clock or SystemClock()
        self._clients = ClientAuthentication(
            clients, audiences=(endpoint,), replay=replay, assertion_lifetime_s=assertion_lifetime_s,
            leeway_s=leeway_s, mtls=mtls, now=self._clock.time,
        )  # fmt: skip
        self._signer = signer
        self._issuer = issuer
        self._endpoint = endpoint
        self._audit: SignatureAudit = audit or no_audit

    @property
    def path(self) -> str:
        """Return the path of the endpoint."""
        return "/" + self._endpoint.removeprefix("https://").partition("/")[2]

    @property
    def is_local(self) -> bool:
        """Return whether requests wait for no signer: the keys are in this process."""
        return self._signer.is_local

    @property
    def headers(self) -> frozenset[str]:
        """Return the lower-case names of the headers that :meth:`handle` reads."""
        return HEADERS_READ | self._clients.headers

    @checked
    def handle(
        self, method: str, headers: Sequence[tuple[str, str]], body: bytes, *, peer: str | None = None
    ) -> Document:
        """Answer one request.

        Args:
            method: The HTTP method.
            headers: Name and value, names in lower case.
            body: The form: ``signing_input``, or ``alg`` for the active key; and the client's assertion.
            peer: The address that the connection comes from, ``"unix"``, or None.

        Returns:
            200 with ``alg``, ``kid`` and ``signature`` or ``jwk``; or an error: 400, 401, 403, 405, 409 with
            the key that signs now, 413, 500, 503.
        """
        status = unread_status(method, body)
        if status is not None:
            word = "payload_too_large" if status == 413 else "invalid_request"
            return _answer(status, {"error": word}, {"allow": "POST"})
        given = values_by_name(headers)
        try:
            form, _ = parameters_of(given.get("content-type", []), body)
            client, _ = self._clients.authenticated(form, given, peer, self._clock.time())
            request_id = shown_request_id(given.get("x-request-id", []))
            return self._answered(client.client_id, form, request_id)
        except RapidJWSError as refused:
            return _refused(refused, given)

    def _answered(self, client_id: str, form: Mapping[str, str], request_id: str) -> Document:
        if "signing_input" not in form:
            return self._active(client_id, form)
        signing_input = form["signing_input"].encode("utf-8", "surrogatepass")
        try:
            allowed = self._client(client_id)
            header = checked_header(allowed, signing_input, self._issuer)
            key = self._signer.life_cycle.signing_key(alg=header["alg"])
            if header["kid"] != key.kid:
                return self._changed(client_id, signing_input, request_id, key)
            if allowed.kids and key.kid not in allowed.kids:
                raise refusal("header.kid", allowed.kids, "access_denied")
        except RapidJWSError as refused:
            self._record(client_id, signing_input, request_id, None, _word(refused))
            raise
        signer = self._signer.signer(key=key)
        signature = AuditedSigner(signer, self._audit, client_id, request_id).sign(signing_input)
        shown = _native.b64url_encode(signature).decode()
        return _answer(200, {"alg": key.alg, "kid": key.kid, "signature": shown})

    def _client(self, client_id: str) -> SigningClient:
        found = self._allowed.get(client_id)
        if found is None:
            raise refusal("client_id", "a client that may sign", "unauthorized_client")
        return found

    def _active(self, client_id: str, form: Mapping[str, str]) -> Document:
        """Answer with the public key that signs now."""
        allowed = self._client(client_id)
        alg = form.get("alg", "")
        if alg not in allowed.algorithms:
            raise refusal("alg", allowed.algorithms, "access_denied")
        return _answer(200, _shown(self._signer.life_cycle.signing_key(alg=alg)))

    def _changed(self, client_id: str, signing_input: bytes, request_id: str, key: SigningKey) -> Document:
        """Refuse a header that names another key than the active one, and name that one."""
        self._record(client_id, signing_input, request_id, key, "key_changed")
        return _answer(409, {"error": "key_changed", **_shown(key)})

    def _record(
        self, who: str, signing_input: bytes, request_id: str, key: SigningKey | None, result: str
    ) -> None:
        self._audit(
            SignatureRecord(
                who=who, kid=None if key is None else key.kid, alg="" if key is None else key.alg,
                digest=digest_of(signing_input), request_id=request_id, result=result,
            )
        )  # fmt: skip


def _shown(key: SigningKey) -> dict[str, Any]:
    return {"alg": key.alg, "kid": key.kid, "jwk": key.public().as_dict()}


def _word(refused: RapidJWSError) -> str:
    """Return the error of an answer for a refusal."""
    if refused.code == "token_request_refused":
        return str(refused.actual)
    return "temporarily_unavailable" if refused.outcome == "indeterminate" else "server_error"


def _refused(refused: RapidJWSError, headers: Mapping[str, list[str]]) -> Document:
    """Return the answer to a refusal; who is not authenticated learns nothing else."""
    word = _word(refused)
    status = STATUS.get(word, 400)
    body: dict[str, Any] = {"error": word}
    more: dict[str, str] = {}
    if word == "invalid_client":
        if "authorization" in headers:
            more["www-authenticate"] = 'Basic realm="sign", charset="UTF-8"'
    elif refused.code == "token_request_refused":
        body["place"] = refused.place
    else:
        body["code"] = refused.code
        if status == 503:
            more["retry-after"] = "1"
    return _answer(status, body, more)


def _answer(status: int, body: Mapping[str, Any], more: Mapping[str, str] | None = None) -> Document:
    return Document(status=status, headers={**_HEADERS, **(more or {})}, body=json.dumps(body).encode())
