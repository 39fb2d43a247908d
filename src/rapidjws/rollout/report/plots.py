"""The plots of the readiness report, as SVG without script: requests by day, and the latency added."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_HEIGHT: Final = 110
_DAYS_WIDTH: Final = 640
_DAYS_SHOWN: Final = 60
_BAR_WIDTH: Final = 24


def when(moment_s: int) -> str:
    """Return a moment in words, UTC, to the minute."""
    try:
        return (_EPOCH + timedelta(seconds=moment_s)).strftime("%Y-%m-%d %H:%M")
    except OverflowError:
        return "beyond the calendar"


def days_plot(days: tuple[tuple[int, int, int], ...]) -> str:
    """Return a bar a day: good requests below, failed ones on top; days without requests stay empty.

    Args:
        days: Day since the epoch, requests, failed; in order.
    """
    shown = [one for one in days if one[0] > days[-1][0] - _DAYS_SHOWN]
    most = max((total for _, total, _ in shown), default=0)
    if not most:
        return "<p>No requests yet.</p>"
    step = _DAYS_WIDTH / _DAYS_SHOWN
    bars = []
    for day, total, failed in shown:
        bad = failed / most * _HEIGHT
        good = (total - failed) / most * _HEIGHT
        x = (day - shown[0][0]) * step
        title = f"<title>{when(day * 86_400)[:10]}: {total} requests, {failed} failed</title>"
        bars.append(
            f'<rect class="good" x="{x:.1f}" y="{_HEIGHT - good:.1f}" width="{step - 1.5:.1f}" '
            f'height="{good:.1f}">{title}</rect>'
            f'<rect class="bad" x="{x:.1f}" y="{_HEIGHT - good - bad:.1f}" width="{step - 1.5:.1f}" '
            f'height="{bad:.1f}">{title}</rect>'
        )
    first, last = when(shown[0][0] * 86_400)[:10], when(shown[-1][0] * 86_400)[:10]
    caption = f"{first} to {last}, at most {most} a day; failed on top"
    return _svg(_DAYS_WIDTH, "Requests by day", "".join(bars), caption)


def latency_plot(counts: tuple[int, ...]) -> str:
    """Return a bar for each power of two of nanoseconds that verification took.

    Args:
        counts: Requests by that power.
    """
    used = [power for power, count in enumerate(counts) if count]
    if not used:
        return ""
    first, last, most = used[0], used[-1], max(counts)
    bars = []
    for power in range(first, last + 1):
        height = counts[power] / most * _HEIGHT
        title = f"<title>up to {_time(1 << power)}: {counts[power]} requests</title>"
        bars.append(
            f'<rect class="good" x="{(power - first) * _BAR_WIDTH}" y="{_HEIGHT - height:.1f}" '
            f'width="{_BAR_WIDTH - 2}" height="{height:.1f}">{title}</rect>'
        )
    caption = f"latency added: up to {_time(1 << first)} on the left, {_time(1 << last)} on the right"
    return _svg(max(360, (last - first + 1) * _BAR_WIDTH), "Latency added", "".join(bars), caption)


def _time(nanoseconds: int) -> str:
    for size, unit in ((1_000_000_000, "s"), (1_000_000, "ms"), (1000, "\u00b5s")):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.0f} {unit}"
    return f"{nanoseconds} ns"


def _svg(width: int, name: str, bars: str, caption: str) -> str:
    return (
        f'<svg width="{width}" height="{_HEIGHT + 18}" viewBox="0 0 {width} {_HEIGHT + 18}" role="img" '
        f'aria-label="{name}">{bars}<text x="0" y="{_HEIGHT + 14}">{caption}</text></svg>'
    )
