"""The records of an engine's decisions, handed to a sink; nothing is kept of a token but in the sink."""

from __future__ import annotations

import threading
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from rapidjws._checks import checked, refused
from rapidjws._native import b64url_decode
from rapidjws._native import request_id as request_id_text
from rapidjws._native import trace_id as trace_id_text
from rapidjws.audit.records import DECISION, RecordContext, bounded, canonical
from rapidjws.audit.stored_policy import StoredPolicy
from rapidjws.errors import ConfigurationError, error_for
from rapidjws.jwt.decision import AMBIGUOUS, OK, Decision
from rapidjws.jwt.engine import Engine
from rapidjws.observe.request_info import REQUEST_ID, TRACEPARENT, no_headers, request_id
from rapidjws.verify.protocols import Clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Future

    from rapidjws.audit.records import Fields, Row
    from rapidjws.observe.request_info import Headers
    from rapidjws.verify.snapshot import Token

CONTEXTS_MAX: Final = 4096
HEADER_MAX_CHARS: Final = 4096


class Sink(Protocol):
    """What takes records.

    Attributes:
        durable: Whether a decision waits until its record is on the disk.
    """

    durable: bool

    def store(self, objects: Mapping[str, bytes]) -> None:
        """Take what digests in records name."""

    def take(self, row: Row) -> bool:
        """Take a record without waiting; return whether there was room."""

    def take_durably(self, row: Row) -> Future[bool] | None:
        """Take a record; the future says whether it is on the disk. None where there is no room."""

    def count_lost(self, why: str) -> None:
        """Count a record that is not taken."""


class Selection:
    """Which decisions are recorded.

    Args:
        record: ``"all"``, or ``"refusals"``: those that are not a verified token's.
        partners: Only of these partners; none for all.
        routes: Only of routes that begin so; none for all.
        sample: The share of accepted tokens that is recorded, from 0 to 1; refusals all are.
    """

    __slots__ = ("_all", "_everything", "_partners", "_routes", "_step", "_turn")

    @checked(under="audit")
    def __init__(
        self,
        *,
        record: str = "all",
        partners: Iterable[str] = (),
        routes: Iterable[str] = (),
        sample: float = 1.0,
    ) -> None:
        if record not in ("all", "refusals"):
            raise error_for("configuration_invalid", "audit.record", "all or refusals", record)
        if not 0 <= sample <= 1:
            raise error_for("configuration_invalid", "audit.sample", "0 to 1", sample)
        self._all = record == "all" and sample > 0
        self._partners, self._routes = frozenset(partners), tuple(routes)
        self._step, self._turn = sample, 0.0
        self._everything = self._all and sample >= 1 and not self._partners and not self._routes

    def takes(self, decision: Decision) -> bool:
        """Say whether a decision is recorded."""
        if type(decision) is not Decision:
            raise refused("decision", "a Decision", decision)
        if self._everything:
            return True
        if self._partners and decision.partner not in self._partners:
            return False
        if self._routes and not (decision.route or "").startswith(self._routes):
            return False
        if decision.code != OK:
            return True
        if not self._all:
            return False
        self._turn += self._step
        if self._turn < 1.0:
            return False
        self._turn -= 1.0
        return True


