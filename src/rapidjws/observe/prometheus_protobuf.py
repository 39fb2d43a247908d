"""The Prometheus protobuf format, delimited, with native histograms, out of a reading.

Written by hand, field by field: the messages of io.prometheus.client are few and their numbers do not change.
A native histogram has schema 0, whose bounds are the powers of two that are counted; what is not above the
smallest bound is its zero bucket. Source: https://github.com/prometheus/client_model
"""

from __future__ import annotations

import struct
from functools import partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

from rapidjws._native import MetricHistograms
from rapidjws._protobuf import double, field, signed, unsigned, varint
from rapidjws.observe.known_series import KnownSeries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rapidjws.observe.metric_list import Buckets, Metric
    from rapidjws.observe.reading import Exemplar, HistogramValue, Reading

CONTENT_TYPE: Final = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)

_TYPES: Final = {"counter": 0, "gauge": 1, "histogram": 4}
_SCHEMA: Final = 0
_NANO: Final = 1_000_000_000
_DOUBLE_BYTES: Final = 8


def _text(number: int, value: str) -> bytes:
    return field(number, value.encode("utf-8", "backslashreplace"))


def _pairs(names: Iterable[str], values: Iterable[str]) -> bytes:
    return b"".join(
        field(1, _text(1, name) + _text(2, value)) for name, value in zip(names, values, strict=True)
    )


def _exemplar(exemplar: Exemplar) -> bytes:
    whole, part = divmod(int(exemplar.at_s * _NANO), _NANO)
    labels = _pairs(("trace_id", "span_id"), (exemplar.trace_id, exemplar.span_id))
    return labels + double(2, exemplar.value) + field(3, unsigned(1, whole) + unsigned(2, part))


def _native(value: HistogramValue, buckets: Buckets) -> bytes:
    """Return the fields of the native histogram beside the classic one."""
    zero, *positive = value.counts
    fields = [
        signed(5, _SCHEMA),
        double(6, 2.0**buckets.first),
        unsigned(7, zero),
    ]
    used = [at for at, count in enumerate(positive) if count]
    if used:
        start, end = used[0], used[-1] + 1
        span = signed(1, buckets.first + 1 + start) + unsigned(2, end - start)
        counts = positive[start:end]
        deltas = [counts[0], *(after - before for before, after in pairwise(counts))]
        fields += [field(12, span), *(signed(13, delta) for delta in deltas)]
    else:
        fields.append(field(12, signed(1, 0) + unsigned(2, 0)))  # says that it is a native one
    return b"".join(fields)


def _histogram(value: HistogramValue, buckets: Buckets) -> bytes:
    exemplars = value.exemplars or {}
    bounds = (*buckets.bounds_s, float("inf"))
    classic = []
    for at, (bound, count) in enumerate(zip(bounds, accumulate(value.counts), strict=True)):
        exemplar = exemplars.get(at)
        more = b"" if exemplar is None else field(3, _exemplar(exemplar))
        classic.append(field(3, unsigned(1, count) + double(2, bound) + more))
    return (
        unsigned(1, value.count)
        + double(2, value.sum)
        + b"".join(classic)
        + _native(value, buckets)
        + b"".join(field(16, _exemplar(one)) for one in exemplars.values())
    )


class ProtobufWriter:
    """Writes readings as protobuf; remembers how the labels of a series are written."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, KnownSeries[bytes, list[bytes]]] = {}

    def write(self, reading: Reading) -> bytes:
        """Return the messages, each behind its length."""
        found: list[bytes] = []
        for column in reading.columns():
            metric, labels, values = column
            if labels:
                known = self._known.get(metric.name)
                if known is None:
                    known = self._known[metric.name] = KnownSeries(partial(_start, metric), list)
                head = _text(1, metric.name) + _text(2, metric.help) + unsigned(3, _TYPES[metric.type])
                write = _histograms if metric.type == "histogram" else _numbers
                pieces = write(metric, known.of(labels), values)  # type: ignore[arg-type]
                found += (varint(len(head) + sum(map(len, pieces))), head, *pieces)
        return b"".join(found)


def _histograms(metric: Metric, starts: list[bytes], values: Sequence[HistogramValue]) -> list[bytes]:
    buckets = metric.buckets
    assert buckets is not None
    pieces = [
        field(4, start + field(7, _histogram(value, buckets)))
        for start, value in zip(starts, values, strict=True)
        if value.exemplars
    ]
    if pieces:
        starts = [start for start, value in zip(starts, values, strict=True) if not value.exemplars]
        values = [value for value in values if not value.exemplars]
    counts: list[int] = []
    for value in values:
        counts += value.counts
    sums = [value.sum for value in values]
    bounds = buckets.last - buckets.first + 1
    return [*pieces, MetricHistograms(starts).written(counts, sums, bounds, buckets.first)]


def _start(metric: Metric, labels: tuple[str, ...]) -> bytes:
    """Return what stands before a series' value: of a number, all but the eight octets at the end."""
    pairs = _pairs(metric.labels, labels)
    if metric.type == "histogram":
        return pairs
    return field(4, pairs + field(3 if metric.type == "counter" else 2, double(1, 0.0)))[:-_DOUBLE_BYTES]


def _numbers(metric: Metric, starts: list[bytes], values: Sequence[float]) -> list[bytes]:
    octets = struct.pack(f"<{len(values)}d", *values)
    pieces = [b""] * (2 * len(values))
    pieces[::2] = starts
    pieces[1::2] = [octets[at : at + _DOUBLE_BYTES] for at in range(0, len(octets), _DOUBLE_BYTES)]
    return pieces
