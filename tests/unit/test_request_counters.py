"""Counts of requests in shared memory: bounded, kept when a worker dies, added up over workers."""

from __future__ import annotations

import os

import pytest

from rapidjws.sidecar.request_counters import RequestCounters


def test_S3_counts_of_all_workers_are_added_up() -> None:
    """Each worker counts for itself; whoever reads has the sums, of requests and of refused ones."""
    counters = RequestCounters(3)
    first, last = counters.of_worker(0), counters.of_worker(2)
    for _ in range(3):
        first.count("acme", "/pay", "ok", refused=False)
    last.count("acme", "/pay", "ok", refused=False)
    last.count("acme", "/pay", "expired", refused=True)
    last.count("", "", "missing_token", refused=True)
    assert counters.totals() == (
        {
            ("acme", "/pay", "ok"): [4, 0],
            ("acme", "/pay", "expired"): [1, 1],
            ("", "", "missing_token"): [1, 1],
        },
        0,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_S3_counts_of_a_dead_worker_are_kept() -> None:
    """A worker that is started again goes on where the one before it ended, under the same names."""
    counters = RequestCounters(2)
    for number in range(3):
        pid = os.fork()
        if not pid:
            region = counters.of_worker(1)
            region.count("acme", "", "ok", refused=False)
            region.count("acme", "", f"code{number}", refused=True)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    totals, unnamed = counters.totals()
    assert totals.pop(("acme", "", "ok")) == [3, 0]
    assert totals == {("acme", "", f"code{number}"): [1, 1] for number in range(3)}
    assert unnamed == 0


@pytest.mark.parametrize(("series_max", "names_max", "kept"), [(3, 1024, 3), (4, 1024, 4), (100, 32, 3)])
def test_S3_series_are_bounded(series_max: int, names_max: int, kept: int) -> None:
    """What finds no room is counted without a name, and the neighbour's region stays as it was."""
    counters = RequestCounters(2, series_max=series_max, names_max=names_max)
    neighbour = counters.of_worker(1)
    neighbour.count("n", "", "ok", refused=False)
    region = counters.of_worker(0)
    for number in range(10):
        region.count(f"p{number}", "", "abcd", refused=True)  # ten octets each, with their size
    again = counters.of_worker(0)
    again.count("p0", "", "abcd", refused=False)
    again.count("p9", "", "abcd", refused=False)
    assert neighbour.totals() == ({("n", "", "ok"): [1, 0]}, 0)
    totals, unnamed = again.totals()
    assert totals == {(f"p{number}", "", "abcd"): [2 - bool(number), 1] for number in range(kept)}
    assert unnamed == 10 - kept + 1


@pytest.mark.parametrize("name", ["a\0b", "\0", "p" * 70_000])
def test_S3_names_that_cannot_be_kept(name: str) -> None:
    """A name with the separator in it, or one beyond any bound, is counted without its name."""
    counters = RequestCounters(1)
    counters.of_worker(0).count(name, "", "ok", refused=False)
    assert counters.totals() == ({}, 1)
