"""Fixtures of the suites: pinned to one CPU, ratios reported beside pytest-benchmark's own numbers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from session import claim_cpus, pinned_cpus, release_cpus


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """Run the test pinned to one CPU, as the peers are."""
    before = os.sched_getaffinity(0)
    claim_cpus(pinned_cpus(1))
    yield
    release_cpus(before)


@pytest.fixture
def all_cpus() -> Iterator[None]:
    """Run the test, and the threads it starts, ahead of other processes on all CPUs."""
    before = os.sched_getaffinity(0)
    claim_cpus(before)
    yield
    release_cpus(before)
