"""Samples of the series that have a word a code: verdicts and requests, and what follows from refusals.

A reading touches what changed since the one before: of thousands of series a scrape finds few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.errors import CODES
from rapidjws.observe import metric_list as metrics
from rapidjws.observe.reading import Sample
from rapidjws.verify.verdict_counters import CODE_WORDS, OK, VERDICTS

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUESTS: Final = "requests"
"""The series of requests: labels partner and route, a word a code."""

BY_CODE: Final = frozenset({VERDICTS, REQUESTS})
"""Series with a word a code."""

CODES_WORDS: Final = _native.COUNTERS_CODES
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
Refusal = tuple[str, str]
"""Issuer and code."""


class CodeSamples:
    """Reads the series with a word a code; the caller keeps threads apart."""

    __slots__ = (
        "_counts",
        "_derived",
        "_groups",
        "_keys",
        "_places",
        "_refusals",
        "_refused",
        "_samples",
        "_scan",
    )

    def __init__(self) -> None:
        self._groups: dict[Key, list[int]] = {}  # series -> where its blocks lie
        self._scan = _native.CounterScan(())
        self._keys: list[int] = []  # the words that were not zero at the last reading, and their counts
        self._counts: list[int] = []
        self._samples: list[Sample] = []
        self._places: list[int] = []  # of each such word: which sample it is, or -1
        self._refusals: list[Refusal | None] = []  # and which refusal it counts
        self._refused: dict[Refusal, int] = {}
        self._derived: dict[Refusal, Sample] = {}

    def add(self, series: Key, address: int) -> None:
        """Take up a series of one worker; ``scan`` makes it read."""
        self._groups.setdefault(series, []).append(address)

    def scan(self) -> None:
        """Read all series that were added, from now on."""
        self._scan = _native.CounterScan(list(self._groups.values()))

    def read(self) -> tuple[list[Sample], Mapping[tuple[str, ...], int]]:
        """Return the samples, and signs of an attack that codes are, by event and issuer."""
        found = self._scan.nonzero()
        keys, counts = found[::2], found[1::2]
        if keys == self._keys:
            self._update(counts)
        else:
            self._begin(keys, counts)
        samples = self._samples.copy()
        signs: dict[tuple[str, ...], int] = {}
        for (issuer, code), total in self._refused.items():
            if code in SECURITY_OF:
                signs[SECURITY_OF[code], issuer] = total
            else:
                samples.append(self._derive(issuer, code, total))
        return samples, signs

    def _update(self, counts: list[int]) -> None:
        """Replace the samples whose counts changed."""
        before, samples = self._counts, self._samples
        for at, (count, old) in enumerate(zip(counts, before, strict=True)):
            if count != old:
                place, refusal = self._places[at], self._refusals[at]
                if place >= 0:
                    metric, labels, _ = samples[place]
                    samples[place] = Sample(metric, labels, count)
                if refusal is not None:
                    self._refused[refusal] += count - old
        self._counts = counts

    def _begin(self, keys: list[int], counts: list[int]) -> None:
        """Make the list of samples anew, for words that are new."""
        placed = zip(self._keys, self._places, strict=True)
        known = {key: self._samples[place] for key, place in placed if place >= 0}
        self._keys, self._counts = keys, counts
        self._samples, self._places, self._refusals, self._refused = [], [], [], {}
        series = list(self._groups)
        for key, count in zip(keys, counts, strict=True):
            sample = known.get(key) or self._made(series, key, count)
            if sample is not None and sample.value != count:
                sample = Sample(sample.metric, sample.labels, count)
            self._places.append(-1 if sample is None else len(self._samples))
            refusal = None
            if sample is not None:
                self._samples.append(sample)
                refusal = _refusal_of(sample)
            self._refusals.append(refusal)
            if refusal is not None:
                self._refused[refusal] = self._refused.get(refusal, 0) + count

    def _made(self, series: list[Key], key: int, count: int) -> Sample | None:
        """Return the sample of a word, or None where it has no code."""
        code = CODE_NAMES.get(key % CODES_WORDS)
        if code is None:
            return None
        name, labels = series[key // CODES_WORDS]
        metric = metrics.REQUESTS if name == REQUESTS else metrics.VERIFICATIONS
        return Sample(metric, (*labels, VERDICT_OF[code], code), count)

    def _derive(self, issuer: str, code: str, total: int) -> Sample:
        """Return what a refusal of an issuer counts for beside the verdict."""
        kept = self._derived.get((issuer, code))
        if kept is None or kept.value != total:
            if code in CLAIM_OF:
                kept = Sample(metrics.CLAIM_REFUSALS, (issuer, CLAIM_OF[code], code), total)
            else:
                kept = Sample(metrics.UNKNOWN_KIDS, (issuer,), total)
            self._derived[issuer, code] = kept
        return kept


def _refusal_of(sample: Sample) -> Refusal | None:
    """Return issuer and code of a verdict that counts for something beside it."""
    if sample.metric is not metrics.VERIFICATIONS:
        return None
    issuer, code = sample.labels[0], sample.labels[3]
    counts = code in CLAIM_OF or code in SECURITY_OF or code == "unknown_kid"
    return (issuer, code) if counts else None
