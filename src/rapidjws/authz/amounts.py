"""Limits on amounts in signed content: exact decimals, never a float.

What is no plain decimal number, has more than ``DIGITS_MAX`` characters, stands beside another member of its
name, in whatever case, or is in another unit than the rule's is outside of every limit.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws._checks import checked
from rapidjws.authz.claim_conditions import MISSING, checked_path, member
from rapidjws.authz.facts import Unmet
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from rapidjws.authz.facts import Check, Facts

DIGITS_MAX: Final = 40
CONTENT_MAX_BYTES: Final = 1 << 20
_DEPTH_MAX: Final = 32
_MEMBERS_MAX: Final = 1024
_PLAIN: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\Z", re.ASCII)


def _exact(text: str) -> Decimal | None:
    """Return a number as it is written; None for what is too long to be an amount, or has an exponent."""
    return Decimal(text) if len(text) <= DIGITS_MAX and _PLAIN.match(text) else None


def _refused_constant(text: str) -> Any:
    raise ValueError(text)


def amount_of(value: Any) -> Decimal | None:
    """Return an amount, a number or text that holds one (``"12.50"``); None for everything else."""
    if isinstance(value, Decimal):
        return value
    return _exact(value) if isinstance(value, str) else None


def exact_content(content: bytes) -> Any:
    """Return a JSON text with exact numbers, or ``MISSING`` where it is not one that all readers agree on."""
    code, _, _ = _native.json_check(
        content,
        max_bytes=CONTENT_MAX_BYTES,
        max_depth=_DEPTH_MAX,
        max_members=_MEMBERS_MAX,
        any_root=True,
    )
    if code != "ok":
        return MISSING
    try:
        return json.loads(content, parse_float=_exact, parse_int=_exact, parse_constant=_refused_constant)
    except (ValueError, RecursionError):
        return MISSING


def lone_member(content: Any, path: tuple[str, ...]) -> Any:
    """Return a member as ``member`` does, or ``MISSING`` where a reader that ignores case may take another.

    Args:
        content: The signed content.
        path: The names that lead to it.
    """
    for name in path:
        if not isinstance(content, dict):
            return MISSING
        folded = name.casefold()
        if any(other != name and other.casefold() == folded for other in content):
            return MISSING  # Go's encoding/json, and others, read "Amount" as "amount"
        content = content.get(name, MISSING)
    return content


@checked(under="limit")
class Limit:
    """The largest and smallest amount that signed content may hold.

    Args:
        at: A JSON Pointer into the signed content: the body, or the token's payload.
        maximum: The largest amount, as text, ``"1000.00"``; None for none.
        maximum_claim: A claim of the token that holds it, or a JSON Pointer; the smaller one counts.
        minimum: The smallest amount; below zero is nothing but where this is.
        unit_at: A JSON Pointer to the amount's unit.
        units: The units, one of which it must be.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_at", "_claim", "_maximum", "_minimum", "_unit_at", "_units", "at")

    def __init__(
        self,
        *,
        at: str,
        maximum: str | None = None,
        maximum_claim: str | None = None,
        minimum: str = "0",
        unit_at: str | None = None,
        units: tuple[str, ...] | list[str] = (),
    ) -> None:
        self.at = at
        self._at = checked_path(at, "limit.at")
        if maximum is None and maximum_claim is None:
            raise error_for("configuration_invalid", "limit", "maximum or maximum_claim")
        self._maximum = None if maximum is None else _checked(maximum, "limit.maximum")
        self._claim = None if maximum_claim is None else checked_path(maximum_claim, "limit.maximum_claim")
        self._minimum = _checked(minimum, "limit.minimum")
        if self._maximum is not None and self._maximum < self._minimum:
            raise error_for("configuration_invalid", "limit.maximum", "at least minimum", maximum)
        self._unit_at = None if unit_at is None else checked_path(unit_at, "limit.unit_at")
        if (unit_at is None) != (not units) or not all(isinstance(one, str) and one for one in units):
            raise error_for("configuration_invalid", "limit.units", "units beside unit_at")
        self._units = frozenset(units)

    def check(self) -> Check:
        """Return the check of signed content."""
        unmet = Unmet("limit_exceeded", f"content{self.at}" if self.at[0] == "/" else f"content.{self.at}")

        def check(facts: Facts) -> Unmet | None:
            content = facts.verified.payload if facts.content is None else facts.content
            return None if self._holds(exact_content(content), facts) else unmet

        return check

    def _holds(self, content: Any, facts: Facts) -> bool:
        amount = amount_of(lone_member(content, self._at))
        if amount is None or amount < self._minimum:
            return False
        if self._maximum is not None and amount > self._maximum:
            return False
        if self._unit_at is not None:
            unit = lone_member(content, self._unit_at)
            if not isinstance(unit, str) or unit not in self._units:
                return False
        if self._claim is None:
            return True
        if facts.verified.issuer is None:  # a Verifier's payload holds no claims
            return False
        most = amount_of(member(exact_content(facts.verified.payload), self._claim))
        return most is not None and amount <= most


def _checked(text: str, place: str) -> Decimal:
    found = _exact(text)
    if found is None:
        raise error_for("configuration_invalid", place, 'a decimal number as text, "1000.00"', text)
    return found
