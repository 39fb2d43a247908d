"""Samples of the series that have a word a code: verdicts and requests, and what follows from refusals.

What a word counts is named once, when it is no longer zero; a reading fetches the counts.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.errors import CODES
from rapidjws.observe import metric_list as metrics
from rapidjws.observe.reading import Columns, Sample
from rapidjws.verify.verdict_counters import CODE_WORDS, OK, VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REQUESTS: Final = "requests"
"""The series of requests: labels partner and route, a word a code."""

BY_CODE: Final = {VERDICTS: metrics.VERIFICATIONS, REQUESTS: metrics.REQUESTS}
"""Series with a word a code -> their metric."""

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

REFUSALS: Final = frozenset({*CLAIM_OF, *SECURITY_OF, "unknown_kid"})
"""Codes of verdicts that count for something beside."""

Key = tuple[str, tuple[str, ...]]
Refusal = tuple[str, str]
"""Issuer and code."""


class CodeSamples:
    """Reads the series of one metric, with a word a code; the caller keeps threads apart.

    Args:
        name: One of ``BY_CODE``.
    """

    __slots__ = ("_counted", "_groups", "_keys", "_labels", "_metric", "_refusals", "_scan")

    def __init__(self, name: str) -> None:
        self._metric = BY_CODE[name]
        self._groups: dict[Key, list[int]] = {}  # series -> where its blocks lie
        self._scan = _native.CounterScan(())
        self._keys: list[int] = []  # the words that were not zero at the last reading
        self._counted: list[bool] = []  # of each: whether it has a code; what follows is of those only
        self._labels: list[tuple[str, ...]] = []
        self._refusals: dict[Refusal, list[int]] = {}  # which of them count for something beside the verdict

    def add(self, series: Key, address: int) -> None:
        """Take up a series of one worker; ``scan`` makes it read."""
        self._groups.setdefault(series, []).append(address)

    def scan(self) -> None:
        """Read all series that were added, from now on."""
        self._scan = _native.CounterScan(list(self._groups.values()))

    def read(self) -> tuple[Columns, dict[Refusal, int]]:
        """Return the samples, and how often issuers' tokens were refused with codes that mean more."""
        found = self._scan.nonzero()
        keys = found[::2]
        if keys != self._keys:
            self._begin(keys)
        counts = list(compress(found[1::2], self._counted))
        refused = {one: sum([counts[at] for at in places]) for one, places in self._refusals.items()}
        return Columns(self._metric, self._labels, counts), refused

    def _begin(self, keys: list[int]) -> None:
        """Name the words anew, where some are new."""
        series = list(self._groups)
        known = dict(zip(compress(self._keys, self._counted), self._labels, strict=True))
        self._keys, self._labels, self._refusals = keys, [], {}
        self._counted = [key % CODES_WORDS in CODE_NAMES for key in keys]
        for key in compress(keys, self._counted):
            code = CODE_NAMES[key % CODES_WORDS]
            labels = known.get(key) or (*series[key // CODES_WORDS][1], VERDICT_OF[code], code)
            if self._metric is metrics.VERIFICATIONS and code in REFUSALS:
                self._refusals.setdefault((labels[0], code), []).append(len(self._labels))
            self._labels.append(labels)


def derived(refused: Mapping[Refusal, int]) -> Iterator[Sample]:
    """Yield what refusals count for beside the verdict: refused claims, unknown kids, signs of an attack."""
    for (issuer, code), total in refused.items():
        if code in CLAIM_OF:
            yield Sample(metrics.CLAIM_REFUSALS, (issuer, CLAIM_OF[code], code), total)
        elif code in SECURITY_OF:
            yield Sample(metrics.SECURITY_EVENTS, (SECURITY_OF[code], issuer), total)
        else:
            yield Sample(metrics.UNKNOWN_KIDS, (issuer,), total)
