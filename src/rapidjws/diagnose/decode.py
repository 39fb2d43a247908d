"""A token's header and claims as they stand, times in words, size, what it looks like; nothing verified."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Final

from rapidjws.diagnose import lenient
from rapidjws.diagnose.case import json_object
from rapidjws.diagnose.formats import purpose
from rapidjws.jose.limits import NUMERIC_DATE_MAX_S

NOT_VERIFIED: Final = "NOT VERIFIED: no key was used; anybody can write all of this."
_DATES: Final = ("exp", "nbf", "iat", "auth_time", "updated_at", "toe")
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
    """

    unverified_header: dict[str, Any] | None
    unverified_claims: Any
    times: dict[str, str]
    looks_like: str
    size_bytes: int
    part_bytes: tuple[int | None, int | None, int | None]
    faults: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values; the first says that nothing is verified."""
        return {
            "verified": False,
            "note": NOT_VERIFIED,
            "looks_like": self.looks_like,
            "size_bytes": self.size_bytes,
            "part_bytes": list(self.part_bytes),
            "faults": list(self.faults),
            "unverified_header": self.unverified_header,
            "unverified_claims": self.unverified_claims,
            "times": self.times,
        }


def decode(token: str | bytes, *, now_s: float | None = None) -> Decoded:
    """Read a token without verifying anything.

    Args:
        token: What was sent.
        now_s: Seconds since the epoch that times are told from; by default the wall clock.

    Returns:
        What it says; never to be relied on.
    """
    moment = time.time() if now_s is None else now_s
    read = lenient.read(token)
    first, second, third = read.decoded
    header = json_object(first)
    head = {**read.unprotected, **header} if isinstance(header, dict) else None
    claims = json_object(second)
    times: dict[str, str] = {}
    if isinstance(claims, dict):
        times = {name: spelled(claims[name], moment) for name in _DATES if name in claims}
    size = len(token.encode("utf-8", "replace")) if isinstance(token, str) else len(token)
    return Decoded(
        unverified_header=head,
        unverified_claims=claims,
        times=times,
        looks_like=_looks_like(read, head, claims),
        size_bytes=size,
        part_bytes=tuple(None if part is None else len(part) for part in (first, second, third)),  # type: ignore[arg-type]
        faults=tuple(f"{fault.text}, at {fault.place}" for fault in read.faults),
    )


def spelled(value: Any, now_s: float) -> str:
    """Return a NumericDate in words: the moment in UTC, and how far from now (RFC 7519 s.2)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"no date: {json.dumps(value)[:40]}"
    if not 0 <= value <= NUMERIC_DATE_MAX_S:
        return "no date: out of range (milliseconds?)"
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))
    distance = value - now_s
    for size, unit in _UNITS:
        if abs(distance) >= 2 * size or size == 1:
            count = f"{abs(distance) / size:.0f} {unit}"
            return f"{text} ({f'in {count}' if distance > 0 else f'{count} ago'})"
    return text


def _looks_like(read: lenient.Lenient, header: dict[str, Any] | None, claims: Any) -> str:
    """Return words for what a token looks like."""
    named = [
        fault.id for fault in read.faults if read.parts is None or fault.id in ("sd_jwt", "encoded_token")
    ]
    if read.parts is None:
        return f"no JWS: {', '.join(named).replace('_', ' ') or 'unreadable'}"
    form = "JWS JSON Serialization" if read.is_json else "JWS Compact Serialization"
    words = [f"inside: {name.replace('_', ' ')}" for name in named]
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
        words.append("payload is not JSON")
    return "; ".join([form, *words])
