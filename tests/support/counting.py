"""Workers that count requests into a folder, for tests in this process and in others."""

from __future__ import annotations

from pathlib import Path

from rapidjws.rollout.counters import Request
from rapidjws.rollout.evidence import Evidence

NOW_S = 1_800_000_000
KEY = ("a", "")


def bad(now_s: int = NOW_S) -> Request:
    """Return a request without a token."""
    return Request(code="missing_token", now_s=now_s, elapsed_ns=1, failed=True, refused=False)


def worker(folder: Path, count: int, now_s: int = NOW_S) -> Evidence:
    """Return a worker that counted some requests and put them by."""
    one = Evidence(folder)
    for _ in range(count):
        one.count(KEY, bad(now_s))
    one.flush()
    return one


def seen(folder: Path) -> int:
    """Return how many requests a reader sees."""
    row = Evidence(folder).rows().get(KEY)
    return 0 if row is None else row.codes["missing_token"][0]


def files(folder: Path) -> list[str]:
    """Return the workers' files."""
    return sorted(path.name for path in folder.glob("evidence-*-*.json"))
