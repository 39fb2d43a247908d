"""A key source as it is at one moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """A source as it is now.

    Attributes:
        name: The URL.
        kids: The keys in use.
        age_s: Seconds since the set was fetched, or None.
        fresh_for_s: Seconds until it is due, negative when overdue, or None.
        stale_in_s: Seconds until it is no longer used, or None.
        fetches: Fetches started.
        failures: Failed ones in a row.
        last_failure: Why the last one failed, with status and redirect: ``"status 302, to other.example"``.
        code: Why there are no keys, or None.
        next_refresh_s: Seconds until the next fetch is planned, 0 while one is under way, or None before the
            first.
    """

    name: str
    kids: tuple[str | None, ...]
    age_s: float | None
    fresh_for_s: float | None
    stale_in_s: float | None
    fetches: int
    failures: int
    last_failure: str | None
    code: str | None
    next_refresh_s: float | None = None
