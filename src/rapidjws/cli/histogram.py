"""A latency histogram that a person can read in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_BAR_CHARS = 40


def percentile(ordered: list[int], percent: float) -> int:
    """Return a percentile of sorted values, by the nearest rank."""
    rank = max(0, min(len(ordered) - 1, round(percent / 100 * len(ordered)) - 1))
    return ordered[rank]


def _micros(value_ns: float) -> str:
    return f"{value_ns / 1000:,.1f} us"


def latency_histogram(times_ns: list[int]) -> RenderableType:
    """Return percentiles and a histogram with bounds that double.

    Args:
        times_ns: At least one duration in nanoseconds.
    """
    ordered = sorted(times_ns)
    counts: dict[int, int] = {}
    for value in ordered:
        counts[max(value, 1).bit_length()] = counts.get(max(value, 1).bit_length(), 0) + 1
    most = max(counts.values())
    table = Table("from", "to", "tokens", "", box=None, header_style="dim")
    for bits in range(min(counts), max(counts) + 1):
        count = counts.get(bits, 0)
        bar = Text("█" * max(round(count / most * _BAR_CHARS), 1 if count else 0), style="cyan")
        table.add_row(_micros(2 ** (bits - 1)), _micros(2**bits), str(count), bar)
    marks = "  ".join(f"p{p:g} {_micros(percentile(ordered, p))}" for p in (50, 95, 99))
    return Group(table, Text(marks, style="bold"))
