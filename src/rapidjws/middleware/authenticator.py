"""What all middlewares share: their settings, checked once, and the decision about a request.

Each middleware reads headers in its framework's way and calls this. It does no I/O.
"""

from __future__ import annotations

import contextlib
from functools import partial
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from rapidjws._checks import checked
from rapidjws._loggers import logger
from rapidjws.audit.decision_recorder import DecisionRecorder
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jwt.decision import AMBIGUOUS, Decision
from rapidjws.jwt.engine import Engine
from rapidjws.middleware.claim_headers import ClaimHeaders
from rapidjws.middleware.exempt_paths import ExemptPaths
from rapidjws.middleware.presented import check_place, presented_token, sender_check
from rapidjws.middleware.response import (
    PREFIX,
    Answer,
    answer_for,
    checked_realm,
    is_ours,
    trusted_headers,
    trusted_octets,
)
from rapidjws.middleware.signed_body import SignedBody
from rapidjws.middleware.startup import (
    StartupWait,
    checked_ready_timeout_s,
    missing_keys_line,
    wait_for_keys,
)
from rapidjws.middleware.token_location import TokenLocation
from rapidjws.observe.decision_log import DecisionLog
from rapidjws.observe.observer import Observer
from rapidjws.observe.request_info import IdentifiedHeaders
from rapidjws.observe.tracing import Tracer
from rapidjws.sender import SenderConstraints
from rapidjws.verify import worker_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from typing_extensions import NotRequired, TypedDict

    from rapidjws.middleware.requests import RequestContext
    from rapidjws.observe.request_info import Headers
    from rapidjws.observe.tracing import RequestTrace

KEY = "rapidjws"
"""Where the decision stands in a scope, an environ or a request."""

_log: Final = logger("middleware")

_NAMES_KEPT: Final = 256
"""Most names of headers of which it is remembered whether they are ours."""

_NAME_MAX_BYTES: Final = 64

RequestT = TypeVar("RequestT")


if TYPE_CHECKING:

    class AuthenticatorSettings(TypedDict, Generic[RequestT]):
        """The arguments of :class:`Authenticator` for those who hand them on."""

        engine: NotRequired[Engine | None]
        body: NotRequired[SignedBody | None]
        place: NotRequired[TokenLocation | None]
        partner_of: NotRequired[Callable[[RequestT], str | None] | None]
        realm: NotRequired[str]
        exempt: NotRequired[Collection[str]]
        root_path: NotRequired[str]
        log: NotRequired[DecisionLog | None]
        tracer: NotRequired[Tracer | None]
        claim_headers: NotRequired[Mapping[str, str | Mapping[str, str]] | None]
        sender: NotRequired[SenderConstraints | None]
        audit: NotRequired[DecisionRecorder | None]


def _checked_root_path(root_path: str) -> str:
    """Return where an application is mounted."""
    if not isinstance(root_path, str) or (root_path and (root_path[0] != "/" or root_path[-1] == "/")):
        raise error_for("configuration_invalid", "authenticator.root_path", expected="a path, /like/this")
    return root_path


