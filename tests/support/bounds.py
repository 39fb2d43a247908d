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
