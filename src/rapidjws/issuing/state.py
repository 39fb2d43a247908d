"""The state of an issuer's keys: which key is next, active, retired, removed or tainted, since when.

It holds public keys and references to private ones, never a private byte. It is a value: a change makes a new
one. In stores it is JSON; a state of another format, or with members that this version does not know, is
refused, for a version that left them out would lose them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Literal

from rapidjws._checks import checked, is_number, is_whole
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwk import JWK

Stage = Literal["next", "active", "retired", "removed", "tainted"]
STAGES: Final = ("next", "active", "retired", "removed", "tainted")
PUBLISHED: Final = frozenset({"next", "active", "retired"})

FORMAT: Final = 1
STATE_MAX_BYTES: Final = 4 * 1024 * 1024
KEYS_MAX: Final = 1000
WHY_MAX_CHARS: Final = 500


def unreadable(place: str, expected: str, actual: str | None = None) -> RapidJWSError:
    """Return the error for a state that cannot be read."""
    return error_for("key_state_unreadable", place, expected, actual)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One key of an issuer. Times are seconds since the epoch.

    Attributes:
        kid: Its name; no other key ever had it.
        alg: The one algorithm it signs by.
        stage: ``"next"``, ``"active"``, ``"retired"``, ``"removed"`` or ``"tainted"``.
        jwk: The public key's members.
        reference: Where the private half is: a file's name, an ARN, a label; never the key itself.
        published_at_s: When it first stood in the JWK Set.
        activated_at_s: When it began to sign, or None.
        stopped_at_s: When it stopped signing, retired or tainted, or None.
        removed_at_s: When it left the JWK Set, or None.
        why: Why it was tainted, in the operator's words.
    """

    kid: str
    alg: str
    stage: Stage
    jwk: Mapping[str, Any] = field(hash=False)
    reference: str = field(repr=False)
    published_at_s: float
    activated_at_s: float | None = None
    stopped_at_s: float | None = None
    removed_at_s: float | None = None
    why: str = ""

    def __post_init__(self) -> None:
        if len(self.why) > WHY_MAX_CHARS:
            raise error_for("configuration_invalid", "why", f"at most {WHY_MAX_CHARS} characters")

    @property
    def is_published(self) -> bool:
        """Return whether it stands in the JWK Set."""
        return self.stage in PUBLISHED

    def public(self) -> JWK:
        """Return the public key.

        Raises:
            KeyRefused: It is none, or a private one.
        """
        return JWK.from_json({**self.jwk, "kid": self.kid, "alg": self.alg, "use": "sig"})


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who leads the issuers, and until when.

    Attributes:
        holder: The leader's name.
        term: How many leaders there were.
        until_s: When another may lead, in seconds since the epoch.
    """

    holder: str
    term: int
    until_s: float


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class IssuingState:
    """All keys of an issuer at one moment.

    Attributes:
        revision: Raised by one at each change; 0 where nothing was written yet.
        written_at_s: The latest clock by which it was changed, in seconds since the epoch.
        lease: Who leads, or None.
        keys: The keys, oldest first; removed ones among them, so that no kid comes twice.
    """

    revision: int = 0
    written_at_s: float = 0.0
    lease: Lease | None = None
    keys: tuple[SigningKey, ...] = ()

    @checked
    def key(self, kid: str) -> SigningKey:
        """Return the key of a kid.

        Raises:
            IssuingRefused: ``key_not_found``.
        """
        for one in self.keys:
            if one.kid == kid:
                return one
        raise error_for("key_not_found", "kid", actual=kid)

    @checked
    def in_stage(self, stage: Stage, alg: str | None = None) -> tuple[SigningKey, ...]:
        """Return the keys of a stage, of one algorithm or of all."""
        return tuple(one for one in self.keys if one.stage == stage and alg in (None, one.alg))

    def published(self) -> tuple[SigningKey, ...]:
        """Return the keys that stand in the JWK Set: next, active and retired."""
        return tuple(one for one in self.keys if one.is_published)

    @checked
    def with_key(self, changed: SigningKey) -> IssuingState:
        """Return the state with one key replaced by another of the same kid."""
        return replace(self, keys=tuple(changed if one.kid == changed.kid else one for one in self.keys))

    def to_json(self) -> bytes:
        """Return the state as stores keep it."""
        keys = [{**asdict(one), "jwk": dict(one.jwk)} for one in self.keys]
        whole = {
            "format": FORMAT,
            "revision": self.revision,
            "written_at_s": self.written_at_s,
            "lease": None if self.lease is None else asdict(self.lease),
            "keys": keys,
        }
        return json.dumps(whole, indent=1).encode()

    @classmethod
    @checked
    def from_json(cls, octets: bytes) -> IssuingState:
        """Read a state strictly.

        Raises:
            DependencyUnavailable: ``key_state_unreadable``: cut off, of another format, or with anything that
                this version does not know.
        """
        try:
            found = json.loads(octets)
        except (ValueError, RecursionError):
            raise unreadable("state", "JSON, as this package wrote it") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            shown = found.get("format") if isinstance(found, dict) else None
            raise unreadable("state.format", str(FORMAT), shown if isinstance(shown, str) else repr(shown))
        _known_only("state", found, ("format", *(one.name for one in fields(cls))))
        lease = found.get("lease")
        try:
            rows = found["keys"]
            state = cls(
                revision=found["revision"],
                written_at_s=found["written_at_s"],
                lease=None if lease is None else _read("state.lease", Lease, lease),
                keys=tuple(_read(f"state.keys[{at}]", SigningKey, one) for at, one in enumerate(rows)),
            )
        except (KeyError, TypeError):
            raise unreadable("state", "revision, written_at_s, lease and keys") from None
        except RapidJWSError as refused:
            if refused.code == "key_state_unreadable":
                raise
            raise unreadable(f"state.{refused.place}", str(refused.expected), None) from None
        _check(state)
        return state


def _known_only(place: str, found: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in found:
        if name not in known:
            raise unreadable(f"{place}.{name}", "a member that this version knows")


def _read(place: str, kind: type[Any], found: Any) -> Any:
    if not isinstance(found, dict):
        raise unreadable(place, "an object")
    _known_only(place, found, tuple(one.name for one in fields(kind)))
    try:
        return kind(**found)
    except (RapidJWSError, TypeError):
        raise unreadable(place, f"the members of a {kind.__name__}") from None


def _check(state: IssuingState) -> None:
    """Refuse a state that contradicts itself: nobody may act on half of the truth."""
    if not is_whole(state.revision) or state.revision < 0 or not is_number(state.written_at_s):
        raise unreadable("state.revision", "a whole number from 0 on")
    kids: set[str] = set()
    active: set[str] = set()
    for at, one in enumerate(state.keys):
        if one.kid in kids:
            raise unreadable(f"state.keys[{at}].kid", "a kid that stands once", one.kid)
        kids.add(one.kid)
        if one.stage == "active" and one.alg in active:
            raise unreadable(f"state.keys[{at}]", f"one active key for {one.alg}", "two")
        if one.stage == "active":
            active.add(one.alg)
        if one.is_published:
            try:
                one.public()
            except RapidJWSError as refused:
                raise unreadable(f"state.keys[{at}].jwk", "a public key", refused.code) from None
