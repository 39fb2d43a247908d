"""The Prometheus text format 0.0.4, out of a reading.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from rapidjws.escaping import metric_label
from rapidjws.observe.reading import HistogramValue
from rapidjws.observe.written_series import WrittenSeries

if TYPE_CHECKING:
    from rapidjws.observe.metric_list import Metric
    from rapidjws.observe.reading import Reading, Sample

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


def help_text(metric: Metric) -> str:
    """Return a metric's help, escaped."""
    return metric.help.replace("\\", "\\\\").replace("\n", "\\n")


class TextWriter:
    """Writes readings as text; remembers how the labels of a series are written."""

    __slots__ = ("_bounds", "_prefixes", "_written")

    def __init__(self) -> None:
        self._prefixes: dict[str, dict[tuple[str, ...], bytes]] = {}
        self._written: dict[str, WrittenSeries] = {}
        self._bounds: dict[str, tuple[str, ...]] = {}

    def write(self, reading: Reading) -> bytes:
        """Return the text."""
        lines: list[bytes] = []
        for metric, samples in reading.families():
            head = f"# HELP {metric.name} {help_text(metric)}\n# TYPE {metric.name} {metric.type}"
            lines.append(head.encode("utf-8", "backslashreplace"))
            self._add(lines, metric, samples)
        return b"\n".join(lines) + b"\n"

    def _add(self, lines: list[bytes], metric: Metric, samples: list[Sample]) -> None:
        """Add the lines of a metric's samples."""
        if not samples:
            return
        written = self._written.get(metric.name)
        if written is None:
            written = self._written[metric.name] = WrittenSeries(self._line, b"\n")
        lines.append(written.text(samples))

    def _line(self, sample: Sample) -> bytes:
        """Return the lines of a sample."""
        metric, labels, value = sample
        if value.__class__ is HistogramValue:
            return "\n".join(self._histogram(metric, labels, value)).encode("utf-8", "backslashreplace")
        known = self._prefixes.setdefault(metric.name, {})
        found = known.get(labels)
        if found is None:
            inner = label_text(metric, labels)
            text = f"{metric.name}{{{inner}}} " if inner else f"{metric.name} "
            found = known[labels] = text.encode("utf-8", "backslashreplace")
        return b"%b%d" % (found, value) if value.__class__ is int else found + number(value).encode()  # type: ignore[arg-type]

    def bounds(self, metric: Metric) -> tuple[str, ...]:
        """Return the bounds of a histogram's buckets in words, infinity last."""
        found = self._bounds.get(metric.name)
        if found is None and metric.buckets is not None:
            found = self._bounds[metric.name] = (*(repr(bound) for bound in metric.buckets.bounds_s), "+Inf")
        return found or ()

    def _histogram(self, metric: Metric, labels: tuple[str, ...], value: HistogramValue) -> list[str]:
        inner = label_text(metric, labels)
        start = f'{metric.name}_bucket{{{inner}{"," if inner else ""}le="'
        braces = f"{{{inner}}}" if inner else ""
        lines = [
            f'{start}{bound}"}} {count}'
            for bound, count in zip(self.bounds(metric), accumulate(value.counts), strict=True)
        ]
        lines += [f"{metric.name}_sum{braces} {value.sum!r}", f"{metric.name}_count{braces} {value.count}"]
        return lines
