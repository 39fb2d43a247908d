"""Samples out of counters in memory: the regions of all workers added up, those of ended ones too.

Series are looked up once and remembered; a reading looks at words only, so it holds nobody up.
"""

from __future__ import annotations

import itertools
import time
from itertools import chain
from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.errors import CODES
from rapidjws.observe import metric_list as metrics
from rapidjws.observe.metric_list import METRICS, PREFIX, Metric
from rapidjws.observe.reading import HistogramValue, Sample
from rapidjws.verify.counter_memory import SUM_UNIT_S
from rapidjws.verify.verdict_counters import CODE_WORDS, DURATIONS, OK, VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rapidjws.observe.reading import Exemplar
    from rapidjws.verify.counter_memory import CounterRegion, Series

REQUESTS: Final = "requests"
"""The series of requests: labels partner and route, a word a code."""

BY_CODE: Final = frozenset({VERDICTS, REQUESTS})
"""Series with a word a code."""

CODES_WORDS: Final = _native.COUNTERS_CODES
JWKS_GOOD_AT: Final = "jwks_good_at"
"""When an issuer's keys were fetched, in seconds of the monotonic clock, which all processes share."""

CODE_NAMES: Final = {word: code for code, word in CODE_WORDS.items()}
VERDICT_OF: Final = {OK: "permit", **{code.code: code.outcome for code in CODES.values()}}

CLAIM_OF: Final = {
    "expired": "exp",
    "not_yet_valid": "nbf",
    "issued_in_future": "iat",
    "too_old": "iat",
    "issuer_mismatch": "iss",
    "audience_mismatch": "aud",
}
"""Code of a refused claim -> the claim; the codes of ``CLAIM_CODES`` count by claim where they arise."""

SECURITY_OF: Final = {
    "key_alg_mismatch": "algorithm_confusion",
    "revoked": "revoked_key_used",
    "replayed": "replay_detected",
}
"""Code of a refusal -> the sign of an attack that it is."""

Key = tuple[str, tuple[str, ...]]


