"""Two plots as plain SVG: grouped bars on a log scale, and lines over a log axis. No dependencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

COLOURS = ("#0b6e4f", "#3fb68b", "#d1495b", "#edae49", "#00798c", "#8f6bb3", "#7d8491", "#30638e")
WIDTH, HEIGHT = 1000, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 90, 60
FONT = "font-family='system-ui, sans-serif'"


def _text(x: float, y: float, words: str, anchor: str = "middle", size: int = 12) -> str:
    place = f"x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-size='{size}'"
    return f"<text {place} {FONT}>{escape(words)}</text>"


def _number(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    return f"{value / 1000:g}k" if value >= 1000 and value % 1000 == 0 else f"{value:g}"


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _y(value: float, low: int, high: int) -> float:
    share = (math.log10(value) - low) / (high - low)
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _frame(title: str, y_title: str, low: int, high: int, names: Sequence[str]) -> list[str]:
    """Draw the ground, the titles, the horizontal grid and the legend."""
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' role='img'>",
        f"<title>{escape(title)}</title><rect width='{WIDTH}' height='{HEIGHT}' fill='#ffffff'/>",
        _text(LEFT, 24, title, "start", 16),
        _text(LEFT, 44, y_title, "start"),
    ]
    for power in range(low, high + 1):
        y = _y(10.0**power, low, high)
        parts.append(f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y:.1f}' y2='{y:.1f}' stroke='#d8d8d8'/>")
        parts.append(_text(LEFT - 6, y + 4, _number(10.0**power), "end"))
    x = float(LEFT)
    for index, name in enumerate(names):
        parts.append(
            f"<rect x='{x:.0f}' y='58' width='12' height='12' fill='{COLOURS[index % len(COLOURS)]}'/>"
        )
        parts.append(_text(x + 16, 69, name, "start"))
        x += 34 + 6.6 * len(name)
    return parts


def bars(
    title: str, y_title: str, names: Sequence[str], groups: Sequence[tuple[str, Sequence[float | None]]]
) -> str:
    """Draw grouped bars on a log scale.

    Args:
        title: of the plot.
        y_title: what a bar's height means, with its unit.
        names: one for each bar of a group; the legend.
        groups: a label, and a positive value (or None) for each name.
    """
    values = [value for _, row in groups for value in row if value]
    low, high = _decades(values)
    parts = _frame(title, y_title, low, high, names)
    group_width = (WIDTH - LEFT - RIGHT) / len(groups)
    width = group_width * 0.84 / max(len(names), 1)
    for place, (label, row) in enumerate(groups):
        start = LEFT + place * group_width + group_width * 0.08
        parts.append(_text(LEFT + (place + 0.5) * group_width, HEIGHT - BOTTOM + 20, label))
        for index, value in enumerate(row):
            if value:
                y = _y(value, low, high)
                parts.append(
                    f"<rect x='{start + index * width:.1f}' y='{y:.1f}' width='{width * 0.92:.1f}' "
                    f"height='{HEIGHT - BOTTOM - y:.1f}' fill='{COLOURS[index % len(COLOURS)]}'>"
                    f"<title>{escape(names[index])} {escape(label)}: {value:.3g}</title></rect>"
                )
    return "\n".join([*parts, "</svg>", ""])


def lines(
    title: str, x_title: str, y_title: str, series: Sequence[tuple[str, Sequence[tuple[float, float]]]]
) -> str:
    """Draw lines over two log axes.

    Args:
        title: of the plot.
        x_title: what the points' first number is, with its unit.
        y_title: what the second is.
        series: a name and its points, all positive.
    """
    points = [point for _, row in series for point in row]
    low, high = _decades([y for _, y in points])
    parts = _frame(title, y_title, low, high, [name for name, _ in series])
    ticks = sorted({x for x, _ in points})
    first, last = math.log10(ticks[0]), math.log10(ticks[-1])
    span = (last - first) or 1.0

    def place(x: float) -> float:
        return LEFT + 20 + (math.log10(x) - first) / span * (WIDTH - LEFT - RIGHT - 40)

    for tick in ticks:
        parts.append(_text(place(tick), HEIGHT - BOTTOM + 20, _number(tick)))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x_title))
    for index, (_, row) in enumerate(series):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{place(x):.1f},{_y(y, low, high):.1f}" for x, y in row)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2.5'/>")
        parts += [
            f"<circle cx='{place(x):.1f}' cy='{_y(y, low, high):.1f}' r='4' fill='{colour}'/>" for x, y in row
        ]
    return "\n".join([*parts, "</svg>", ""])
