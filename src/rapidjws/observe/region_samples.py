"""Samples out of counters in memory: the regions of all workers added up, those of ended ones too.

Series are looked up once and remembered; a reading looks at words only, so it holds nobody up.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.observe import metric_list as metrics
from rapidjws.observe.code_samples import BY_CODE, CodeSamples, Key, derived
from rapidjws.observe.metric_list import METRICS, PREFIX, Metric
from rapidjws.observe.reading import HistogramValue, Sample
from rapidjws.verify.counter_memory import SUM_UNIT_S
from rapidjws.verify.verdict_counters import DURATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rapidjws.observe.reading import Columns, Exemplar
    from rapidjws.verify.counter_memory import CounterRegion

JWKS_GOOD_AT: Final = "jwks_good_at"
"""When an issuer's keys were fetched, in seconds of the monotonic clock, which all processes share."""


class RegionSamples:
    """Reads the regions of all workers.

    Args:
        regions: One a worker.
    """

    __slots__ = ("__weakref__", "_by_code", "_counts", "_gauges", "_known", "_lock", "_regions", "exemplars")

    def __init__(self, regions: Sequence[CounterRegion]) -> None:
        self._regions = tuple(regions)
        self._known = [0] * len(self._regions)
        self._by_code = {name: CodeSamples(name) for name in BY_CODE}
        self._counts: dict[int, SummedSeries] = {}  # words of a series -> all series of as many
        self._gauges: dict[Key, list[tuple[CounterRegion, int]]] = {}
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_renew, weakref.ref(self)))
        self.exemplars: Mapping[Key, Mapping[int, Exemplar]] = {}
        """(Metric's name, labels) -> bucket -> an exemplar."""

    def _look(self) -> None:
        """Take up the series that are new."""
        touched: set[CodeSamples | SummedSeries] = set()
        for at, region in enumerate(self._regions):
            if region.version == self._known[at]:
                continue
            for one in region.series(self._known[at]):
                self._known[at] += 1
                series = (one.name, one.labels)
                if one.kind == "g":
                    self._gauges.setdefault(series, []).append((region, one.word))
                    continue
                kept: CodeSamples | SummedSeries | None = self._by_code.get(one.name)
                if kept is None:
                    kept = self._counts.setdefault(one.words, SummedSeries(one.words))
                kept.add(series, region.address(one.word))
                touched.add(kept)
        for kept in touched:
            kept.scan()

    @property
    def dropped(self) -> int:
        """Return how many series found no memory."""
        return sum(region.dropped for region in self._regions)

    def read(self) -> tuple[list[Sample], list[Columns]]:
        """Return what was counted: verdicts and requests in columns, all else as samples."""
        with self._lock:  # scrapers in several formats read on several threads
            self._look()
            samples: list[Sample] = []
            columns: list[Columns] = []
            for one in self._by_code.values():
                column, refused = one.read()
                columns.append(column)
                samples += derived(refused)
            samples += self._summed()
            samples += self._live_gauges()
        samples.append(Sample(metrics.SERIES_DROPPED, (), self.dropped))
        return _events_added_up(samples), columns

    def samples(self) -> list[Sample]:
        """Return all of it as samples; those of a metric mostly come together."""
        samples, columns = self.read()
        return [*chain.from_iterable(one.samples() for one in columns), *samples]

    def _summed(self) -> Iterator[Sample]:
        """Yield what is counted by name."""
        for summed in self._counts.values():
            for (name, labels), sums in summed.read():
                metric = metrics.VERIFICATION_DURATION if name == DURATIONS else METRICS.get(PREFIX + name)
                if metric is None:
                    continue
                if metric.type != "histogram":
                    yield Sample(metric, labels, sum(sums))
                    continue
                *counts, total = sums
                if any(counts):
                    seen = self.exemplars.get((metric.name, labels))
                    value = HistogramValue(counts=tuple(counts), sum=total * SUM_UNIT_S, exemplars=seen)
                    yield Sample(metric, labels, value)

    def _live_gauges(self) -> Iterator[Sample]:
        """Yield the gauges of workers that are there."""
        for (name, labels), places in self._gauges.items():
            values = [region.floats(word) for region, word in places if region.pid]
            if name == JWKS_GOOD_AT:
                moments = [value for value in values if value]
                if moments:
                    yield Sample(metrics.JWKS_AGE, labels, max(0.0, time.monotonic() - min(moments)))
            elif values and (metric := METRICS.get(PREFIX + name)) is not None:
                yield Sample(metric, labels, _merged(metric, values))


class SummedSeries:
    """Series of as many words as each other, whose blocks in several regions are added up.

    Args:
        words: How many.
    """

    __slots__ = ("_groups", "_sums", "_words")

    def __init__(self, words: int) -> None:
        self._words = words
        self._groups: dict[Key, list[int]] = {}  # series -> where its blocks lie
        self._sums = _native.CounterSums((), words)

    def add(self, series: Key, address: int) -> None:
        """Take up a series of one worker; ``scan`` makes it read."""
        self._groups.setdefault(series, []).append(address)

    def scan(self) -> None:
        """Read all series that were added, from now on."""
        self._sums = _native.CounterSums(list(self._groups.values()), self._words)

    def read(self) -> Iterator[tuple[Key, list[int]]]:
        """Yield each series with the sums of its words."""
        sums = self._sums.sums()
        for at, series in enumerate(self._groups):
            yield series, sums[at * self._words : (at + 1) * self._words]


def _renew(reader: weakref.ref[RegionSamples]) -> None:
    """Replace the lock in a forked child, where nobody may hold it."""
    found = reader()
    if found is not None:
        found._lock = threading.Lock()


def _events_added_up(samples: list[Sample]) -> list[Sample]:
    """Return the samples, with one for each sign of an attack: verdicts give some, events others."""
    signs: dict[tuple[str, ...], float] = {}
    others = []
    for one in samples:
        if one.metric is metrics.SECURITY_EVENTS:
            signs[one.labels] = signs.get(one.labels, 0) + one.value  # type: ignore[operator]
        else:
            others.append(one)
    return [*others, *(Sample(metrics.SECURITY_EVENTS, labels, total) for labels, total in signs.items())]


def _merged(metric: Metric, values: list[float]) -> float:
    """Return one value for those of several workers."""
    if metric.merge == "sum":
        return sum(values)
    return min(values) if metric.merge == "min" else max(values)
