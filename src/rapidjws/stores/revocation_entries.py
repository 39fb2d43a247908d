"""The entries of a stream of revocations in Redis: what each says, and their order."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NamedTuple

from rapidjws.stores.revocation_file import revocation_from
from rapidjws.verify.revocations import Revocation

ENTRY_MAX_BYTES: Final = 16 * 1024


class Word(NamedTuple):
    """The last entry of a stream about a revocation: which one, and whether the revocation holds."""

    at: tuple[int, int]
    holds: bool


class RevocationChange(NamedTuple):
    """What an entry holds: a revocation, whether it is in force from there on, and when that was asked."""

    revocation: Revocation
    holds: bool
    at_s: float


def entry_number(entry: bytes) -> tuple[int, int]:
    """Return an entry's ID as numbers, which compare in the stream's order."""
    moment, _, count = entry.partition(b"-")
    return int(moment), int(count or 0)


def change_of(fields: Any) -> RevocationChange | None:
    """Return the change in an entry's fields, or None for the stream's beginning; raises what is wrong."""
    text = fields[b"change"]
    if len(text) > ENTRY_MAX_BYTES:
        raise ValueError("too long")
    found = json.loads(text)
    verb = found.pop("verb")
    if verb == "begin":
        return None
    at_s = float(found.pop("at_s"))
    revocation = revocation_from(found)
    if revocation is None or verb not in ("revoke", "unrevoke") or not math.isfinite(at_s):
        raise ValueError("no change")
    return RevocationChange(revocation, verb == "revoke", at_s)
