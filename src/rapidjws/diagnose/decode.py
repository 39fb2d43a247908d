"""A token's header and claims as they stand, times in words, size, what it looks like; nothing verified."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from typing import Any, Final

from rapidjws import _native
from rapidjws.diagnose import lenient
from rapidjws.diagnose.case import json_object
from rapidjws.diagnose.causes import CAUSES
from rapidjws.diagnose.formats import purpose
from rapidjws.diagnose.provenance import Likeness, profile, provider
from rapidjws.jose.limits import NUMERIC_DATE_MAX_S

NOT_VERIFIED: Final = "NOT VERIFIED: no key was used; anybody can write all of this."
_DATES: Final = ("exp", "nbf", "iat", "auth_time", "updated_at", "toe")
_SIGNATURES_SHOWN: Final = 8
_PLAUSIBLE_FROM_S: Final = 946_684_800
_PLAUSIBLE_TO_S: Final = 4_102_444_800
"""2000-01-01 and 2100-01-01: a number that lies between them in a finer unit was written in that unit."""
_UNITS: Final = ((86_400 * 365, "years"), (86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """An unverified token in readable form.

    Attributes:
        unverified_header: The JOSE Header's members, or None where it is no JSON object.
        unverified_claims: The payload's JSON, or None where it is none.
        times: Each date among the claims, in words: name -> text.
        looks_like: What the token looks like, in words.
        size_bytes: The size of what was handed over.
        part_bytes: The sizes of header, payload and signature, decoded; None where one cannot be decoded.
        faults: What is wrong with its shape.
        next_steps: What it is and what to do about it, where it is no plain JWS or none for access.
        other_headers: The headers of further signatures of a General JSON Serialization, the first eight.
        has_signature_part: Whether it has three parts, or is a JSON serialization, be the signature empty.
        provider: The provider that it looks like, or None.
        profile: The profile that it looks like, or None.
    """

    unverified_header: dict[str, Any] | None = field(repr=False)
    unverified_claims: Any = field(repr=False)
    times: dict[str, str]
    looks_like: str
    size_bytes: int
    part_bytes: tuple[int | None, int | None, int | None]
    faults: tuple[str, ...]
    next_steps: tuple[str, ...] = ()
    other_headers: tuple[dict[str, Any] | None, ...] = field(default=(), repr=False)
    has_signature_part: bool = True
    provider: Likeness | None = None
    profile: Likeness | None = None

    @property
    def is_jws(self) -> bool:
        """Whether it has the parts of a JWS and a header that can be read."""
        return (
            self.unverified_header is not None and self.part_bytes[0] is not None and self.has_signature_part
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values; the first says that nothing is verified. No number is NaN or infinite."""
        return {
            "verified": False,
            "note": NOT_VERIFIED,
            "looks_like": self.looks_like,
            "provider": None if self.provider is None else self.provider._asdict(),
            "profile": None if self.profile is None else self.profile._asdict(),
            "size_bytes": self.size_bytes,
            "part_bytes": list(self.part_bytes),
            "faults": list(self.faults),
            "next_steps": list(self.next_steps),
            "unverified_header": _finite(self.unverified_header),
            "unverified_other_headers": _finite(list(self.other_headers)),
            "unverified_claims": _finite(self.unverified_claims),
            "times": self.times,
        }


def decode(token: str | bytes, *, now_s: float | None = None) -> Decoded:
    """Read a token without verifying anything.

    Args:
        token: What was sent.
        now_s: Seconds since the epoch that times are counted from; by default the wall clock.

    Returns:
        What it says; never to be relied on.
    """
    moment = time.time() if now_s is None else now_s
    read = lenient.read(token)
    first, second, _ = read.decoded
    if read.names("encrypted_token"):
        first = _encrypted_header(read.text)
    head = _header(first, read)
    claims = json_object(second)
    times: dict[str, str] = {}
    if isinstance(claims, dict):
        times = {name: spelled(claims[name], moment) for name in _DATES if name in claims}
    known = (head or {}, claims if isinstance(claims, dict) else {})
    size = len(token.encode("utf-8", "replace")) if isinstance(token, str) else len(token)
    return Decoded(
        unverified_header=head,
        unverified_claims=claims,
        times=times,
        looks_like=_looks_like(read, head, claims),
        size_bytes=size,
        part_bytes=tuple(None if part is None else len(part) for part in read.decoded),  # type: ignore[arg-type]
        faults=tuple(f"{fault.text}, at {fault.place}" for fault in _shape_faults(read)),
        next_steps=_next_steps(read, head, claims),
        provider=None if head is None else provider(*known),
        profile=None if head is None else profile(*known),
        other_headers=tuple(
            _header((other := lenient.read(token, number)).decoded[0], other)
            for number in range(1, min(read.signatures, _SIGNATURES_SHOWN))
        ),
        has_signature_part=not any(
            fault.place == "token" for fault in read.faults if fault.id == "signature_missing"
        ),
    )


