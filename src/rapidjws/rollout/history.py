"""The history of a rollout: who changed what when, a line each, in parts that are put aside."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files

if TYPE_CHECKING:
    from pathlib import Path

HISTORY_PART_BYTES: Final = 4 << 20
"""Size at which a history is put aside as "history.jsonl.1" and a new one begun."""

HISTORY_PARTS: Final = 16
"""How many of those are kept; of each, and of the present one, the last 64 MiB are read."""

HISTORY_READ_BYTES: Final = 64 << 20

_NAME: Final = "history.jsonl"
DAMAGED: Final = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
"""What reading a damaged line may raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Who changed what when, and why.

    Attributes:
        at_s: When, seconds since the epoch.
        by: Who.
        action: ``"promote"``, ``"rollback"``, ``"freeze"``, ``"thaw"`` or ``"automatic_rollback"``.
        partner: The partner, ``""`` for everyone.
        route: The route, ``""`` for everywhere.
        before: What held before, in words.
        after: What holds now, in words.
        why: The reason given.
        forced: Whether a guard rail was overridden.
        revision: The plan's revision after it.
    """

    at_s: int
    by: str
    action: str
    partner: str = ""
    route: str = ""
    before: str = ""
    after: str = ""
    why: str = ""
    forced: bool = False
    revision: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the members as they are kept."""
        return asdict(self)


class History:
    """The history in a folder; its owner keeps other writers out.

    Args:
        folder: The folder, which is there.
    """

    __slots__ = ("_path",)

    def __init__(self, folder: Path) -> None:
        self._path = folder

    def add(self, entry: Change) -> None:
        """Write an entry, on the disk before it returns; raises OSError."""
        self._begin_part()
        _files.append_line(self._part(0), json.dumps(entry.as_dict()).encode())

    def entries(self, parts: int = 1) -> list[Change]:
        """Return the entries of the history, the oldest first.

        Args:
            parts: How many of the parts put aside are read, the latest first; the work grows with no more.

        Raises:
            OSError: A part is there and cannot be read.
        """
        read: list[list[Change]] = []
        for number in range(parts + 1):  # the latest first: what is put aside meanwhile is read again
            entries: list[Change] = []
            with contextlib.suppress(FileNotFoundError):
                octets = _files.read_end(self._part(number), HISTORY_READ_BYTES)
                for line in octets.decode("utf-8", "replace").splitlines():
                    with contextlib.suppress(*DAMAGED):
                        entries.append(Change(**json.loads(line)))
            read.append(entries)
        return list(dict.fromkeys(entry for entries in reversed(read) for entry in entries))

    def _part(self, number: int) -> Path:
        """Return the file of a part of the history: the present one, 0, or one put aside, 1 the latest."""
        return self._path / (f"{_NAME}.{number}" if number else _NAME)

    def _begin_part(self) -> None:
        """Put a long history aside; the oldest of too many parts goes."""
        try:
            size = os.stat(self._part(0)).st_size
        except FileNotFoundError:
            return
        if size < HISTORY_PART_BYTES:
            return
        last = 1
        while last < HISTORY_PARTS and self._part(last).exists():  # up to a gap, which a crash may leave
            last += 1
        for number in range(last, 0, -1):
            _files.move(self._part(number - 1), self._part(number), sync=number == 1)
