"""One setting of the file for ``rapidjws issue``."""

from __future__ import annotations

from typing import Final, NamedTuple

TABLE: Final = "table"


class Setting(NamedTuple):
    """One setting.

    Attributes:
        kind: Its type.
        meaning: What it does, a phrase.
        default: What holds without it, in words.
        allowed: Which values of its type it takes.
        example: A value, as TOML.
    """

    kind: str
    meaning: str
    default: str
    allowed: str
    example: str
