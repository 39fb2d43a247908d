"""The OpenMetrics text format 1.0 with exemplars, out of a reading.

Source: https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from rapidjws.observe.prometheus_text import TextWriter, label_text

if TYPE_CHECKING:
    from rapidjws.observe.metric_list import Metric
    from rapidjws.observe.reading import Exemplar, HistogramValue, Reading

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def exemplar_text(exemplar: Exemplar | None) -> str:
    """Return what follows a bucket's value."""
    if exemplar is None:
        return ""
    labels = f'trace_id="{exemplar.trace_id}",span_id="{exemplar.span_id}"'
    return f" # {{{labels}}} {exemplar.value!r} {exemplar.at_s:.3f}"


class OpenMetricsWriter(TextWriter):
    """Writes readings as OpenMetrics."""

    __slots__ = ()

    def write(self, reading: Reading) -> bytes:
        """Return the text."""
        lines: list[bytes] = []
        for metric, samples in reading.families():
            family = metric.name.removesuffix("_total") if metric.type == "counter" else metric.name
            words = metric.help.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
            unit = f"# UNIT {family} {metric.unit}\n" if metric.unit else ""
            head = f"# TYPE {family} {metric.type}\n{unit}# HELP {family} {words}"
            lines.append(head.encode("utf-8", "backslashreplace"))
            self._add(lines, metric, samples)
        lines.append(b"# EOF\n")
        return b"\n".join(lines)

    def _histogram(self, metric: Metric, labels: tuple[str, ...], value: HistogramValue) -> list[str]:
        inner = label_text(metric, labels)
        start = f'{metric.name}_bucket{{{inner}{"," if inner else ""}le="'
        braces = f"{{{inner}}}" if inner else ""
        exemplars = value.exemplars or {}
        bounds = zip(self.bounds(metric), accumulate(value.counts), strict=True)
        lines = [
            f'{start}{bound}"}} {count}{exemplar_text(exemplars.get(at))}'
            for at, (bound, count) in enumerate(bounds)
        ]
        lines += [f"{metric.name}_sum{braces} {value.sum!r}", f"{metric.name}_count{braces} {value.count}"]
        return lines
