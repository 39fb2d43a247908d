"""What the events of CAEP and RISC, and a logout, revoke: subjects, sessions, tokens issued before a moment.

Only the claims of a verified token come here. A subject in a form that is not known revokes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rapidjws.errors import RapidJWSError
from rapidjws.jwt.profiles import LOGOUT_EVENT
from rapidjws.verify.revocations import Revocation

_CAEP: Final = "https://schemas.openid.net/secevent/caep/event-type/"
_RISC: Final = "https://schemas.openid.net/secevent/risc/event-type/"

SESSION_EVENTS: Final = frozenset({f"{_CAEP}session-revoked", f"{_RISC}sessions-revoked"})
"""End a session, where one is named, or all of a subject that began before."""

CREDENTIAL_EVENTS: Final = frozenset(
    {
        f"{_CAEP}credential-change",
        f"{_RISC}account-credential-change-required",
        f"{_RISC}credential-compromise",
    }
)
"""End all sessions of a subject that began before."""

DISABLED_EVENTS: Final = frozenset({f"{_RISC}account-disabled", f"{_RISC}account-purged"})
"""Refuse a subject until ``ENABLED_EVENT``."""

ENABLED_EVENT: Final = f"{_RISC}account-enabled"
"""Lifts what an event of ``DISABLED_EVENTS`` revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalEffects:
    """What a verified token asks for.

    Attributes:
        revoked: What is refused from now on.
        lifted: What is no longer refused.
        unknown: How many events, or subjects of events, mean nothing here.
        moment_s: When it happened, seconds since the epoch; of several events, the first.
    """

    revoked: tuple[Revocation, ...] = ()
    lifted: tuple[Revocation, ...] = ()
    unknown: int = 0
    moment_s: int = 0


def effects_of(claims: Mapping[str, Any], issuers: frozenset[str], now_s: int) -> SignalEffects:
    """Return what the events of a verified token ask for.

    Args:
        claims: Its claims.
        issuers: Whose subjects its issuer may speak of.
        now_s: Seconds since the epoch: no moment of an event lies after it.
    """
    events = claims.get("events")
    revoked: list[Revocation] = []
    lifted: list[Revocation] = []
    unknown, moment_s = 0, now_s
    for name, event in events.items() if isinstance(events, dict) else ():
        event = event if isinstance(event, dict) else {}
        try:
            found, is_lifting = _effects(name, event, claims, issuers, now_s)
        except RapidJWSError:  # a name too long to be held
            found, is_lifting = [], False
        unknown += not found
        moment_s = min(moment_s, _moment(event, claims, now_s))
        (lifted if is_lifting else revoked).extend(found)
    kept = tuple(one for one in lifted if one not in revoked)  # one token says both: it is refused
    return SignalEffects(revoked=tuple(revoked), lifted=kept, unknown=unknown, moment_s=moment_s)


def _effects(
    name: str, event: Mapping[str, Any], claims: Mapping[str, Any], issuers: frozenset[str], now_s: int
) -> tuple[list[Revocation], bool]:
    """Return the revocations of one event, and whether it lifts them."""
    if name == LOGOUT_EVENT:
        return _logout(claims, issuers, now_s), False
    subject = claims.get("sub_id", event.get("subject"))  # RFC 9493 s.4.1; before that, in the event
    people, sessions = _named(subject, claims, issuers)
    if name in DISABLED_EVENTS or name == ENABLED_EVENT:
        return [Revocation(issuer=iss, sub=sub) for iss, sub in people], name == ENABLED_EVENT
    if name in SESSION_EVENTS and sessions:
        return [Revocation(issuer=iss, sid=sid) for iss, sid in sessions], False
    if name in SESSION_EVENTS or name in CREDENTIAL_EVENTS:
        before = _moment(event, claims, now_s) + 1  # issued in the same second: before it
        return [Revocation(issuer=iss, sub=sub, issued_before=before) for iss, sub in people], False
    return [], False


def _logout(claims: Mapping[str, Any], issuers: frozenset[str], now_s: int) -> list[Revocation]:
    """Return what a logout token ends: the session that it names, or all of its subject until then."""
    sid, sub = claims.get("sid"), claims.get("sub")
    if isinstance(sid, str) and sid:
        return [Revocation(issuer=iss, sid=sid) for iss in sorted(issuers)]
    if not isinstance(sub, str) or not sub:
        return []
    before = _moment({}, claims, now_s) + 1
    return [Revocation(issuer=iss, sub=sub, issued_before=before) for iss in sorted(issuers)]


def _moment(event: Mapping[str, Any], claims: Mapping[str, Any], now_s: int) -> int:
    """Return when an event happened, in whole seconds: as it states, never later than now."""
    for value in (event.get("event_timestamp"), claims.get("toe"), claims.get("iat")):
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**53:
            return min(int(value), now_s)
    return now_s


Named = list[tuple[str, str]]


def _named(subject: Any, claims: Mapping[str, Any], issuers: frozenset[str]) -> tuple[Named, Named]:
    """Return the subjects and the sessions that a subject identifier names (RFC 9493), with their issuers."""
    if subject is None:  # RFC 8417 s.2.2: the token's own subject
        sub, sid = claims.get("sub"), claims.get("sid")
        return _of_all(sub, issuers), _of_all(sid, issuers)
    if not isinstance(subject, dict):
        return [], []
    form = subject.get("format", subject.get("subject_type", "complex"))
    if form in ("iss_sub", "iss-sub"):
        return _with_iss(subject, issuers), []
    if form == "opaque":
        return _of_all(subject.get("id"), issuers), []
    if form != "complex":
        return [], []
    person, session = _member(subject, "user"), _member(subject, "session")
    people: Named = []
    if _form(person) in ("iss_sub", "iss-sub"):
        people = _with_iss(person, issuers)
    elif _form(person) == "opaque":
        people = _of_all(person.get("id"), issuers)
    return people, _of_all(session.get("id"), issuers) if _form(session) == "opaque" else []


def _member(subject: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = subject.get(name)
    return found if isinstance(found, dict) else {}


def _form(subject: Mapping[str, Any]) -> Any:
    return subject.get("format", subject.get("subject_type"))


def _with_iss(subject: Mapping[str, Any], issuers: frozenset[str]) -> Named:
    """Return the subject of one issuer, where the sender may speak of that one."""
    iss, sub = subject.get("iss"), subject.get("sub")
    if not isinstance(iss, str) or iss not in issuers or not isinstance(sub, str) or not sub:
        return []
    return [(iss, sub)]


def _of_all(name: Any, issuers: frozenset[str]) -> Named:
    """Return a name with each issuer that the sender may speak of."""
    return [(iss, name) for iss in sorted(issuers)] if isinstance(name, str) and name else []
