"""Tokens of which their authorization server is asked: a second opinion, or the only one on opaque tokens.

A second opinion comes after signature, claims and revocations, so a stranger's token asks for none. An opaque
token proves nothing by itself: what strangers may ask for is bounded by a budget of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, Literal

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.introspection.client import IntrospectionClient
from rapidjws.introspection.limits import IntrospectionLimits
from rapidjws.introspection.lookups import Lookups
from rapidjws.jose.numeric_date import SECOND_NS
from rapidjws.jose.scopes import scopes_of
from rapidjws.verify.arguments import names_of
from rapidjws.verify.introspected import introspected_token
from rapidjws.verify.protocols import Event, EventListener, emit, no_events

if TYPE_CHECKING:
    from rapidjws.introspection.answer import IntrospectionAnswer
    from rapidjws.jwt.decision import Names
    from rapidjws.verify.protocols import SenderCheck
    from rapidjws.verify.result import VerifiedJWS
    from rapidjws.verify.snapshot import Token

OPAQUE_MAX_BYTES: Final = 2048
"""Longest opaque token that is asked for."""

_OPAQUE: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 s.2.1: b64token

_ONE_READING: Final = re.compile(
    r"(?:/[A-Za-z0-9_~!$&'()*+=:@-]+(?:\.+[A-Za-z0-9_~!$&'()*+=:@-]+)*)*/?", re.ASCII
)
"""Paths that all servers read alike: no escapes, dot segments, empty ones, or ones that end in a dot."""


class Introspection:
    """What an engine asks an authorization server about tokens in ``decide``.

    Args:
        client: Asks it.
        issuers: Issuers on whose tokens a second opinion is due, after their signature; any of an issuer's
            names stands for all of them, and a tenant's for the tokens that state it.
        routes: Only on these paths, and what lies below them; by default on all. A request whose path nobody
            knows is asked for.
        scopes: Only on tokens with one of these scopes; by default on all.
        opaque_issuer: The server's ``iss``, for opaque tokens; None refuses these unasked.
        audience: What ``aud`` of an opaque token must hold one of; () compares nothing.
        on_failure: What an answer that cannot be had means for a second opinion: ``"indeterminate"``, or
            ``"signature"`` for the signature's word. An opaque token is always indeterminate then.
        leeway_s: Clock difference forgiven at ``exp`` and ``nbf``, whole seconds, 0 to 300.
        limits: Caches, budgets, breaker.
        events: Listener: ``introspection_failed``, ``introspection_breaker_opened``,
            ``introspection_unchecked``; of each look-up ``introspection_ended`` (``detail``: ``active``,
            ``inactive``, ``unavailable``, ``not_asked``; ``value``: seconds), and once a second
            ``introspection_remembered`` (``value``: answers that were remembered ones).

    Raises:
        ConfigurationError: ``configuration_invalid``: nothing to ask about.

    Source: RFC 7662, RFC 9701.
    """

    __slots__ = ("_audience", "_events", "_issuers", "_leeway_s", "_lookups", "_on_failure",
                 "_opaque_issuer", "_routes", "_scopes")  # fmt: skip

    @checked(but=("issuers", "routes", "scopes", "audience"))
    def __init__(
        self,
        client: IntrospectionClient,
        *,
        issuers: str | Iterable[str] = (),
        routes: str | Iterable[str] = (),
        scopes: str | Iterable[str] = (),
        opaque_issuer: str | None = None,
        audience: str | Iterable[str] = (),
        on_failure: Literal["indeterminate", "signature"] = "indeterminate",
        leeway_s: int = 0,
        limits: IntrospectionLimits | None = None,
        events: EventListener = no_events,
    ) -> None:
        self._issuers = frozenset(names_of(issuers, "issuers"))
        self._routes = tuple(names_of(routes, "routes"))
        self._scopes = frozenset(names_of(scopes, "scopes"))
        self._audience = frozenset(names_of(audience, "audience"))
        if not self._issuers and opaque_issuer is None:
            raise error_for("configuration_invalid", "issuers", "issuers, opaque_issuer, or both")
        if opaque_issuer == "":
            raise error_for("configuration_invalid", "opaque_issuer", "a value")
        if not self._issuers and (self._routes or self._scopes):
            place = "routes" if self._routes else "scopes"
            raise error_for("configuration_invalid", place, "issuers beside it")
        if self._audience and opaque_issuer is None:
            raise error_for("configuration_invalid", "audience", "opaque_issuer beside it")
        if not all(one[:1] == "/" for one in self._routes):
            raise error_for("configuration_invalid", "routes", "paths, /like/this")
        if on_failure not in ("indeterminate", "signature"):
            raise error_for("configuration_invalid", "on_failure", expected=("indeterminate", "signature"))
        check_range("leeway_s", leeway_s, 0, 300)
        self._opaque_issuer = opaque_issuer
        self._on_failure = on_failure
        self._leeway_s = leeway_s
        self._events = events
        self._lookups = Lookups(client, limits or IntrospectionLimits(), leeway_s, events)

    # --- what an engine asks -----------------------------------------------------------------------------

    def is_opaque(self, token: Token) -> bool:
        """Return whether a token is no JWS and could be one of the server's (RFC 6750 s.2.1)."""
        if self._opaque_issuer is None or len(token) > OPAQUE_MAX_BYTES:
            return False
        octets = _octets(token)
        return octets.count(b".") < 2 and _OPAQUE.fullmatch(octets) is not None

    def is_known(self, token: Token, named: Callable[[], tuple[str, ...]] | None = None) -> bool:
        """Return whether nobody waits for the server on this token now.

        Args:
            token: The token.
            named: Gives the issuers that it names, unverified; None where that is not known. Of an issuer on
                whose tokens no second opinion is due nobody asks.
        """
        if self._lookups.known(_octets(token), time_ns()) is not None:
            return True
        names = () if named is None or self.is_opaque(token) else named()
        return bool(names) and not self.concerns(names)

    def check(
        self, token: Token, route: Names, sender: SenderCheck | None, named: Callable[[], tuple[str, ...]]
    ) -> SenderCheck | None:
        """Return the second opinion on a token, before the check of who sent it.

        Args:
            token: The token.
            route: What is asked for.
            sender: The check of who sent it, or None.
            named: Gives the issuers that it names, unverified: only for telling whether somebody may wait.
        """
        if not self._issuers or not self._is_on_route(route):
            return sender
        return _SecondOpinion(self, token, sender, named)

    def introspected(self, token: Token, now_ns: int) -> VerifiedJWS:
        """Return an opaque token that the server calls active, and whose claims are accepted here.

        Args:
            token: The token.
            now_ns: Nanoseconds since the epoch, for its dates.

        Raises:
            PolicyRefused: ``token_inactive``.
            ClaimRefused: ``issuer_mismatch``, ``audience_mismatch``, ``not_yet_valid``.
            DependencyUnavailable: ``introspection_unavailable``.
        """
        iss, octets = str(self._opaque_issuer), _octets(token)
        answer = self._lookups.answer(octets, now_ns)
        refused = self._objection(answer, iss, now_ns)
        if refused is not None:
            refused.claimed_issuer = iss
            raise refused
        return introspected_token(octets, iss, answer.claims, answer.octets)

    def _objection(self, answer: IntrospectionAnswer, iss: str, now_ns: int) -> RapidJWSError | None:
        """Return why an opaque token is not accepted, or None."""
        if not answer.active:
            return error_for("token_inactive", "token")
        claims = answer.claims
        if claims.get("iss", iss) != iss:
            return error_for("issuer_mismatch", "claims.iss", iss)
        aud: Any = claims.get("aud", ())
        if self._audience and self._audience.isdisjoint((aud,) if isinstance(aud, str) else aud):
            return error_for("audience_mismatch", "claims.aud", tuple(sorted(self._audience)))
        if answer.begins_ns is not None and answer.begins_ns > now_ns + self._leeway_s * SECOND_NS:
            return error_for("not_yet_valid", "claims.nbf")
        return None

    @property
    def takes_opaque(self) -> bool:
        """Return whether opaque tokens are its server's."""
        return self._opaque_issuer is not None

    def concerns(self, issuers: Iterable[str]) -> bool:
        """Return whether a second opinion is due on tokens of one of these issuers."""
        return not self._issuers.isdisjoint(issuers)

    # --- the second opinion ------------------------------------------------------------------------------

    def _is_on_route(self, route: Names) -> bool:
        if not self._routes or route is None or isinstance(route, tuple):
            return True  # several paths, or none known: it may be one of them
        path = route.partition("?")[0]
        if _ONE_READING.fullmatch(path) is None:
            return True  # two readers may take it for two paths
        folded = path.lower()
        return any(
            folded == one.lower() or folded.startswith(one.lower().rstrip("/") + "/") for one in self._routes
        )

    def _second_refusal(self, token: Token, verified: VerifiedJWS, now_ns: int) -> RapidJWSError | None:
        """Return why the server's word refuses a verified token, or None; also where none is due.

        Args:
            token: The token.
            verified: The same, verified.
            now_ns: Nanoseconds since the epoch.
        """
        if not self.concerns(verified._issuer_names):
            return None
        if self._scopes and self._scopes.isdisjoint(scopes_of(verified.claims)):
            return None
        try:
            answer = self._lookups.answer(_octets(token), now_ns)
            if not answer.active:
                return error_for("token_inactive", "token")
            self._check_same(answer, verified)
        except RapidJWSError as fault:
            if self._on_failure == "signature":
                emit(self._events, Event(name="introspection_unchecked", issuer=verified.issuer))
                return None
            return fault.with_traceback(None)
        return None

    @staticmethod
    def _check_same(answer: IntrospectionAnswer, verified: VerifiedJWS) -> None:
        """Refuse an answer about another token: it says nothing about this one."""
        for name in ("iss", "jti"):
            mine = verified.claims.get(name)
            if mine is not None and answer.claims.get(name, mine) != mine:
                raise error_for("introspection_unavailable", "introspection.answer", f"{name} of the token")


class _SecondOpinion:
    """The second opinion on the token of one request, and then the check of who sent it."""

    __slots__ = ("_introspection", "_named", "_sender", "_token")

    def __init__(
        self,
        introspection: Introspection,
        token: Token,
        sender: SenderCheck | None,
        named: Callable[[], tuple[str, ...]],
    ) -> None:
        self._introspection = introspection
        self._token = token
        self._sender = sender
        self._named = named

    @property
    def binds(self) -> bool:
        """Return whether what a token is bound to is compared."""
        return self._sender is not None and getattr(self._sender, "binds", True)

    @property
    def blocking(self) -> bool:
        """Return whether somebody may wait."""
        if self._sender is not None and self._sender.blocking:
            return True
        return not self._introspection.is_known(self._token, self._named)

    def refusal(self, verified: VerifiedJWS, now_ns: int) -> RapidJWSError | None:
        """Return why a verified token is refused after all, or None."""
        refused = self._introspection._second_refusal(self._token, verified, now_ns)
        if refused is None and self._sender is not None:
            refused = self._sender.refusal(verified, now_ns)
        return refused


def _octets(token: Token) -> bytes:
    return token.encode("utf-8", "surrogatepass") if isinstance(token, str) else bytes(token)