class RegionSamples:
    """Reads the regions of all workers.

    Args:
        regions: One a worker.
    """

    __slots__ = ("_groups", "_kept", "_known", "_merged", "_regions", "_scan", "exemplars")

    def __init__(self, regions: Sequence[CounterRegion]) -> None:
        self._regions = tuple(regions)
        self._known = [0] * len(self._regions)
        self._merged: dict[Key, list[tuple[CounterRegion, Series]]] = {}
        self._groups: dict[Key, list[int]] = {}  # series with a word a code -> where its blocks lie
        self._scan = _native.CounterScan(())
        self._kept: dict[int, Sample] = {}  # what such a word was at the last reading
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
                    self._groups.setdefault((one.name, one.labels), []).append(region.address(one.word))
                    is_new = True
                else:
                    self._merged.setdefault((one.name, one.labels), []).append((region, one))
        if is_new:
            self._scan = _native.CounterScan(list(self._groups.values()))

    @property
    def dropped(self) -> int:
        """Return how many series found no memory."""
        return sum(region.dropped for region in self._regions)

    def samples(self) -> Iterator[Sample]:
        """Return what was counted; samples of a metric mostly come together."""
        self._look()
        signs: dict[tuple[str, ...], float] = {}
        return chain(self._by_code(signs), self._others(signs))

    def _others(self, signs: dict[tuple[str, ...], float]) -> Iterator[Sample]:
        """Yield what is counted by name; to signs of an attack those are added that verdicts gave."""
        for (name, labels), places in list(self._merged.items()):
            if name == DURATIONS:
                yield from self._histogram(metrics.VERIFICATION_DURATION, labels, places)
            elif name == JWKS_GOOD_AT:
                moments = [value for value in _live(places) if value]
                if moments:
                    yield Sample(metrics.JWKS_AGE, labels, max(0.0, time.monotonic() - min(moments)))
            else:
                metric = METRICS.get(PREFIX + name)
                if metric is not None:
                    more = signs.pop(labels, 0) if metric is metrics.SECURITY_EVENTS else 0
                    yield from self._plain(metric, labels, places, more)
        for labels, total in signs.items():
            yield Sample(metrics.SECURITY_EVENTS, labels, total)
        yield Sample(metrics.SERIES_DROPPED, (), self.dropped)

    def _by_code(self, signs: dict[tuple[str, ...], float]) -> list[Sample]:
        """Return verdicts and requests, and what follows from the codes of refusals.

        Args:
            signs: Takes signs of an attack that codes are, by event and issuer.
        """
        found = self._scan.nonzero()
        kept = self._kept
        refused: dict[tuple[str, str], float] = {}
        series: list[Key] = []
        samples: list[Sample] = []
        verdicts = metrics.VERIFICATIONS
        for key, count in zip(found[::2], found[1::2], strict=True):
            sample = kept.get(key)
            if sample is None:
                series = series or list(self._groups)
                made = _sample_of(series[key // CODES_WORDS], key % CODES_WORDS, count)
                if made is None:
                    continue
                sample = kept[key] = made
            elif sample[2] != count:
                sample = kept[key] = Sample(sample[0], sample[1], count)
            samples.append(sample)
            if key % CODES_WORDS and sample[0] is verdicts:
                labels = sample[1]
                at = (labels[0], labels[3])
                refused[at] = refused.get(at, 0) + count
        for (issuer, code), total in refused.items():
            if code in CLAIM_OF:
                samples.append(Sample(metrics.CLAIM_REFUSALS, (issuer, CLAIM_OF[code], code), total))
            elif code == "unknown_kid":
                samples.append(Sample(metrics.UNKNOWN_KIDS, (issuer,), total))
            elif code in SECURITY_OF:
                signs[SECURITY_OF[code], issuer] = total
        return samples

    def _histogram(
        self, metric: Metric, labels: tuple[str, ...], places: list[tuple[CounterRegion, Series]]
    ) -> Iterator[Sample]:
        *counts, total = _sums(places)
        if any(counts):
            exemplars = self.exemplars.get((metric.name, labels))
            value = HistogramValue(counts=tuple(counts), sum=total * SUM_UNIT_S, exemplars=exemplars)
            yield Sample(metric, labels, value)

    def _plain(
        self,
        metric: Metric,
        labels: tuple[str, ...],
        places: list[tuple[CounterRegion, Series]],
        more: float,
    ) -> Iterator[Sample]:
        if metric.type == "histogram":
            yield from self._histogram(metric, labels, places)
        elif metric.type == "counter":
            yield Sample(metric, labels, sum(_sums(places)) + more)
        else:
            values = list(_live(places))
            if values:
                yield Sample(metric, labels, _merged(metric, values))


def _sample_of(series: Key, word: int, count: int) -> Sample | None:
    """Return the sample of one word of a series with a word a code, or None where the word has no code."""
    code = CODE_NAMES.get(word)
    if code is None:
        return None
    name, labels = series
    metric = metrics.REQUESTS if name == REQUESTS else metrics.VERIFICATIONS
    return Sample(metric, (*labels, VERDICT_OF[code], code), count)


def _merged(metric: Metric, values: list[float]) -> float:
    """Return one value for those of several workers."""
    if metric.merge == "sum":
        return sum(values)
    return min(values) if metric.merge == "min" else max(values)


def _live(places: Iterable[tuple[CounterRegion, Series]]) -> Iterator[float]:
    """Yield the gauges of workers that are there."""
    return (region.floats(one.word) for region, one in places if region.pid)


def _sums(places: Sequence[tuple[CounterRegion, Series]]) -> list[int]:
    region, one = places[0]
    sums: list[int] = region.words[one.word : one.word + one.words].tolist()
    for region, one in itertools.islice(places, 1, None):
        more = region.words[one.word : one.word + one.words].tolist()
        sums = [mine + theirs for mine, theirs in zip(sums, more, strict=True)]
    return sums
