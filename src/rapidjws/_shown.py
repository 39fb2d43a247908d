"""Foreign values as one bounded line of printable ASCII, for messages. Imports nothing of this package."""

from __future__ import annotations

from typing import Final, Union

SafeValue = Union[str, int, float, bool, None, "tuple[str, ...]"]
SHOWN_MAX_CHARS: Final = 80
"""Longest piece of a foreign value that a message shows."""


def shown(value: SafeValue) -> str:
    """Return one line of printable ASCII, whatever the value holds."""
    text = ascii(value)
    return text if len(text) <= SHOWN_MAX_CHARS else f"{text[:SHOWN_MAX_CHARS]}... ({len(text)} characters)"


def shown_place(place: str) -> str:
    """Return a place without quotes, printable and bounded: a member name in it may be a stranger's."""
    return shown(place)[1:-1] if len(place) < SHOWN_MAX_CHARS - 2 else shown(place)


def bounded(value: SafeValue) -> SafeValue:
    """Return short values as they are and long ones as their shown text."""
    if value is None or isinstance(value, (int, float)):
        return value
    return value if len(ascii(value)) <= SHOWN_MAX_CHARS else shown(value)