class DecisionRecorder:
    """The recorder of one worker's decisions.

    Args:
        engine: Decides.
        sink: Takes records.
        on_failure: What becomes of a decision without a record: ``"refuse"`` makes it indeterminate with
            ``audit_unavailable``; ``"count"`` leaves it, and a gap record follows.
        content: What is stored beside records: ``"token"``, ``"claims"``.
        claims: Names of claims that are stored with ``"claims"``.
        selection: Which decisions are recorded; by default all.
        timeout_s: Longest wait for a record to be on the disk.
        clock: Gives the time of records; None for the wall clock.

    Attributes:
        recorded: How many decisions have a record that was taken.
        lost: How many should have one and have none.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked(under="audit")
    def __init__(
        self,
        engine: Engine,
        sink: Sink,
        *,
        on_failure: str = "refuse",
        content: Iterable[str] = ("token",),
        claims: Iterable[str] = (),
        selection: Selection | None = None,
        timeout_s: float = 2.0,
        clock: Clock | None = None,
    ) -> None:
        kept = tuple(content)
        self.check(on_failure, kept)
        self._keeps_token = "token" in kept
        self._claims = tuple(claims) if "claims" in kept else ()
        self._engine, self._sink = engine, sink
        self._refuses = on_failure == "refuse"
        self._selection = selection or Selection()
        self.timeout_s = timeout_s
        self._clock = clock
        self._contexts: dict[Any, RecordContext] = {}
        self._defining = threading.Lock()
        self._stored: tuple[object, StoredPolicy] | None = None
        self.recorded = self.lost = 0

    @staticmethod
    def check(on_failure: str, content: tuple[str, ...]) -> None:
        """Check two settings; raises ConfigurationError."""
        if on_failure not in ("refuse", "count"):
            raise error_for("configuration_invalid", "audit.on_failure", "refuse or count", on_failure)
        for one in content:
            if one not in ("token", "claims"):
                raise error_for("configuration_invalid", "audit.content", "token or claims", one)

    @property
    def durable(self) -> bool:
        """Return whether a decision waits for its record."""
        return self._sink.durable

    def note(self, decision: Decision, token: Token | None, headers: Headers = no_headers) -> Decision:
        """Record a decision without waiting for the disk; return what holds then."""
        try:
            if not self._selection.takes(decision):
                return decision
            if self._sink.take(self._row(decision, token, headers)):
                self.recorded += 1
                return decision
        except ConfigurationError:  # another argument than the method takes
            raise
        except Exception:  # a fault of the trail never makes a permit
            return self._without(decision, "internal")
        return self._without(decision, "queue_full")

    def note_durably(
        self, decision: Decision, token: Token | None, headers: Headers = no_headers
    ) -> Decision:
        """Record a decision and wait until it is on the disk, on a thread that may wait."""
        if not self.durable:
            return self.note(decision, token, headers)
        try:
            if not self._selection.takes(decision):
                return decision
            waited = self._sink.take_durably(self._row(decision, token, headers))
            if waited is not None and waited.result(self.timeout_s):
                self.recorded += 1
                return decision
        except ConfigurationError:  # another argument than the method takes
            raise
        except Exception:  # late, or a fault of the trail
            return self._without(decision, "late")
        return self._without(decision, "queue_full")

    async def anote(self, decision: Decision, token: Token | None, headers: Headers = no_headers) -> Decision:
        """Record a decision, and in durable mode wait until it is on the disk, on a loop."""
        if not self.durable:
            return self.note(decision, token, headers)
        import asyncio

        try:
            if not self._selection.takes(decision):
                return decision
            waited = self._sink.take_durably(self._row(decision, token, headers))
            if waited is not None and await asyncio.wait_for(asyncio.wrap_future(waited), self.timeout_s):
                self.recorded += 1
                return decision
        except ConfigurationError:  # another argument than the method takes
            raise
        except Exception:
            return self._without(decision, "late")
        return self._without(decision, "queue_full")

    def _without(self, decision: Decision, why: str) -> Decision:
        """Return what becomes of a decision that has no record."""
        self.lost += 1
        if not self._refuses:
            self._sink.count_lost(why)
            return decision
        return Decision(
            outcome="deny" if decision.outcome == "deny" else "indeterminate",
            code=decision.code if decision.outcome == "deny" else "audit_unavailable",
            phase=decision.phase,
            partner=decision.partner,
            route=decision.route,
            place=decision.place if decision.outcome == "deny" else "audit",
            scopes_due=decision.scopes_due if decision.outcome == "deny" else (),
            attributed_by=decision.attributed_by,
        )

    # --- records -----------------------------------------------------------------------------------------

    def _row(self, decision: Decision, token: Token | None, headers: Headers) -> Row:
        verified = decision.verified
        generation = self._engine._snapshot.generation
        if verified is not None:
            header: object = None
            issuer = verified.issuer
            key: object = verified._key
        else:
            header = _protected(token)
            issuer = key = None
        name = (
            generation, decision.code, key, issuer, decision.partner, decision.phase, decision.outcome,
            decision.place, decision.attributed_by, header,
        )  # fmt: skip
        context = self._contexts.get(name)
        if context is None:
            context = self._define(name, decision, header)
        claims = None
        if self._claims and verified is not None and verified.issuer is not None:
            found = verified.claims
            claims = canonical({one: found[one] for one in self._claims if one in found}).decode()
        request = trace = None
        if headers is not no_headers:
            request, trace = _ids(headers)
        route = decision.route
        if route is not None and "?" in route:  # a query may hold a token, and no record can be taken back
            route = route.partition("?")[0]
        return (
            context,
            time_ns() // 1000 if self._clock is None else int(self._clock.time() * 1_000_000),
            token if type(token) is str and token.isascii() else _text(token),
            route if route is None or route.isascii() else bounded(route),
            request,
            trace,
            claims,
            self._keeps_token,
        )

    def _define(self, name: Any, decision: Decision, header: object) -> RecordContext:
        with self._defining:
            if name in self._contexts:
                return self._contexts[name]
            if len(self._contexts) >= CONTEXTS_MAX:
                self._contexts.clear()
            stored = self._policy(name[0])
            fields: Fields = {
                "attributed_by": decision.attributed_by,
                "code": decision.code,
                "content": "token" if self._keeps_token else None,
                "generation": stored.generation,
                "kind": DECISION,
                "outcome": decision.outcome,
                "partner": bounded(decision.partner),
                "phase": decision.phase,
                "place": bounded(decision.place),
                "policy": stored.policy,
                "verdict": decision.verdict,
                **_whose(decision, header),
            }
            made = self._contexts[name] = RecordContext(fields)
            return made

    def _policy(self, generation: object) -> StoredPolicy:
        if self._stored is None or self._stored[0] is not generation:
            self._stored = (generation, StoredPolicy(self._engine))
            self._sink.store(self._stored[1].objects)
        return self._stored[1]


def _ids(headers: Headers) -> tuple[str | None, str | None]:
    """Return a request's id and the id of its trace."""
    if not callable(headers):
        raise refused("headers", "a function", headers)
    ids, traces = headers(REQUEST_ID), headers(TRACEPARENT)
    request = (request_id_text(ids[0]) if len(ids) == 1 else None) or request_id(ids) if ids else None
    return request, trace_id_text(traces[0]) if len(traces) == 1 else None


