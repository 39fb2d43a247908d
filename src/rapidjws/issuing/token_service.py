"""A token endpoint for services: client credentials and token exchange (RFC 6749 s.4.4, RFC 8693).

It is no login server: there is no user, no password, no consent, no code and no refresh token.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import check_range, checked
from rapidjws._scheduler import SystemClock
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.active_signer import ActiveSigner, SignatureAudit
from rapidjws.issuing.audited_signer import AuditedSigner, no_audit, shown_request_id
from rapidjws.issuing.client_authentication import ClientAuthentication
from rapidjws.issuing.gateway_certificate import GatewayCertificate
from rapidjws.issuing.publication import Document, is_https_url
from rapidjws.issuing.token_clients import CLIENT_CREDENTIALS, GRANTS, TOKEN_EXCHANGE, TokenClient
from rapidjws.issuing.token_exchange import (
    ACCESS_TOKEN,
    ACT_MAX_DEPTH,
    Exchanged,
    OwnTokens,
    TokenExchange,
    refusal,
)
from rapidjws.issuing.token_request import (
    HEADERS_READ,
    parameters_of,
    targets_of,
    unread_status,
    values_by_name,
)
from rapidjws.jose.scopes import is_scope_token
from rapidjws.jwt.engine import Engine
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_members, header_octets
from rapidjws.signing.jwt import JTI_BYTES
from rapidjws.signing.signer import Signer
from rapidjws.verify.protocols import Clock, ReplayStore, RevocationStore

if TYPE_CHECKING:
    from rapidjws.issuing.gateway_certificate import PresentedCertificate

STATUS: Final = {"invalid_client": 401, "temporarily_unavailable": 503, "server_error": 500}


class TokenService:
    """The token endpoint of one issuer, for any server; see :meth:`handle`.

    Args:
        signer: Signs by the active key.
        issuer: The ``iss``.
        token_endpoint: The endpoint's URL, which an assertion's ``aud`` may name beside the issuer.
        clients: Who gets tokens.
        lifetime_s: Longest life of a token in seconds; ``KeyTiming.token_lifetime_s`` at most.
        replay: Where the ``jti`` of client assertions are recorded; one store for all processes.
        mtls: The gateway's header with client certificates, or None.
        subjects: An engine for subject tokens of other issuers, or None.
        revocations: What is revoked: such a token of this issuer is not exchanged. None for the keys' state
            alone.
        assertion_lifetime_s: Longest time until an assertion's ``exp``, in seconds.
        leeway_s: Clock difference forgiven in given tokens, in seconds.
        act_depth: Most actors in one token.
        audit: Takes a record of each signature before it leaves.
        counter: Takes the client and ``"ok"`` or the error, for each answer; no client where none was
            authenticated.
        clock: The wall clock.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = (
        "_audit",
        "_clients",
        "_clock",
        "_counter",
        "_endpoint",
        "_exchange",
        "_header",
        "_issuer",
        "_lifetime_s",
        "_signer",
    )

    @checked
    def __init__(
        self,
        signer: ActiveSigner,
        *,
        issuer: str,
        token_endpoint: str,
        clients: Sequence[TokenClient],
        lifetime_s: int = 300,
        replay: ReplayStore | None = None,
        mtls: GatewayCertificate | None = None,
        subjects: Engine | None = None,
        assertion_lifetime_s: int = 300,
        leeway_s: int = 10,
        act_depth: int = 4,
        audit: SignatureAudit | None = None,
        counter: Callable[[str, str], object] | None = None,
        clock: Clock | None = None,
        revocations: RevocationStore | None = None,
    ) -> None:
        check_range("token.assertion_lifetime_s", assertion_lifetime_s, 1, 3600)
        check_range("token.leeway_s", leeway_s, 0, 300)
        check_range("token.act_depth", act_depth, 1, ACT_MAX_DEPTH)
        longest_s = signer.life_cycle.timing.token_lifetime_s
        for one in (lifetime_s, *(client.lifetime_s or lifetime_s for client in clients)):
            if not 1 <= one <= longest_s:  # keys stay published for so long only
                words = f"1 to issuing.token_lifetime_s = {longest_s:g}"
                raise error_for("configuration_invalid", "token.lifetime_s", words, one)
        if not is_https_url(token_endpoint, query=True):  # RFC 6749 s.3.2: no fragment
            raise error_for("configuration_invalid", "token.token_endpoint", "an https URL")
        names = (issuer, token_endpoint)
        self._clock: Clock = clock or SystemClock()
        self._clients = ClientAuthentication(
            clients, audiences=names, replay=replay, assertion_lifetime_s=assertion_lifetime_s,
            leeway_s=leeway_s, mtls=mtls, now=self._clock.time,
        )  # fmt: skip
        own = OwnTokens(signer.life_cycle, issuer, leeway_s, revocations)
        self._exchange = TokenExchange(own, issuer, frozenset(names), subjects, act_depth)
        self._signer = signer
        self._issuer = issuer
        self._endpoint = token_endpoint
        self._lifetime_s = lifetime_s
        self._audit: SignatureAudit = audit or no_audit
        self._counter = counter
        self._header: tuple[Signer, bytes] | None = None

    @property
    def path(self) -> str:
        """Return the path of the endpoint."""
        return "/" + self._endpoint.removeprefix("https://").partition("/")[2].partition("?")[0]

    @property
    def is_local(self) -> bool:
        """Return whether requests wait for no signer: the keys are in this process."""
        return self._signer.is_local

    @property
    def headers(self) -> frozenset[str]:
        """Return the lower-case names of the headers that :meth:`handle` reads."""
        return HEADERS_READ | self._clients.headers

    def metadata(self) -> dict[str, Any]:
        """Return what the service adds to the issuer's metadata (RFC 8414 s.2)."""
        clients = [one for one in self._clients.clients.values() if one.grants]
        methods = {one.authentication for one in clients}
        grants = {grant for one in clients for grant in one.grants}
        algorithms = {
            alg for one in clients if one.authentication == "private_key_jwt" for alg in one.algorithms
        }
        more = {"token_endpoint_auth_signing_alg_values_supported": sorted(algorithms)} if algorithms else {}
        return {
            "token_endpoint": self._endpoint,
            "token_endpoint_auth_methods_supported": sorted(methods),
            "grant_types_supported": sorted(grants),
            **more,
        }

    @checked
    def handle(
        self, method: str, headers: Sequence[tuple[str, str]], body: bytes, *, peer: str | None = None
    ) -> Document:
        """Answer one request.

        Args:
            method: The HTTP method.
            headers: Name and value, names in lower case.
            body: The form.
            peer: The address that the connection comes from, ``"unix"``, or None.

        Returns:
            200 with a token, or an error of RFC 6749 section 5.2: 400, 401, 405, 413, 503.
        """
        status = unread_status(method, body)
        if status is not None:
            return _error(status, "invalid_request", {"allow": "POST"})
        given = values_by_name(headers)
        name = ""
        try:
            form, targets = parameters_of(given.get("content-type", []), body)
            now_s = self._clock.time()
            client, certificate = self._clients.authenticated(form, given, peer, now_s)
            name = client.client_id
            answer = self._answered(client, certificate, form, targets, given, now_s)
        except RapidJWSError as refused:
            word = _word(refused)
            self._count(name, word)
            return self._refused(refused, word, given)
        self._count(name, "ok")
        return Document(status=200, headers=_HEADERS, body=json.dumps(answer).encode())

    def _count(self, client: str, result: str) -> None:
        if self._counter is not None:
            self._counter(client, result)

    def _answered(
        self,
        client: TokenClient,
        certificate: PresentedCertificate | None,
        form: Mapping[str, str],
        targets: Sequence[str],
        headers: Mapping[str, list[str]],
        now_s: float,
    ) -> dict[str, Any]:
        grant = form.get("grant_type")
        if grant is None:
            raise refusal("grant_type", GRANTS)
        if grant not in GRANTS:
            raise refusal("grant_type", GRANTS, "unsupported_grant_type")
        if grant not in client.grants:
            raise refusal("grant_type", client.grants, "unauthorized_client")
        exchanged = self._exchange.exchanged(client, form, now_s) if grant == TOKEN_EXCHANGE else None
        shown = shown_request_id(headers.get("x-request-id", []))
        audiences = targets_of(client, targets)
        answer = self._signed(client, audiences, form.get("scope"), exchanged, certificate, now_s, shown)
        if exchanged is not None:
            answer["issued_token_type"] = form.get("requested_token_type", ACCESS_TOKEN)
        return answer

    @checked
    def issue(
        self, client_id: str, *, audience: str | None = None, scope: str | None = None, request_id: str = ""
    ) -> str:
        """Return a token for a client without its authentication: for operators, who hold the keys anyway.

        Args:
            client_id: The client.
            audience: For whom; None where the client has one audience only.
            scope: Scopes with spaces between; None for all of the client.
            request_id: For the audit.

        Raises:
            IssuingRefused: ``token_request_refused``.
            DependencyUnavailable: ``no_signing_key``, and what the signer raises.
        """
        client = self._clients.clients.get(client_id)
        if client is None:
            raise refusal("client_id", "a client", "invalid_client")
        if CLIENT_CREDENTIALS not in client.grants:
            raise refusal("client_id", f"a client with the grant {CLIENT_CREDENTIALS}", "unauthorized_client")
        audiences = targets_of(client, [] if audience is None else [audience])
        now_s = self._clock.time()
        return str(self._signed(client, audiences, scope, None, None, now_s, request_id)["access_token"])

    def _signed(
        self,
        client: TokenClient,
        audiences: Sequence[str],
        scope: str | None,
        exchanged: Exchanged | None,
        certificate: PresentedCertificate | None,
        now_s: float,
        request_id: str,
    ) -> dict[str, Any]:
        scopes = _granted(client, scope, exchanged)
        signer = self._signer.signer(audiences[0])
        for one in audiences[1:]:
            if self._signer.signer(one).kid != signer.kid:
                raise refusal("audience", "audiences of one algorithm", "invalid_target")
        life_s = client.lifetime_s or self._lifetime_s
        if exchanged is not None:
            life_s = min(life_s, exchanged.ends_s - int(now_s))
            if life_s < 1:
                raise refusal("subject_token", "a token that is good for a second more", "invalid_grant")
        claims: dict[str, Any] = {"sub": client.client_id, "client_id": client.client_id}  # RFC 9068 s.2.2
        if exchanged is not None:
            claims |= exchanged.claims
        if scopes:
            claims["scope"] = " ".join(scopes)
        if client.authentication == "tls_client_auth" and certificate is not None:
            claims["cnf"] = {"x5t#S256": certificate.thumbprint}  # RFC 8705 s.3
        claims |= {
            "iss": self._issuer,
            "aud": audiences[0] if len(audiences) == 1 else list(audiences),
            "iat": int(now_s),
            "exp": int(now_s) + life_s,
            "jti": secrets.token_urlsafe(JTI_BYTES),
        }
        payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode()
        audited = AuditedSigner(signer, self._audit, client.client_id, request_id)
        token = assemble(self._header_of(signer), payload, audited)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": life_s}
        return answer | ({"scope": claims["scope"]} if scopes else {})

    def _header_of(self, signer: Signer) -> bytes:
        """Return the protected header of a key's tokens, made once (RFC 9068 s.2.1)."""
        last = self._header
        if last is None or last[0] is not signer:
            last = (signer, header_octets(header_members(signer, {"typ": "at+jwt"}, b64=True)))
            self._header = last
        return last[1]

    def _refused(self, refused: RapidJWSError, word: str, headers: Mapping[str, list[str]]) -> Document:
        """Return the answer to a refusal; who is not authenticated learns nothing else."""
        if refused.code != "token_request_refused":
            return _error(STATUS[word], word, {"retry-after": "1"} if STATUS[word] == 503 else None)
        more = {}
        if word == "invalid_client" and "authorization" in headers:
            more["www-authenticate"] = 'Basic realm="token", charset="UTF-8"'
        place = refused.place if word != "invalid_client" else None
        return _error(STATUS.get(word, 400), word, more, place)


