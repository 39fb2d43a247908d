"""Token exchange (RFC 8693): whose token may be exchanged by whom, and who acts in the new one."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rapidjws._scheduler import scheduler
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.claim_rules import NOT_CHECKED
from rapidjws.jose.jwks import JWKSet
from rapidjws.jose.scopes import scopes_of
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer

if TYPE_CHECKING:
    from rapidjws.issuing.life_cycle import KeyLifeCycle
    from rapidjws.issuing.state import IssuingState
    from rapidjws.issuing.token_clients import TokenClient
    from rapidjws.verify.protocols import RevocationStore

_TYPES: Final = "urn:ietf:params:oauth:token-type:"
ACCESS_TOKEN: Final = f"{_TYPES}access_token"
JWT: Final = f"{_TYPES}jwt"
ID_TOKEN: Final = f"{_TYPES}id_token"
GIVEN_TYPES: Final = (ACCESS_TOKEN, JWT, ID_TOKEN)
ISSUED_TYPES: Final = (ACCESS_TOKEN, JWT)
ACT_MAX_DEPTH: Final = 8
"""Most actors that a token may name, one in another (RFC 8693 s.4.1)."""


def refusal(place: str, expected: Any, error: str = "invalid_request") -> RapidJWSError:
    """Return the error for a request that is refused: where, why, and the error code of RFC 6749 s.5.2."""
    return error_for("token_request_refused", place, expected, error)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What an exchange gives.

    Attributes:
        claims: ``sub``, and ``act`` where somebody acts for it.
        scopes: Most that the new token may hold.
        ends_s: Until when the given tokens are good, in seconds since the epoch.
    """

    claims: dict[str, Any] = field(repr=False)
    scopes: frozenset[str]
    ends_s: int


class OwnTokens:
    """An engine for the issuer's own tokens, by the keys that are published now, less what is revoked.

    Args:
        life_cycle: The keys.
        issuer: The ``iss``.
        leeway_s: Clock difference forgiven, in seconds.
        revocations: What is revoked beyond the keys' state, or None.
    """

    __slots__ = (
        "__weakref__", "_engine", "_issuer", "_leeway_s", "_life_cycle", "_lock", "_revision", "_revocations",
    )  # fmt: skip

    def __init__(
        self, life_cycle: KeyLifeCycle, issuer: str, leeway_s: int, revocations: RevocationStore | None = None
    ) -> None:
        self._life_cycle = life_cycle
        self._issuer = issuer
        self._leeway_s = leeway_s
        self._revocations = revocations
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._revision = -1
        scheduler.members.add(self)

    def engine(self) -> Engine:
        """Return the engine, with the keys of this moment.

        Raises:
            DependencyUnavailable: ``key_state_unavailable``, ``key_state_unreadable``, ``no_signing_key``,
                ``revocation_store_unavailable``.
        """
        state = self._life_cycle.state()
        made = self._engine
        if made is not None and state.revision <= self._revision:  # a slower thread has an older state
            return made
        if not state.published():
            raise error_for("no_signing_key", "keys", "a published key")
        issuer = self._issuer_of(state)
        with self._lock:
            if self._engine is None:
                self._engine = Engine(issuer, precompute_threshold=0, revocations=self._revocations)
            elif state.revision > self._revision:
                self._engine.replace_issuers(issuer)
            self._revision = max(self._revision, state.revision)
            return self._engine

    def _issuer_of(self, state: IssuingState) -> Issuer:
        keys = state.published()
        return Issuer(
            self._issuer,
            keys=JWKSet([one.public() for one in keys]),
            algorithms=sorted({one.alg for one in keys}),
            audience=NOT_CHECKED,  # the exchange compares it with the client's names
            typ=("at+jwt", "JWT"),
            leeway_s=self._leeway_s,
        )

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()


