"""The OpenMetrics text format 1.0 with exemplars, out of a reading.

Source: https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from rapidjws._native import METRIC_TEXT
from rapidjws.observe.prometheus_text import TextWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws._native import MetricPart as Part
    from rapidjws.observe.reading import Exemplar, HistogramValue, Reading

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def exemplar_text(exemplar: Exemplar) -> str:
    """Return what follows a bucket's value."""
    labels = f'trace_id="{exemplar.trace_id}",span_id="{exemplar.span_id}"'
    return f" # {{{labels}}} {exemplar.value!r} {exemplar.at_s:.3f}"


class OpenMetricsWriter(TextWriter):
    """Writes readings as OpenMetrics."""

    __slots__ = ()

    def write(self, reading: Reading) -> bytes:
        """Return the text."""
        parts: list[bytes | Part] = []
        for column in reading.columns():
            metric = column.metric
            family = metric.name.removesuffix("_total") if metric.type == "counter" else metric.name
            words = metric.help.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
            unit = f"# UNIT {family} {metric.unit}\n" if metric.unit else ""
            head = f"# TYPE {family} {metric.type}\n{unit}# HELP {family} {words}\n"
            parts.append(head.encode("utf-8", "backslashreplace"))
            self._add(parts, column)
        parts.append(b"# EOF\n")
        return self._text.joined(parts)

    def _histograms(self, values: Sequence[HistogramValue]) -> tuple[list[int], list[bytes]]:
        numbers: list[int] = []
        texts: list[bytes] = []
        for value in values:
            first = len(numbers)
            numbers += accumulate(value.counts)
            count = numbers[-1]
            for at, exemplar in sorted((value.exemplars or {}).items()):
                texts.append(f"{numbers[first + at]}{exemplar_text(exemplar)}".encode())
                numbers[first + at] = METRIC_TEXT
            numbers += (METRIC_TEXT, count)
            texts.append(repr(value.sum).encode())
        return numbers, texts
