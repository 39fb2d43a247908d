"""Samples out of counters in memory: the regions of all workers added up, those of ended ones too.

Series are looked up once and remembered; a reading looks at words only, so it holds nobody up.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Final

from rapidjws.observe import metric_list as metrics
from rapidjws.observe.code_samples import BY_CODE, CodeSamples, Key
from rapidjws.observe.metric_list import METRICS, PREFIX, Metric
from rapidjws.observe.reading import HistogramValue, Sample
from rapidjws.verify.counter_memory import SUM_UNIT_S
from rapidjws.verify.verdict_counters import DURATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rapidjws.observe.reading import Exemplar
    from rapidjws.verify.counter_memory import CounterRegion, Series

JWKS_GOOD_AT: Final = "jwks_good_at"
"""When an issuer's keys were fetched, in seconds of the monotonic clock, which all processes share."""


class RegionSamples:
    """Reads the regions of all workers.

    Args:
        regions: One a worker.
    """

    __slots__ = ("__weakref__", "_by_code", "_kept", "_known", "_lock", "_merged", "_regions", "exemplars")

    def __init__(self, regions: Sequence[CounterRegion]) -> None:
        self._regions = tuple(regions)
        self._known = [0] * len(self._regions)
        self._merged: dict[Key, list[tuple[CounterRegion, Series]]] = {}
        self._by_code = CodeSamples()
        self._kept: dict[Key, tuple[object, Sample]] = {}  # what a series was at the last reading
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_renew, weakref.ref(self)))
        self.exemplars: Mapping[Key, Mapping[int, Exemplar]] = {}
        """(Metric's name, labels) -> bucket -> an exemplar."""

    def _look(self) -> None:
        """Take up the series that are new."""
        is_new = False
        for at, region in enumerate(self._regions):
            if region.version == self._known[at]:
                continue
            for one in region.series(self._known[at]):
                self._known[at] += 1
                if one.name in BY_CODE:
                    self._by_code.add((one.name, one.labels), region.address(one.word))
                    is_new = True
                else:
                    self._merged.setdefault((one.name, one.labels), []).append((region, one))
        if is_new:
            self._by_code.scan()

    @property
    def dropped(self) -> int:
        """Return how many series found no memory."""
        return sum(region.dropped for region in self._regions)

    def samples(self) -> list[Sample]:
        """Return what was counted; samples of a metric mostly come together.

        A series that did not change since the last reading has the same sample as then.
        """
        with self._lock:  # scrapers in several formats read on several threads
            self._look()
            samples, signs = self._by_code.read()
            samples += self._others(dict(signs))
        return samples

    def _others(self, signs: dict[tuple[str, ...], int]) -> Iterator[Sample]:
        """Yield what is counted by name; to signs of an attack those are added that verdicts gave."""
        for series, places in self._merged.items():
            name, labels = series
            if name == DURATIONS:
                yield from self._histogram(metrics.VERIFICATION_DURATION, series, places)
            elif name == JWKS_GOOD_AT:
                moments = [value for value in _live(places) if value]
                if moments:
                    yield Sample(metrics.JWKS_AGE, labels, max(0.0, time.monotonic() - min(moments)))
            else:
                metric = METRICS.get(PREFIX + name)
                if metric is not None:
                    more = signs.pop(labels, 0) if metric is metrics.SECURITY_EVENTS else 0
                    yield from self._plain(metric, series, places, more)
        for labels, total in signs.items():
            yield Sample(metrics.SECURITY_EVENTS, labels, total)
        yield Sample(metrics.SERIES_DROPPED, (), self.dropped)

    def _histogram(
        self, metric: Metric, series: Key, places: list[tuple[CounterRegion, Series]]
    ) -> Iterator[Sample]:
        labels = series[1]
        exemplars = self.exemplars.get((metric.name, labels))
        found = (exemplars, [_octets(region, one) for region, one in places])
        kept = self._kept.get(series)
        if kept is not None and kept[0] == found:
            yield kept[1]
            return
        *counts, total = _sums(places)
        if any(counts):
            value = HistogramValue(counts=tuple(counts), sum=total * SUM_UNIT_S, exemplars=exemplars)
            sample = Sample(metric, labels, value)
            self._kept[series] = (found, sample)
            yield sample

    def _plain(
        self, metric: Metric, series: Key, places: list[tuple[CounterRegion, Series]], more: float
    ) -> Iterator[Sample]:
        value: float
        if metric.type == "histogram":
            yield from self._histogram(metric, series, places)
            return
        if metric.type == "counter":
            value = sum(_sums(places)) + more
        else:
            values = list(_live(places))
            if not values:
                return
            value = _merged(metric, values)
        kept = self._kept.get(series)
        if kept is None or kept[0] != value:
            kept = self._kept[series] = (value, Sample(metric, series[1], value))
        yield kept[1]


def _renew(reader: weakref.ref[RegionSamples]) -> None:
    """Replace the lock in a forked child, where nobody may hold it."""
    found = reader()
    if found is not None:
        found._lock = threading.Lock()


def _merged(metric: Metric, values: list[float]) -> float:
    """Return one value for those of several workers."""
    if metric.merge == "sum":
        return sum(values)
    return min(values) if metric.merge == "min" else max(values)


def _live(places: Iterable[tuple[CounterRegion, Series]]) -> Iterator[float]:
    """Yield the gauges of workers that are there."""
    return (region.floats(one.word) for region, one in places if region.pid)


def _octets(region: CounterRegion, one: Series) -> bytes:
    return region.words[one.word : one.word + one.words].tobytes()


def _sums(places: Sequence[tuple[CounterRegion, Series]]) -> list[int]:
    region, one = places[0]
    sums: list[int] = region.words[one.word : one.word + one.words].tolist()
    for region, one in itertools.islice(places, 1, None):
        more = region.words[one.word : one.word + one.words].tolist()
        sums = [mine + theirs for mine, theirs in zip(sums, more, strict=True)]
    return sums
