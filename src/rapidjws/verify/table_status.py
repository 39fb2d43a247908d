"""The precomputed tables of one engine as they can be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rapidjws.verify.key_table import PreparedKey


class Owner(Protocol):
    """Who holds the snapshot that the tables go into."""

    def _slot_numbers(self) -> Mapping[PreparedKey, int]:
        """Return the slot number of each key that is in use now."""

    def _use_counts(self, keys: Iterable[PreparedKey]) -> dict[PreparedKey, int]:
        """Return how often keys accepted, counted for all over the same time."""

    def _halve_use_counts(self) -> None:
        """Halve all use counts."""

    def _publish_tables(self) -> None:
        """Build and swap in a snapshot with the tables as they are now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """The precomputed tables of one engine.

    Attributes:
        tables: Keys that have one.
        used_bytes: Memory that they take; what two keys share counts once.
        budget_bytes: Memory that they may take.
        wanted_bytes: The budget that would do for the largest table of all keys whose use calls for one.
        smaller: Keys whose table is not the largest, for want of memory.
        built: Tables built since the engine was made.
        evicted: Tables that made room for those of keys in more use: dropped, or made smaller.
        build_cpu_s: CPU time spent on them in the background, in seconds.
    """

    tables: int
    used_bytes: int
    budget_bytes: int
    wanted_bytes: int
    smaller: int
    built: int
    evicted: int
    build_cpu_s: float