_HEADERS: Final = {"content-type": "application/json", "cache-control": "no-store", "pragma": "no-cache"}


def _word(refused: RapidJWSError) -> str:
    """Return the error of RFC 6749 section 5.2 for a refusal."""
    if refused.code == "token_request_refused":
        return str(refused.actual)
    return "temporarily_unavailable" if refused.outcome == "indeterminate" else "server_error"


def _granted(client: TokenClient, scope: str | None, exchanged: Exchanged | None) -> tuple[str, ...]:
    """Return the scopes of a token, in the client's order; what was asked for is never given in part."""
    allowed = frozenset(client.scopes) if exchanged is None else exchanged.scopes
    if scope is None:
        return tuple(one for one in client.scopes if one in allowed)
    wanted = scope.split(" ")
    if not all(is_scope_token(one) for one in wanted) or not allowed.issuperset(wanted):
        raise refusal("scope", "scopes that this client may get here", "invalid_scope")
    return tuple(one for one in client.scopes if one in wanted)


def _error(
    status: int, word: str, more: Mapping[str, str] | None = None, place: str | None = None
) -> Document:
    body = {"error": word} | ({"error_description": f"refused at {place}"} if place else {})
    return Document(status=status, headers={**_HEADERS, **(more or {})}, body=json.dumps(body).encode())