def _text(token: Token | None) -> str | None:
    """Return a token's octets as text of one character each: of text those of Latin-1, or else of UTF-8."""
    if token is None or token is AMBIGUOUS:
        return None
    if not isinstance(token, (str, bytes, bytearray, memoryview)):
        raise refused("token", "text or bytes", token)
    if not isinstance(token, str):
        return bytes(token).decode("latin-1")
    if token.isascii() or max(token) <= "\xff":
        return token
    return token.encode("utf-8", "surrogatepass").decode("latin-1")  # no token of ours, whatever it is


def _protected(token: Token | None) -> str | None:
    """Return a refused token's protected header as it came, where it is not long."""
    text = _text(token)
    header = None if text is None else text.partition(".")[0]
    return header if header is not None and len(header) <= HEADER_MAX_CHARS else None


def _whose(decision: Decision, header: object) -> dict[str, str | None]:
    """Return issuer, kid, key and algorithm: of a refused token kid and algorithm as its header states."""
    verified = decision.verified
    if verified is not None:
        secret = verified._key.jwk.kty == "oct"  # the thumbprint of a short secret tells it
        return {
            "alg": verified.alg,
            "issuer": verified.issuer,
            "key": None if secret else verified.key_thumbprint,
            "kid": bounded(verified.kid),
        }
    octets = None if header is None else b64url_decode(str(header).encode("latin-1", "replace"))
    try:
        found = orjson.loads(octets or b"{}")
    except ValueError:
        found = {}
    stated = {name: found.get(name) for name in ("alg", "kid")} if isinstance(found, dict) else {}
    return {name: bounded(value) for name, value in stated.items() if isinstance(value, str)}
