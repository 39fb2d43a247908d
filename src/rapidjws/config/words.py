"""The form in which settings are described."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """What a setting means.

    Attributes:
        meaning: What it does, a phrase.
        allowed: Which values of its type it takes; "" for all.
        default: What holds without it, where no constructor names a plain value.
    """

    meaning: str
    allowed: str = ""
    default: str = "none"