class Authenticator(Generic[RequestT]):
    """The settings of a middleware, and its decisions.

    Args:
        engine: Decides by the token in the header.
        body: Decides by the signature of the body, instead.
        place: Where tokens stand.
        partner_of: Names the partner of a request (a scope, an environ, a context), from what authenticates
            it beside the token (a client certificate, an API key); None where nobody is known. Never from a
            header that any client can set.
        realm: The ``realm`` of challenges.
        exempt: Paths that need no token: health checks exactly as they are, ``/static/*`` for all below. A
            request that escapes what need not be escaped (``/status%2Flive``) is not exempt, nor is one
            below a prefix with a dot segment, an empty one, or ``;``: some routers match it otherwise.
        root_path: Where the application is mounted, as the server says it in ``root_path`` (ASGI) or
            ``SCRIPT_NAME`` (WSGI). Some servers take that from a header of the request (gunicorn's
            ``SCRIPT_NAME``, daphne's ``Daphne-Root-Path``). Where a request has another one, its path counts
            with it and without it: the stricter stage of both holds, and both must be exempt.
        log: Logs requests whose token was not verified; by default with the limits of ``DecisionLog``.
        tracer: Makes the span of a request whose caller records (W3C Trace Context); None makes none.
        sender: Compares what a token is bound to with who sends it (DPoP, mutual TLS); None compares nothing.
        claim_headers: Claim, or JSON Pointer, -> the header in which the application gets it, as text or with
            an encoding: ``{"tid": "X-Tenant", "/realm_access/roles": {"header": "X-Roles", "encoding":
            "base64url"}}``. What a client sends under such a name is removed. ``plain``, the default, leaves
            empty what does not arrive unchanged; ``percent`` and ``base64url`` (of JSON) write more.

        audit: Records each decision in an audit trail; None records nothing.

    Attributes:
        field: The lower-case name of the header that is read, or the first of them.
        fields: All of them.
        observer: Reads each decision, for logs and traces.
        first_letters: How the names of our headers begin, as octets.

    Raises:
        ConfigurationError: ``configuration_invalid``: not one of ``engine`` and ``body``, or a place too.
    """

    @checked(under="authenticator")
    def __init__(
        self,
        *,
        engine: Engine | None = None,
        body: SignedBody | None = None,
        place: TokenLocation | None = None,
        partner_of: Callable[[RequestT], str | None] | None = None,
        realm: str = "api",
        exempt: Collection[str] = frozenset(),
        root_path: str = "",
        log: DecisionLog | None = None,
        tracer: Tracer | None = None,
        claim_headers: Mapping[str, str | Mapping[str, str]] | None = None,
        sender: SenderConstraints | None = None,
        audit: DecisionRecorder | None = None,
    ) -> None:
        if (engine is None) == (body is None) or (body is not None and place is not None):
            raise error_for("configuration_invalid", "authenticator", "an engine, or a signed body")
        self._engine = engine
        self.body = body
        self.place = place or TokenLocation()
        self.sender = check_place(sender, self.place if body is None else None, "authenticator.sender")
        self._audit = audit
        self.realm = checked_realm(realm, "authenticator.realm")
        self.exempt = ExemptPaths(exempt)
        self._root_path = _checked_root_path(root_path)
        self.fields = (self.place.field,) if body is None else body.fields
        self.field = self.fields[0]
        self._partner_of = partner_of
        decides = engine if body is None else body.verifier
        self.observer = Observer(decides if isinstance(decides, Engine) else None, log=log, tracer=tracer)
        self._claim_headers = self._checked_claim_headers(claim_headers)
        letter = PREFIX[:1].encode()
        self._ours: dict[bytes, bool] = {}
        self.first_letters = self._claim_headers.first_letters | {letter, letter.upper()}

    def _checked_claim_headers(self, settings: Mapping[str, str | Mapping[str, str]] | None) -> ClaimHeaders:
        """Return the headers of claims; none of them may be what this reads, nor stay empty for ever."""
        place = "authenticator.claim_headers"
        made = ClaimHeaders({} if settings is None else settings, place=place)
        if made and self._waited_for() is None:
            raise error_for("configuration_invalid", place, "an engine: a Verifier checks no claims")
        if any(made.owns(field.decode("latin-1")) for field in self.fields):
            raise error_for("configuration_invalid", place, "headers that no other setting reads")
        return made

    def is_ours(self, name: str) -> bool:
        """Return whether only this may set a header, in any spelling that a server may fold into it."""
        return is_ours(name) or self._claim_headers.owns(name)

    def is_ours_octets(self, name: bytes) -> bool:
        """Return what ``is_ours`` does of a name as it was sent; what often comes is remembered."""
        found = self._ours.get(name)
        if found is None:
            found = self.is_ours(name.decode("latin-1"))
            if len(self._ours) < _NAMES_KEPT and len(name) <= _NAME_MAX_BYTES:
                self._ours[name] = found
        return found

    def trusted_headers(self, decision: Decision) -> list[tuple[str, str]]:
        """Return all headers that the application may trust, those of claims among them; see ``is_ours``."""
        return trusted_headers(decision) + self._claim_headers.headers(decision)

    def trusted_octets(self, decision: Decision) -> list[tuple[bytes, bytes]]:
        """Return ``trusted_headers`` as octets."""
        found = trusted_octets(decision)
        if self._claim_headers:
            found += [(name.encode(), text.encode()) for name, text in self._claim_headers.headers(decision)]
        return found

    def unknown_root_path(self, root_path: str) -> str:
        """Return where a server says that the application is mounted, or ``""`` where that is known."""
        return "" if root_path == self._root_path else root_path

    @property
    def limit_bytes(self) -> int:
        """Return the largest body that is read."""
        return 0 if self.body is None else self.body.limit_bytes

    def wants_body(self, context: RequestContext) -> bool:
        """Return whether the body is to be read: not where the headers alone decide."""
        if self.body is None:
            return False
        signature_value = self.body.signature_value(context.values)
        return signature_value is not None and signature_value is not AMBIGUOUS

    def decide(self, context: RequestContext, body: bytes | None = b"") -> Decision:
        """Decide about a request.

        Args:
            context: What it says.
            body: Its body, where ``wants_body``; None for more than ``limit_bytes``.
        """
        token, started_ns = self._token(context, body), perf_counter_ns()
        try:
            self.observer.look(context.trace, token)
            decision = self._decide(context, token, body)
            if self._audit is not None:
                decision = self._audit.note_durably(decision, token, context.headers)
        except BaseException:
            self.observer.abandon(context.trace)
            raise
        self.observer.end(decision, token, context.headers, started_ns, context.trace)
        return decision

    def _decide(self, context: RequestContext, token: bytes | None, body: bytes | None) -> Decision:
        if self._engine is None:
            assert self.body is not None
            return self.body.decide(context, body)
        return self._engine.decide(
            token,
            partner=context.partner,
            route=context.route,
            scopes=context.scopes,
            request=context,
            sender=None if self.sender is None else sender_check(self.sender, context, token),
        )

    @property
    def reads_target(self) -> bool:
        """Return whether method and target of a request matter."""
        return self.sender is not None or (self.body is not None and self.body.payload_of is not None)

    def _token(self, context: RequestContext, body: bytes | None) -> bytes | None:
        """Return the token of a request; of a signed body what its header, or it, says of the signature."""
        if self.body is None:
            return presented_token(self.place, self.sender, context.values, context.query)
        if self.body.part is not None or self.body.signature_header is None:
            return body if self.body.part is None else None
        return context.values[0] if len(context.values) == 1 else None

    def values(self, headers: Headers) -> list[bytes]:
        """Return each value of the headers that are read."""
        if len(self.fields) == 1:
            return list(headers(self.field))
        return [value for field in self.fields for value in headers(field)]

    def handed_on(self, decision: Decision, body: bytes | None) -> bytes | None:
        """Return the body for the application: without what the verdict does not cover."""
        return body if self.body is None or body is None else self.body.handed_on(decision, body)

    async def adecide(self, context: RequestContext, body: bytes | None = b"") -> Decision:
        """Decide about a request from asyncio, without holding up the loop.

        Args:
            context: As for ``decide``.
            body: As for ``decide``.
        """
        token, started_ns = self._token(context, body), perf_counter_ns()
        try:
            self.observer.look(context.trace, token)
            decision = await self._adecide(context, token, body)
            if self._audit is not None:
                decision = await self._audit.anote(decision, token, context.headers)
        except BaseException:  # a client that went away cancels this
            self.observer.abandon(context.trace)
            raise
        self.observer.end(decision, token, context.headers, started_ns, context.trace)
        return decision

    async def _adecide(self, context: RequestContext, token: bytes | None, body: bytes | None) -> Decision:
        if self._engine is None:
            assert self.body is not None
            rules = self.body.rules
            if not body and (rules is None or not rules.blocking):
                return self.body.decide(context, body)
            work = partial(self.body.decide, context, body)  # a body is long, and its keys may be slow
            return await worker_pool.call_on_thread(work, inline=True)
        engine, sender = self._engine, None
        if self.sender is not None:
            sender = sender_check(self.sender, context, token)
        elif engine._is_quick(token):
            return engine.decide(
                token, partner=context.partner, route=context.route, scopes=context.scopes, request=context
            )
        return await engine.adecide(
            token,
            partner=context.partner,
            route=context.route,
            scopes=context.scopes,
            sender=sender,
            request=context,
        )

    def refused(self, context: RequestContext, code: str, *, place: str | None = None) -> Decision:
        """Return the decision against a request that is not understood before its token is looked at."""
        decision = Decision(outcome="deny", code=code, place=place)
        self.note(decision, context)
        return decision

    def note(self, decision: Decision, context: RequestContext) -> None:
        """Log a decision that was made beside ``decide``, and end the request's span."""
        self.observer.end(decision, None, context.headers, perf_counter_ns(), context.trace)

    def begin(self, headers: Headers) -> RequestTrace | None:
        """Begin the span of a request whose caller records; None for all others."""
        return self.observer.begin(headers)

    async def await_keys(self, timeout_s: float) -> bool:
        """Wait, within a bound, until each required issuer has keys; a warning names those that have none.

        Args:
            timeout_s: Longest wait, in seconds.

        Returns:
            Whether the engine is ready; True where a :class:`Verifier` verifies, which has its keys.
        """
        checked_ready_timeout_s("timeout_s", timeout_s)
        engine = self._waited_for()
        return engine is None or await wait_for_keys(engine, timeout_s, _log.warning)

    async def aflush(self) -> None:
        """Have the rollout put by what it counted: a server may end its process without a word."""
        flush = getattr(getattr(self._engine, "rollout", None), "flush", None)
        if flush is not None:
            with contextlib.suppress(RapidJWSError):
                await worker_pool.call_on_thread(flush, inline=True)

    def wait_for_keys(self, timeout_s: float) -> bool:
        """Wait as ``await_keys`` does, on a thread."""
        checked_ready_timeout_s("timeout_s", timeout_s)
        engine = self._waited_for()
        if engine is None or engine.wait_ready(timeout_s):
            return True
        missing = engine.not_ready
        if missing:
            _log.warning("%s", missing_keys_line(missing, timeout_s))
        return not missing

    def startup_wait(self, timeout_s: float) -> StartupWait:
        """Return the wait of the first requests, whose bound begins now.

        Args:
            timeout_s: Longest wait, in seconds, from 0 to 3600.
        """
        return StartupWait(self._waited_for(), timeout_s, _log.warning)

    def _waited_for(self) -> Engine | None:
        """Return the engine that decides, or None where a :class:`Verifier` does, which has its keys."""
        engine = self._engine if self.body is None else self.body.verifier
        return engine if isinstance(engine, Engine) else None

    def partner(self, request: RequestT) -> str | None:
        """Return the partner of a request, or None."""
        return None if self._partner_of is None else self._partner_of(request)

    def answer(self, decision: Decision, context: RequestContext) -> Answer | None:
        """Return the refusal that a decision asks for, with the id of its log line, or None for a permit."""
        if self.body is None and decision.outcome == "permit":
            return None
        scheme = self.place.scheme if self.body is None else "JWS"
        found = answer_for(
            decision,
            realm=self.realm,
            scheme=scheme,
            dpop=None if self.sender is None else self.sender.challenge(time_ns()),
            nonce=None if self.body is None else self.body.nonce(decision, context.partner),
        )
        if found is None or not isinstance(context.headers, IdentifiedHeaders):
            return found
        named = (*found.headers, ("x-request-id", context.headers.request_id))
        return Answer(status=found.status, headers=named, body=found.body)
