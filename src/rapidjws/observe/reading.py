"""One reading of all metrics: samples by name and labels, with sums, ratios and quantiles over them.

The expositions, the status page, the collector and the alert rules of our own all take a reading; taking one
touches no lock and nothing that a token's way writes to.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from rapidjws.observe.metric_list import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rapidjws.observe.metric_list import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar:
    """A sampled request that a histogram's bucket counts.

    Attributes:
        trace_id: 32 lower-case hex digits.
        span_id: 16 lower-case hex digits.
        value: The observed value, in the metric's unit.
        at_s: When it was observed, seconds since the epoch.
    """

    trace_id: str
    span_id: str
    value: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramValue:
    """The counts of a histogram.

    Attributes:
        counts: One a bound of the metric's buckets, and one for what lies above; not cumulative.
        sum: Sum of the observed values, in the metric's unit.
        exemplars: Bucket number -> an exemplar.
    """

    counts: tuple[int, ...]
    sum: float
    exemplars: Mapping[int, Exemplar] | None = None

    @property
    def count(self) -> int:
        """Return how many values were observed."""
        return sum(self.counts)


class Sample(NamedTuple):
    """A value of one series.

    Attributes:
        metric: Which metric.
        labels: Values of the metric's labels, in their order.
        value: A number, or the counts of a histogram.
    """

    metric: Metric
    labels: tuple[str, ...]
    value: float | HistogramValue

    @property
    def named(self) -> dict[str, str]:
        """Return the labels by name."""
        return dict(zip(self.metric.labels, self.labels, strict=True))


class Columns(NamedTuple):
    """Values of many series of a metric, without an object each; nobody changes the lists.

    Attributes:
        metric: Which metric.
        labels: Of each series the values of the metric's labels, in their order.
        values: A number each, or the counts of a histogram.
    """

    metric: Metric
    labels: list[tuple[str, ...]]
    values: Sequence[float | HistogramValue]

    def samples(self) -> list[Sample]:
        """Return them one by one."""
        return [Sample(self.metric, *one) for one in zip(self.labels, self.values, strict=True)]


class Reading:
    """All samples as they stood at one moment.

    Args:
        samples: In the order of the list of metrics.
        at_s: The moment, seconds since the epoch.
        columns: Of some metrics many samples, which come before the others.
    """

    __slots__ = ("_by_name", "_columns", "at_s")

    def __init__(self, samples: Iterable[Sample], at_s: float, columns: Iterable[Columns] = ()) -> None:
        self.at_s = at_s
        self._columns = {one.metric.name: one for one in columns}
        self._by_name: dict[str, list[Sample]] = {name: [] for name in METRICS}
        for metric, together in groupby(samples, itemgetter(0)):  # those of one metric mostly come together
            self._by_name[metric.name].extend(together)

    def families(self) -> Iterator[tuple[Metric, list[Sample]]]:
        """Yield every metric of the list, in its order, with its samples."""
        for name in self._by_name:
            yield METRICS[name], self._samples(name)

    def columns(self) -> Iterator[Columns]:
        """Yield the same with no object for each of many samples."""
        for name, samples in self._by_name.items():
            given = self._columns.get(name)
            if given is not None and not samples:
                yield given
                continue
            if given is not None:
                samples = given.samples() + samples
            yield Columns(METRICS[name], [one[1] for one in samples], [one[2] for one in samples])

    def _samples(self, name: str) -> list[Sample]:
        given = self._columns.get(name)
        return self._by_name[name] if given is None else given.samples() + self._by_name[name]

    def samples(self, name: str, **labels: str) -> list[Sample]:
        """Return the samples of a metric whose labels have these values.

        Args:
            name: A name of the list.
            labels: The values that are wanted; a label that is not named may have any.

        Raises:
            KeyError: No such metric or label.
        """
        metric = METRICS[name]
        at = {metric.labels.index(label): value for label, value in labels.items() if _check(metric, label)}
        return [
            one
            for one in self._samples(name)
            if all(one.labels[index] == value for index, value in at.items())
        ]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples; of a histogram, how many values were observed.

        Args:
            name: A name of the list.
            labels: As for ``samples``.
        """
        return sum(
            one.value.count if isinstance(one.value, HistogramValue) else one.value
            for one in self.samples(name, **labels)
        )

    def largest(self, name: str, **labels: str) -> float | None:
        """Return the largest value of a metric's samples, or None where there is none."""
        values = [one.value for one in self.samples(name, **labels)]
        return max((one for one in values if not isinstance(one, HistogramValue)), default=None)

    def histogram(self, name: str, **labels: str) -> HistogramValue:
        """Return the sum of a histogram's samples.

        Args:
            name: The name of a histogram.
            labels: As for ``samples``.
        """
        buckets = METRICS[name].buckets
        if buckets is None:
            raise KeyError(name)
        counts = [0] * (len(buckets.bounds_s) + 1)
        total = 0.0
        for one in self.samples(name, **labels):
            if isinstance(one.value, HistogramValue):
                counts = [mine + more for mine, more in zip(counts, one.value.counts, strict=True)]
                total += one.value.sum
        return HistogramValue(counts=tuple(counts), sum=total)

    def quantile(self, name: str, share: float, **labels: str) -> float | None:
        """Return the value that a share of the observations stayed under, interpolated as Prometheus does.

        Args:
            name: The name of a histogram.
            share: From 0 to 1.
            labels: As for ``samples``.

        Returns:
            In the metric's unit, the largest bound where it lies above; None where nothing was observed.
        """
        found = self.histogram(name, **labels)
        return quantile(found.counts, METRICS[name].buckets.bounds_s, share)  # type: ignore[union-attr]


def _check(metric: Metric, label: str) -> bool:
    if label not in metric.labels:
        raise KeyError(f"{metric.name} has no label {label}")
    return True


def quantile(counts: tuple[int, ...], bounds: tuple[float, ...], share: float) -> float | None:
    """Return the value that a share of the observations stayed under; see ``Reading.quantile``."""
    total = sum(counts)
    if not total:
        return None
    due = share * total
    below = 0.0
    for count, bound in zip(counts, bounds, strict=False):
        if count and due <= count:
            return below + (bound - below) * due / count
        due -= count
        below = bound
    return bounds[-1]
