"""A timeline as a picture: a lane for each kind of event, refused tokens as bars. SVG without script."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from rapidjws import escaping
from rapidjws.observe.timeline import KINDS

if TYPE_CHECKING:
    from rapidjws.observe.timeline import Entry, Timeline

WIDTH: Final = 960
_LEFT: Final = 170
_RIGHT: Final = 24
_TOP: Final = 40
_LANE: Final = 34
_BARS: Final = 110
_COLOURS: Final = ("#c2404e", "#b98220", "#3b6fb6", "#7a5195", "#4f9468", "#777777")
_STEPS: Final = 60
_BLOCKS: Final = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
TICKS: Final = 6


def moment(at_s: float) -> str:
    """Return a moment, UTC, to the second."""
    try:
        return datetime.fromtimestamp(at_s, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return "beyond the calendar"


def timeline_svg(timeline: Timeline) -> str:
    """Return a timeline as an SVG document; foreign names are text in it."""
    entries = timeline.entries()
    refusals = [one for one in entries if one.kind == "refusal"]
    kinds = [kind for kind in KINDS if kind != "refusal" and any(one.kind == kind for one in entries)]
    bars_end = _TOP + (_BARS if refusals else 0)
    height = bars_end + _LANE * len(kinds) + 56
    parts = [_axis(timeline, bars_end + _LANE * len(kinds))]
    if refusals:
        parts.append(_bars(timeline, refusals))
    for number, kind in enumerate(kinds):
        parts.append(_lane(timeline, [one for one in entries if one.kind == kind], kind,
                           bars_end + _LANE * number + _LANE / 2))  # fmt: skip
    style = (
        "text{font:12px sans-serif;fill:#222}.muted{fill:#666}.line{stroke:#ccc}.lane{stroke:#e4e4e4}"
        "circle{stroke:#fff;stroke-width:1}"
    )
    title = f"{moment(timeline.since_s)} to {moment(timeline.until_s)} UTC"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img" aria-label="Timeline, {title}"><style>{style}</style>'
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#fff"/>'
        f'<text x="8" y="20">{title}</text>{"".join(parts)}</svg>\n'
    )


def _x(timeline: Timeline, at_s: float) -> float:
    span_s = max(timeline.until_s - timeline.since_s, 1e-9)
    return _LEFT + (at_s - timeline.since_s) / span_s * (WIDTH - _LEFT - _RIGHT)


def _axis(timeline: Timeline, bottom: float) -> str:
    parts = []
    for tick in range(TICKS + 1):
        at_s = timeline.since_s + (timeline.until_s - timeline.since_s) * tick / TICKS
        x = _x(timeline, at_s)
        anchor = "end" if tick == TICKS else "middle"
        parts.append(
            f'<line class="line" x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{bottom:.1f}"/>'
            f'<text class="muted" x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="{anchor}">'
            f"{moment(at_s)[11:]}</text>"
        )
    return "".join(parts)


def _bars(timeline: Timeline, refusals: list[Entry]) -> str:
    """Return refused tokens by code, a bar a step of time."""
    totals: Counter[str] = Counter()
    for one in refusals:
        totals[one.what] += one.count
    codes = [code for code, _ in totals.most_common(len(_COLOURS) - 1)]
    steps: list[Counter[str]] = [Counter() for _ in range(_STEPS)]
    span_s = max(timeline.until_s - timeline.since_s, 1e-9)
    for one in refusals:
        at = min(_STEPS - 1, int((one.at_s - timeline.since_s) / span_s * _STEPS))
        steps[at][one.what if one.what in codes else "others"] += one.count
    most = max(step.total() for step in steps)
    width = (WIDTH - _LEFT - _RIGHT) / _STEPS
    parts = [f'<text x="8" y="{_TOP + 12}">refused tokens, up to {most} a bar</text>']
    for number, step in enumerate(steps):
        floor = float(_TOP + _BARS - 14)
        for code, count in sorted(
            step.items(), key=lambda item: codes.index(item[0]) if item[0] in codes else 99
        ):
            tall = count / most * (_BARS - 20)
            floor -= tall
            parts.append(
                f'<rect x="{_LEFT + number * width:.1f}" y="{floor:.1f}" width="{max(width - 1, 1):.1f}" '
                f'height="{tall:.1f}" fill="{_colour(code, codes)}">'
                f"<title>{_text(code)}: {count}</title></rect>"
            )
    for number, code in enumerate([*codes, *(["others"] if len(totals) > len(codes) else [])]):
        y = _TOP + 28 + 14 * number
        count = totals[code] if code in totals else sum(totals[one] for one in totals if one not in codes)
        parts.append(
            f'<rect x="8" y="{y - 9}" width="9" height="9" fill="{_colour(code, codes)}"/>'
            f'<text class="muted" x="21" y="{y}">{_text(code)[:22]} {count}</text>'
        )
    return "".join(parts)


def _colour(code: str, codes: list[str]) -> str:
    return _COLOURS[codes.index(code)] if code in codes else _COLOURS[-1]


def _lane(timeline: Timeline, entries: list[Entry], kind: str, y: float) -> str:
    parts = [
        f'<line class="lane" x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"/>'
        f'<text x="8" y="{y + 4:.1f}">{KINDS[kind]}</text>'
    ]
    colour = _COLOURS[list(KINDS).index(kind) % len(_COLOURS)]
    ended = -1e9
    for one in entries:
        x = _x(timeline, one.at_s)
        size = min(9.0, 4 + one.count**0.5)
        words = f"{moment(one.at_s)} {one.what} {one.whom} {one.detail} ({one.count})"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" fill="{colour}">'
            f"<title>{_text(words)}</title></circle>"
        )
        if x - ended > 8:
            name = one.what.replace("alert_started", one.detail.partition(":")[0].removeprefix("detail "))
            at_edge = x > WIDTH - _RIGHT - 10 - 6.5 * len(name)
            place = f'x="{x - 10:.1f}" text-anchor="end"' if at_edge else f'x="{x + 10:.1f}"'
            parts.append(f'<text class="muted" {place} y="{y - 6:.1f}">{_text(name[:60])}</text>')
            ended = x + 10 + (0 if at_edge else 6.5 * len(name))
    return "".join(parts)


def _text(value: str) -> str:
    return escaping.html(value)


def lanes_text(timeline: Timeline) -> list[tuple[str, str]]:
    """Return a line of block characters for each kind that there is: when, and how many, for a terminal."""
    span_s = max(timeline.until_s - timeline.since_s, 1e-9)
    lanes: dict[str, list[int]] = {}
    for one in timeline.entries():
        counts = lanes.setdefault(one.kind, [0] * _STEPS)
        counts[min(_STEPS - 1, int((one.at_s - timeline.since_s) / span_s * _STEPS))] += one.count
    found = []
    for kind in KINDS:
        counts = lanes.get(kind, [])
        most = max(counts, default=0)
        if most:
            drawn = "".join(_BLOCKS[max(1, round(count / most * 8)) if count else 0] for count in counts)
            found.append((KINDS[kind], drawn))
    return found
