"""The Prometheus text format 0.0.4, out of a reading.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Final

from rapidjws._native import METRIC_TEXT, MetricLines, MetricText
from rapidjws.escaping import metric_label
from rapidjws.observe.known_series import KnownSeries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rapidjws._native import MetricPart as Part
    from rapidjws.observe.metric_list import Metric
    from rapidjws.observe.reading import Columns, HistogramValue, Reading

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def label_text(metric: Metric, labels: tuple[str, ...]) -> str:
    """Return a series' labels without braces."""
    return ",".join(
        [f'{name}="{metric_label(value)}"' for name, value in zip(metric.labels, labels, strict=True)]
    )


def number(value: float) -> str:
    """Return a number as the formats write it: the shortest text that reads back as it."""
    if value.__class__ is int or (value == value // 1 and abs(value) < 1e15):
        return str(int(value))
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text := repr(float(value)), text)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _start(metric: Metric, labels: tuple[str, ...]) -> list[bytes]:
    """Return what stands before the number of a counter or a gauge."""
    inner = label_text(metric, labels)
    return [_octets(f"{metric.name}{{{inner}}} " if inner else f"{metric.name} ")]


def _histogram_starts(metric: Metric, labels: tuple[str, ...]) -> list[bytes]:
    """Return what stands before each number of a histogram: its buckets, the sum and the count."""
    assert metric.buckets is not None
    inner = label_text(metric, labels)
    start = f'{metric.name}_bucket{{{inner}{"," if inner else ""}le="'
    braces = f"{{{inner}}}" if inner else ""
    bounds = (*(repr(bound) for bound in metric.buckets.bounds_s), "+Inf")
    lines = [f'{start}{bound}"}} ' for bound in bounds]
    return [*map(_octets, lines), *(_octets(f"{metric.name}_{one}{braces} ") for one in ("sum", "count"))]


def _lines(starts: Iterable[list[bytes]]) -> MetricLines:
    return MetricLines(list(chain.from_iterable(starts)))


def help_text(metric: Metric) -> str:
    """Return a metric's help, escaped."""
    return metric.help.replace("\\", "\\\\").replace("\n", "\\n")


class TextWriter:
    """Writes readings as text; remembers how the labels of a series are written."""

    __slots__ = ("_known", "_text")

    def __init__(self) -> None:
        self._text = MetricText()
        self._known: dict[str, KnownSeries[list[bytes], MetricLines]] = {}

    def write(self, reading: Reading) -> bytes:
        """Return the text."""
        parts: list[bytes | Part] = []
        for column in reading.columns():
            metric = column.metric
            head = f"# HELP {metric.name} {help_text(metric)}\n# TYPE {metric.name} {metric.type}\n"
            parts.append(_octets(head))
            self._add(parts, column)
        return self._text.joined(parts)

    def _add(self, parts: list[bytes | Part], column: Columns) -> None:
        """Add the lines of a metric's samples."""
        metric, labels, values = column
        if not labels:
            return
        is_histogram = metric.type == "histogram"
        known = self._known.get(metric.name)
        if known is None:
            write = _histogram_starts if is_histogram else _start
            known = self._known[metric.name] = KnownSeries(partial(write, metric), _lines)
        if is_histogram:
            numbers, texts = self._histograms(values)  # type: ignore[arg-type]
            parts.append((known.of(labels), numbers, texts))
        elif set(map(type, values)) == {int} and min(values) >= 0:  # type: ignore[type-var,operator]
            parts.append((known.of(labels), values, ()))  # type: ignore[arg-type]
        else:
            texts = [number(one).encode() for one in values]  # type: ignore[arg-type]
            parts.append((known.of(labels), [METRIC_TEXT] * len(texts), texts))

    def _histograms(self, values: Sequence[HistogramValue]) -> tuple[list[int], list[bytes]]:
        """Return the numbers of histograms, and texts where they are none."""
        numbers: list[int] = []
        texts: list[bytes] = []
        for value in values:
            numbers += accumulate(value.counts)
            numbers += (METRIC_TEXT, numbers[-1])
            texts.append(repr(value.sum).encode())
        return numbers, texts