class TokenExchange:
    """The exchange of one token service.

    Args:
        own: Verifies the issuer's own tokens.
        issuer: The ``iss``.
        names: The issuer's own names: a subject token with one of them in ``aud`` was meant for it.
        subjects: An engine for tokens of other issuers, or None.
        act_depth: Most actors in one token.
    """

    __slots__ = ("_act_depth", "_issuer", "_names", "_own", "_subjects")

    def __init__(
        self, own: OwnTokens, issuer: str, names: frozenset[str], subjects: Engine | None, act_depth: int
    ) -> None:
        self._own = own
        self._issuer = issuer
        self._names = names
        self._subjects = subjects
        self._act_depth = act_depth

    def exchanged(self, client: TokenClient, form: Mapping[str, str], now_s: float) -> Exchanged:
        """Return what a client gets for the tokens of a request.

        Raises:
            IssuingRefused: ``token_request_refused``.
            DependencyUnavailable: Keys or a store cannot be had.
        """
        for name in ("subject_token", "subject_token_type"):
            if not form.get(name):
                raise refusal(name, "a value")  # RFC 8693 s.2.1
        if ("actor_token" in form) != ("actor_token_type" in form):
            raise refusal("actor_token_type", "a value beside actor_token, and none without")
        if form.get("requested_token_type", ACCESS_TOKEN) not in ISSUED_TYPES:
            raise refusal("requested_token_type", ISSUED_TYPES)
        subject = self._verified(client, form, "subject_token", now_s)
        self._check_audience(client, subject)
        ends_s = int(subject["exp"])
        actor: tuple[str, str] | None = None
        if "actor_token" in form:
            token = self._verified(client, form, "actor_token", now_s)
            self._check_audience(client, token, "actor_token")
            actor = (token["iss"], token["sub"])
            ends_s = min(ends_s, int(token["exp"]))
        elif not client.may_impersonate:
            actor = (self._issuer, client.client_id)
        self._check_may_act(subject, actor, client)
        claims: dict[str, Any] = {"sub": subject["sub"]}
        acts = _acts(subject, actor, self._act_depth)
        if acts is not None:
            claims["act"] = acts
        held = scopes_of(subject) | frozenset(client.exchange_scopes)
        return Exchanged(claims, frozenset(client.scopes) & held, ends_s)

    def _verified(
        self, client: TokenClient, form: Mapping[str, str], name: str, now_s: float
    ) -> dict[str, Any]:
        """Return the claims of a token that verifies, of an issuer that the client may exchange from."""
        if form[f"{name}_type"] not in GIVEN_TYPES:
            raise refusal(f"{name}_type", GIVEN_TYPES)
        engines = [] if self._subjects is None else [self._subjects]
        if self._issuer in client.subject_issuers:
            engines.insert(0, self._own.engine())
        word = "unknown_issuer"
        for engine in engines:
            try:
                claims: dict[str, Any] = engine.verify(form[name], now_s).claims
            except RapidJWSError as refused:
                if refused.outcome == "indeterminate":
                    raise
                word = refused.code if refused.code != "unknown_issuer" else word
                continue
            if claims.get("iss") not in tuple(client.subject_issuers):
                raise refusal(name, "an issuer that the client may exchange from", "invalid_grant")
            if not isinstance(claims.get("sub"), str) or not claims["sub"] or "exp" not in claims:
                raise refusal(name, "sub and exp", "invalid_grant")
            if "events" in claims:  # RFC 8417 s.4.6: a security event, a logout for instance, admits nobody
                raise refusal(name, "no security event", "invalid_grant")
            return claims
        raise refusal(name, word, "invalid_grant")

    def _check_audience(
        self, client: TokenClient, claims: Mapping[str, Any], name: str = "subject_token"
    ) -> None:
        """Refuse a token that was meant for another: who received it must not act with it elsewhere."""
        found = claims.get("aud")
        values: Any = [found] if isinstance(found, str) else found or ()
        audiences = frozenset(values)
        if audiences & {client.client_id, *client.subject_audiences}:
            return
        if not audiences & self._names:
            raise refusal(name, "an aud that names the client or this issuer", "invalid_grant")
        if claims.get("cnf") is not None:  # bound to a key that the client did not show
            raise refusal(name, "no cnf, where aud names this issuer alone", "invalid_grant")

    def _check_may_act(
        self, subject: Mapping[str, Any], actor: tuple[str, str] | None, client: TokenClient
    ) -> None:
        """Refuse an actor that the subject token does not allow (RFC 8693 s.4.4)."""
        allowed = subject.get("may_act")
        itself = (self._issuer, client.client_id)
        if allowed is None:
            if actor not in (None, itself):
                raise refusal("actor_token", "a may_act in the subject token that names it", "invalid_grant")
            return
        if not isinstance(allowed, dict) or not isinstance(allowed.get("sub"), str):
            raise refusal("subject_token", "a may_act with sub", "invalid_grant")
        if set(allowed) - {"sub", "iss"}:  # a member that nobody here compares would be passed over
            raise refusal("subject_token", "a may_act of sub and iss alone", "invalid_grant")
        if (allowed.get("iss", subject["iss"]), allowed["sub"]) != (actor or itself):
            raise refusal("actor_token", "the actor that may_act names", "invalid_grant")


def _acts(subject: Mapping[str, Any], actor: tuple[str, str] | None, depth: int) -> dict[str, Any] | None:
    """Return the ``act`` of the new token; prior actors stand inside (RFC 8693 s.4.1).

    An actor without ``iss`` is of the subject's issuer.
    """
    chain: Any = subject.get("act")
    if actor is not None:
        whole: dict[str, Any] = {"sub": actor[1]}
        if actor[0] != subject["iss"]:
            whole["iss"] = actor[0]
        if chain is not None:
            whole["act"] = chain
        chain = whole
    at, count = chain, 0
    while at is not None:
        count += 1
        if count > depth:
            raise refusal("subject_token", f"at most {depth} actors", "invalid_grant")
        if not isinstance(at, dict) or not isinstance(at.get("sub"), str) or not at["sub"]:
            raise refusal("subject_token", "an act with sub", "invalid_grant")
        if not isinstance(at.get("iss", ""), str) or set(at) - {"sub", "iss", "act"}:
            raise refusal("subject_token", "an act of sub, iss and act", "invalid_grant")
        at = at.get("act")
    return None if chain is None else dict(chain)
