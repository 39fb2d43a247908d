"""One case: the token as read, its surroundings, the engine's verdict, and the notes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.errors import CODES, RapidJWSError
from rapidjws.jose import json_text
from rapidjws.jose.limits import JSON_MAX_DEPTH

if TYPE_CHECKING:
    from rapidjws.diagnose.lenient import Lenient
    from rapidjws.diagnose.notes import Notes
    from rapidjws.diagnose.subject import KnownKey, Subject
    from rapidjws.diagnose.values import Section

_STAGES: Final[dict[str, Section]] = {
    "unsupported": "header",
    "not_allowed": "header",
    "unknown_key": "key",
    "signature": "signature",
    "claims": "claims",
    "unavailable": "key",
}
_SHAPE: Final = frozenset({"malformed_token", "malformed_base64url"})
_PARSE_MAX_BYTES: Final = 128 * 1024


@dataclass(slots=True, kw_only=True)
class Case:
    """What the sections share.

    Attributes:
        subject: The surroundings.
        notes: The notes.
        read: The token, read leniently.
        verdict: The engine's refusal, or None.
        now: Seconds since the epoch.
        is_clock: Whether ``now`` was read from this machine's clock, not given.
        body: What should be the payload, or None.
        header: The header's members, or None where it is no JSON object.
        claims: The payload's members, or None.
        issuer: The number of the issuer whose rules apply, or None.
        signed: Whether the signature is good under the key the header chooses.
        targets: The keys that the header points at.
    """

    subject: Subject
    notes: Notes
    read: Lenient
    verdict: RapidJWSError | None
    now: float
    is_clock: bool = False
    body: bytes | None = field(default=None, repr=False)
    header: dict[str, Any] | None = field(default=None, repr=False)
    claims: dict[str, Any] | None = field(default=None, repr=False)
    issuer: int | None = None
    signed: bool = False
    targets: list[KnownKey] = field(default_factory=list)

    @property
    def is_detached(self) -> bool:
        """Return whether three parts were read and the payload's is empty (RFC 7515 appendix F)."""
        return self.read.parts is not None and not self.read.parts[1]

    @property
    def payload(self) -> bytes | None:
        """Return the JWS Payload: the body where it is detached and one was given."""
        return self.body if self.is_detached and self.body is not None else self.read.decoded[1]

    @property
    def signing_input(self) -> bytes:
        """Return the JWS Signing Input, unencoded where the header says so (RFC 7515 s.5.2, RFC 7797 s.3)."""
        first, second, _ = self.read.parts or ("", "", "")
        text = second.encode("utf-8", "replace")
        if self.is_detached and self.body is not None:
            text = self.body if self.read.is_unencoded else _native.b64url_encode(self.body)
        return first.encode() + b"." + text

    def owns(self, known: KnownKey) -> bool:
        """Say whether a key belongs to the issuer whose rules apply; any key where that is not known."""
        if self.issuer is None or known.issuer is None:
            return True
        return known.issuer == self.subject.rules[self.issuer].iss

    @property
    def code(self) -> str | None:
        """Return the engine's code."""
        return None if self.verdict is None else self.verdict.code

    @property
    def stage(self) -> Section | None:
        """Return the section in which the engine refused."""
        return None if self.verdict is None else stage_of(self.verdict)

    def member(self, name: str) -> str | None:
        """Return a header member that is text."""
        value = (self.header or {}).get(name)
        return value if isinstance(value, str) else None


def stage_of(verdict: RapidJWSError) -> Section:
    """Return the section that an error belongs to."""
    place = verdict.place or ""
    if verdict.code in _SHAPE:
        return "structure"
    if place.startswith("header") and CODES[verdict.code].reason in ("malformed", "too_large"):
        return "header"
    if place.startswith(("claims", "payload")) and CODES[verdict.code].reason in ("malformed", "too_large"):
        return "claims"
    return _STAGES.get(CODES[verdict.code].reason, "structure")


def json_object(data: bytes | None) -> Any:
    """Return JSON as far as any parser reads it, or None; equal names keep the last."""
    if data is None or len(data) > _PARSE_MAX_BYTES:
        return None
    try:
        return json_text.loads(
            data, max_bytes=_PARSE_MAX_BYTES, max_depth=JSON_MAX_DEPTH, max_members=4096, place="json"
        )
    except RapidJWSError as refused:
        if refused.code == "too_deep":
            return None
    if _is_deep(data):
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _is_deep(data: bytes) -> bool:
    """Say whether brackets nest past the limit, those inside strings counted as well."""
    depth = 0
    for byte in data:
        if byte in b"[{":
            depth += 1
            if depth > JSON_MAX_DEPTH:
                return True
        elif byte in b"]}":
            depth -= 1
    return False
