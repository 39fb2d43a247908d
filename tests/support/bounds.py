"""What tests of a limit share: the code of a call, and the three values around a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rapidjws import RapidJWSError


def code(call: Callable[..., object], *args: Any, **options: Any) -> str:
    """Return "ok", or the code of what was raised."""
    try:
        call(*args, **options)
    except RapidJWSError as refused:
        return refused.code
    return "ok"


def around(limit: int, make: Callable[[int], str], above: str) -> None:
    """Hold that one below a limit and the limit itself pass, and one above is refused by this code."""
    assert [make(limit + step) for step in (-1, 0, 1)] == ["ok", "ok", above]


def rsa_modulus(bits: int) -> int:
    """Return an odd number of this many bits without small factors, and not of the weak generator's form."""
    found = (1 << (bits - 1)) + 1
    while any(found % prime == 0 for prime in range(3, 168, 2)):
        found += 2
    return found
