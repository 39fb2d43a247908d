"""Counts over the last minutes: samples of counters that only grow, and the differences between them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import CODES
from rapidjws.jwt.decision import OK
from rapidjws.observe.reading import quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

SAMPLE_S: Final = 5.0
"""Seconds between two samples."""

KEPT_S: Final = 3700.0
WINDOWS_S: Final = (60, 300, 3600)
"""Windows that a status has, in seconds."""

EVIDENCE_BOUNDS_S: Final = tuple((1 << power) / 1e9 for power in range(40))
"""Upper bounds of the evidence's counts of latencies: powers of two of nanoseconds."""

SERIES_S: Final = 300
SERIES_STEP_S: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CountSample:
    """What was counted up to a moment.

    Attributes:
        at_s: The moment, in monotonic seconds.
        codes: Code, ``"ok"`` among them -> requests.
        refused: Requests that were refused in fact.
        restarts: Workers that were started again.
        floods: Issuer -> floods of unknown kids.
        latency: How long verifications took: counts, by the bounds of the history.
    """

    at_s: float
    codes: Mapping[str, int] = field(default_factory=dict)
    refused: int = 0
    restarts: int = 0
    floods: Mapping[str, int] = field(default_factory=dict)
    latency: tuple[int, ...] = ()


class StatusHistory:
    """The samples of the last hour; a window goes back to the first one at most.

    Args:
        bounds_s: Upper bounds of the counts of latencies, in seconds.
    """

    __slots__ = ("_bounds_s", "_samples")

    def __init__(self, bounds_s: tuple[float, ...] = EVIDENCE_BOUNDS_S) -> None:
        self._bounds_s = bounds_s
        self._samples: deque[CountSample] = deque()

    def is_due(self, now_s: float) -> bool:
        """Return whether the last sample is old enough for another one."""
        return not self._samples or now_s - self._samples[-1].at_s >= SAMPLE_S

    def add(self, sample: CountSample) -> None:
        """Keep a sample; one thread at a time."""
        self._samples.append(sample)
        while sample.at_s - self._samples[0].at_s > KEPT_S:
            self._samples.popleft()

    def window(self, seconds: float, latest: CountSample) -> dict[str, Any]:
        """Return the counts of the last seconds up to a sample.

        Returns:
            ``seconds``, as asked; ``covered_s``, of which there are samples; ``requests``, ``permit``,
            ``deny`` and ``indeterminate`` by the verdict on the token; ``refused`` in fact; ``restarts``;
            ``unknown_kid_floods`` by issuer, without those that had none;
            ``codes`` with code, verdict and count, the most frequent first, without the good ones.
        """
        first = self._at(latest.at_s - seconds) or latest
        counts = {code: count - first.codes.get(code, 0) for code, count in latest.codes.items()}
        verdicts = {"permit": 0, "deny": 0, "indeterminate": 0}
        for code, count in counts.items():
            verdicts[verdict_of(code)] += count
        rows = [{"code": code, "verdict": verdict_of(code), "count": count}
                for code, count in counts.items() if count > 0 and code != OK]  # fmt: skip
        return {
            "seconds": seconds,
            "covered_s": round(latest.at_s - first.at_s, 1),
            "requests": sum(verdicts.values()),
            **verdicts,
            "refused": latest.refused - first.refused,
            "restarts": latest.restarts - first.restarts,
            "unknown_kid_floods": {
                issuer: count - first.floods.get(issuer, 0)
                for issuer, count in latest.floods.items()
                if count > first.floods.get(issuer, 0)
            },
            "codes": sorted(rows, key=lambda row: (-int(str(row["count"])), row["code"])),
        }

    def latency_us(self, seconds: float, latest: CountSample) -> dict[str, float]:
        """Return p50, p95 and p99 of verification over the last seconds, in microseconds, and how many.

        A percentile is interpolated between two bounds.
        """
        first = self._at(latest.at_s - seconds) or latest
        before = first.latency or (0,) * len(latest.latency)
        counts = tuple(mine - old for mine, old in zip(latest.latency, before, strict=True))
        found = {name: quantile(counts, self._bounds_s, share) or 0.0 for name, share in _SHARES.items()}
        return {**{name: round(value * 1e6, 1) for name, value in found.items()}, "requests": sum(counts)}

    def series(self, latest: CountSample) -> list[dict[str, float]]:
        """Return requests, and those refused or without a verdict, a second, by steps of the last minutes."""
        found = []
        for back_s in range(SERIES_S, 0, -SERIES_STEP_S):
            first, last = self._at(latest.at_s - back_s), self._at(latest.at_s - back_s + SERIES_STEP_S)
            last = latest if back_s == SERIES_STEP_S else last
            if first is None or last is None or last.at_s <= first.at_s:
                found.append({"requests": 0.0, "deny": 0.0, "indeterminate": 0.0})
                continue
            sums = {"requests": 0, "deny": 0, "indeterminate": 0}
            for code, count in last.codes.items():
                more = count - first.codes.get(code, 0)
                sums["requests"] += more
                if code != OK:
                    sums[verdict_of(code)] += more
            span_s = last.at_s - first.at_s
            found.append({name: round(count / span_s, 2) for name, count in sums.items()})
        return found

    def _at(self, when_s: float) -> CountSample | None:
        """Return the last sample up to a moment; the first one where all are later; None without any."""
        found = self._samples[0] if self._samples else None
        for sample in self._samples:
            if sample.at_s > when_s:
                break
            found = sample
        return found


_SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def verdict_of(code: str) -> str:
    """Return the verdict on a token with a code: ``"permit"``, ``"deny"`` or ``"indeterminate"``."""
    return "permit" if code == OK else CODES[code].outcome if code in CODES else "deny"
