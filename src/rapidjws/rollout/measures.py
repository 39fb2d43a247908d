"""Small bounded measures that workers can add up: names with counts, clock differences, failing key sources.

What this never does: keep a foreign text as it came. Names are printable ASCII, shortened, and few.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any, Final

NAMES_KEPT: Final = 16
"""Names that a table of foreign names remembers."""

AHEAD_S: Final = 3600
"""How far a worker's clock may be ahead of another's, in seconds."""

NAME_MAX_CHARS: Final = 64
"""Longest foreign name that is kept, in characters."""

LIFETIME_EDGES_S: Final = (300, 900, 3600, 14_400, 86_400, 604_800)
"""Lifetimes of tokens, in seconds, between which they are counted; an edge belongs to the shorter span."""

LIFETIMES: Final = ("up to 5 min", "up to 15 min", "up to 1 h", "up to 4 h", "up to 1 d", "up to 7 d",
                    "over 7 d", "no end")  # fmt: skip
"""The spans in words: one an edge, beyond the last one, and for tokens without exp or iat."""

SKEW_EDGES_S: Final = (10, 60, 300, 600, 1800, 3600)
"""Clock differences, in seconds, between which tokens are counted, to both sides."""

SKEW_BUCKETS: Final = 2 * len(SKEW_EDGES_S) + 1

NameCounts = dict[str, list[int]]
"""Name -> [count, first seen, last seen], seconds since the epoch."""


def safe_name(text: object) -> str:
    """Return a foreign name as printable ASCII, shortened."""
    shown = ascii(text if isinstance(text, str) else str(text))[1:-1]
    return shown if len(shown) <= NAME_MAX_CHARS else shown[: NAME_MAX_CHARS - 3] + "..."


def count_name(table: NameCounts, name: str, now_s: int, most: int | None = None, times: int = 1) -> None:
    """Count a name; in a full table it takes the place of the rarest one.

    Args:
        table: What was counted before.
        name: The name.
        now_s: Seconds since the epoch.
        most: Names that the table may hold, or None for one whose names are ours.
        times: How often it was seen.
    """
    seen = table.get(name)
    if seen is not None:
        seen[0] += times
        if now_s > seen[2]:
            seen[2] = now_s
        elif seen[2] > now_s + AHEAD_S:  # the clock was ahead, and was set back
            seen[1], seen[2] = min(seen[1], now_s), now_s
        return
    if most is not None and len(table) >= most:
        del table[min(table, key=lambda one: (table[one][0], table[one][2]))]
    table[name] = [times, now_s, now_s]


def add_names(
    mine: NameCounts, theirs: NameCounts, most: int | None = None, now_s: int | None = None
) -> None:
    """Add another worker's table; the most frequent stay, and no time far ahead of now is the last."""
    for name, (count, first_s, last_s) in theirs.items():
        seen = mine.setdefault(name, [0, first_s, last_s])
        low_s, high_s = sorted((seen[2], last_s))
        is_ahead = now_s is not None and high_s > now_s + AHEAD_S
        mine[name] = [seen[0] + count, min(seen[1], first_s), low_s if is_ahead else high_s]
    if most is not None and len(mine) > most:
        for name in sorted(mine, key=lambda one: (-mine[one][0], -mine[one][2]))[most:]:
            del mine[name]


def names_of(members: dict[str, Any]) -> NameCounts:
    """Return a table out of its members; raises what is wrong with them."""
    return {str(name): [int(seen[0]), int(seen[1]), int(seen[2])] for name, seen in members.items()}


def skew_bucket(skew_s: float) -> int:
    """Return where a clock difference is counted: the middle for none, an edge belongs to the inner side."""
    middle = len(SKEW_EDGES_S)
    return (
        middle + bisect_left(SKEW_EDGES_S, skew_s)
        if skew_s > 0
        else middle - bisect_left(SKEW_EDGES_S, -skew_s)
    )


def lifetime_of(exp: Any, iat: Any) -> str:
    """Return the span that a token's lifetime lies in, in words."""
    if (exp.__class__ is int or exp.__class__ is float) and (iat.__class__ is int or iat.__class__ is float):
        return LIFETIMES[bisect_left(LIFETIME_EDGES_S, exp - iat)]
    return LIFETIMES[-1]


def skew_names() -> tuple[str, ...]:
    """Return the buckets in words, the slowest clock first."""
    spans = [f"{low} to {high} s" for low, high in itertools.pairwise(SKEW_EDGES_S)]
    side = [*spans, f"over {SKEW_EDGES_S[-1]} s"]
    behind = [f"behind by {span}" for span in reversed(side)]
    return (*behind, f"within {SKEW_EDGES_S[0]} s", *(f"ahead by {span}" for span in side))


def _not_ahead(when_s: int, now_s: int) -> int:
    """Return a time, or 0 for one far ahead of now."""
    return when_s if when_s <= now_s + AHEAD_S else 0


@dataclass(slots=True)
class SourceRecord:
    """How the fetches of one JWK Set go; times are seconds since the epoch, 0 for never.

    Attributes:
        ok_s: When one succeeded last.
        since_s: Since when all have failed.
        last_s: When one failed last.
        failures: How many have failed since then.
        words: Why, by count.
    """

    ok_s: int = 0
    since_s: int = 0
    last_s: int = 0
    failures: int = 0
    words: dict[str, int] = field(default_factory=dict)

    def succeeded(self, now_s: int) -> None:
        """Note a success: what failed before is over."""
        self.ok_s, self.since_s, self.last_s, self.failures, self.words = now_s, 0, 0, 0, {}

    def failed(self, now_s: int, word: str) -> None:
        """Note a failure."""
        self.since_s = min(self.since_s or now_s, now_s)  # a clock may have run back
        self.last_s = max(_not_ahead(self.last_s, now_s), now_s)
        self.failures += 1
        if word in self.words or len(self.words) < NAMES_KEPT:
            self.words[word] = self.words.get(word, 0) + 1

    def drop_ahead(self, now_s: int | None) -> None:
        """Take no time far ahead of now for one that was: of such a failure its run's begin is known."""
        if now_s is None:
            return
        self.ok_s, self.since_s = _not_ahead(self.ok_s, now_s), _not_ahead(self.since_s, now_s)
        self.last_s = (_not_ahead(self.last_s, now_s) or self.since_s) if self.since_s else 0

    def add(self, other: SourceRecord, now_s: int | None = None) -> None:
        """Add another worker's record: one worker's success ends the others' outage before it.

        A success that is dated after now ends none, and a failure dated after now outlasts none: their clock
        was wrong.
        """
        for one in (self, other):
            one.drop_ahead(now_s)
        ok_s = max(self.ok_s, other.ok_s)
        runs = [one for one in (self, other) if one.since_s and one.last_s >= ok_s]
        words: dict[str, int] = {}
        for one in runs:
            for word, count in one.words.items():
                words[word] = words.get(word, 0) + count
        since_s = min((max(one.since_s, ok_s) for one in runs), default=0)
        last_s = max((one.last_s for one in runs), default=0)
        failures = sum(one.failures for one in runs)
        self.ok_s, self.since_s, self.last_s, self.failures, self.words = (
            ok_s,
            since_s,
            last_s,
            failures,
            words,
        )


def source_of(members: dict[str, Any]) -> SourceRecord:
    """Return a record out of its members; raises what is wrong with them."""
    words = {str(word): int(count) for word, count in members["words"].items()}
    times = {name: int(members[name]) for name in ("ok_s", "since_s", "last_s", "failures")}
    return SourceRecord(**times, words=words)