def _shape_faults(read: lenient.Lenient) -> list[lenient.Fault]:
    """Return the faults of shape; a JSON serialization is none."""
    return [fault for fault in read.faults if fault.id != "json_serialization"]


def _header(protected: bytes | None, read: lenient.Lenient) -> dict[str, Any] | None:
    """Return a header's members, protected and unprotected; None where the protected part is no object."""
    header = json_object(protected) if protected or not read.unprotected else {}
    return {**read.unprotected, **header} if isinstance(header, dict) else None


def _encrypted_header(text: str) -> bytes | None:
    """Return the protected header of a JWE, which is not encrypted (RFC 7516 s.7.1)."""
    first = text.rpartition(" ")[2].strip("\"'").partition(".")[0]
    return _native.b64url_decode(first.encode("utf-8", "replace"))


def _next_steps(read: lenient.Lenient, header: dict[str, Any] | None, claims: Any) -> tuple[str, ...]:
    """Return words for each thing that stands between this text and a verification, with what to do."""
    names = [fault.id for fault in _shape_faults(read)]
    found = None if header is None else purpose(header, claims if isinstance(claims, dict) else None)
    if found is not None:
        names.append(found[0])
    alg = (header or {}).get("alg")
    if isinstance(alg, str) and alg.lower() == "none":
        names.append("alg_none")
    if read.parts is not None and not read.parts[1] and header is not None:
        names.append("detached_without_body")
    rows = [CAUSES[name] for name in dict.fromkeys(names) if name in CAUSES]
    return tuple(f"{row.title} {row.fix}" for row in rows)


def _finite(value: Any) -> Any:
    """Return JSON values with words for NaN and infinity, which JSON does not have (RFC 8259 s.6)."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def spelled(value: Any, now_s: float) -> str:
    """Return a NumericDate in words: the moment in UTC, and how far from now (RFC 7519 s.2)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"no date: {json.dumps(value)[:40]}"
    if isinstance(value, float) and not math.isfinite(value):
        return "no date: not a finite number"
    if value < 0:
        return "no date: before 1970"
    if value > NUMERIC_DATE_MAX_S:
        return f"no date: out of range{_finer(value)}"
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))
    distance = value - now_s
    for size, unit in _UNITS:
        if abs(distance) >= 2 * size or size == 1:
            count = f"{abs(distance) / size:.0f} {unit}"
            return f"{text} ({f'in {count}' if distance > 0 else f'{count} ago'})"
    return text


def _finer(value: float) -> str:
    """Return words for the moment that a number would be in a finer unit than seconds, where it is one."""
    for unit, divisor in (("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9)):
        seconds = value // divisor if isinstance(value, int) else value / divisor
        if _PLAUSIBLE_FROM_S <= seconds <= _PLAUSIBLE_TO_S:
            shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
            return f"; in {unit} it would be {shown}"
    return ""


_INSIDE: Final = {"sd_jwt": "inside an SD-JWT", "encoded_token": "inside base64"}


def _looks_like(read: lenient.Lenient, header: dict[str, Any] | None, claims: Any) -> str:
    """Return words for what a token looks like."""
    named = [
        fault.id for fault in read.faults if read.parts is None or fault.id in ("sd_jwt", "encoded_token")
    ]
    if read.parts is None:
        known = [CAUSES[name].title for name in named if name in CAUSES]
        return f"no JWS that can be read: {' '.join(known) or 'too large, or of no known format'}"
    form = "JWS JSON Serialization" if read.is_json else "JWS Compact Serialization"
    if read.signatures > 1:
        form += f", {read.signatures} signatures"
    words = [_INSIDE[name] for name in named]
    if header is None:
        return "; ".join([form, "the header is no JSON object", *words])
    found = purpose(header, claims if isinstance(claims, dict) else None)
    if found is not None:
        words.append(found[0].replace("_", " "))
    if not read.parts[1]:
        words.append("detached payload")
    elif isinstance(claims, dict) and {"iss", "exp", "sub", "aud"} & claims.keys():
        words.append("ID token" if {"nonce", "at_hash"} & claims.keys() else "JWT")
    elif claims is None:
        words.append(
            "payload is not JSON, or past what is shown" if read.decoded[1] else "payload cannot be decoded"
        )
    return "; ".join([form, *words])
