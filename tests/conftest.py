"""Fixtures for every kind of test: where the third-party vectors lie, and which rapidjws is under test."""

from __future__ import annotations

import collections
import functools
import gc
import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
VECTORS_ABSENT = "third-party vectors absent: make vectors, or name their folder in RAPIDJWS_VECTORS"

LONGEST_NAME = 48
SHARED_BY_FOLDER = {"interop"}
SHARED_GATEWAYS = {"sidecar", "service", "gate", "grpc_port"}  # fixtures of a whole session
BY_THEMSELVES = {"test_runbooks", "test_gamedays"}  # each test has a service of its own, and mostly waits
IN_ORDER = {"test_testing_benchmarks"}  # each goes on with what the one before left
SHARED_BY_FILE = {"integration", "typing"}

settings.register_profile("bounded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bounded")


class VectorPath(type(Path())):  # type: ignore[misc]
    """A path below the vectors: a test that reads what is not there is skipped."""

    def read_bytes(self) -> bytes:
        """Return the file's octets, or skip the test."""
        if not self.exists():
            pytest.skip(VECTORS_ABSENT)
        octets: bytes = super().read_bytes()
        return octets

    def read_text(self, *args: object, **settings: object) -> str:
        """Return the file's text, or skip the test."""
        if not self.exists():
            pytest.skip(VECTORS_ABSENT)
        text: str = super().read_text(*args, **settings)
        return text


def vectors_folder() -> Path | None:
    """Give the folder of third-party verdicts, or None where it is absent."""
    named = os.environ.get("RAPIDJWS_VECTORS")
    beside = ROOT.parent / "shared" / "vectors"
    folder = Path(named) if named else beside if beside.is_dir() else ROOT / "build" / "vectors"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Give the folder of third-party verdicts; a test that asks is skipped where it is absent."""
    folder = vectors_folder()
    if folder is None:
        pytest.skip(VECTORS_ABSENT)
    return VectorPath(folder)


@pytest.fixture(autouse=True)
def tables_of_its_own() -> Iterator[None]:
    """Let no test find the precomputed tables of another: the engines of a process share them."""
    module = sys.modules.get("rapidjws._native.keys")
    if module is None:
        yield
        return
    kept = module.__dict__["_tables"]
    module.__dict__["_tables"] = weakref.WeakValueDictionary()
    yield
    module.__dict__["_tables"] = kept


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a long case, random ones among them, by its parameter: alike in all processes of a run."""
    long = isinstance(val, (bytes, bytearray, str)) and len(val) > LONGEST_NAME
    return argname if long else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a costly fixture (a driver, a gateway, Node) in one process of a parallel run."""
    for item in items:
        folder, file = item.path.parent.name, item.path.stem
        if folder == "gateways" and file not in BY_THEMSELVES:
            names = SHARED_GATEWAYS.intersection(getattr(item, "fixturenames", ()))
            item.add_marker(pytest.mark.xdist_group(folder if names else file))
        elif folder in SHARED_BY_FOLDER:
            item.add_marker(pytest.mark.xdist_group(folder))
        elif folder in SHARED_BY_FILE or file in IN_ORDER:
            item.add_marker(pytest.mark.xdist_group(file))


def pytest_report_header() -> list[str]:
    """Say which rapidjws and which vectors the run is about."""
    folder = vectors_folder()
    lines = [f"vectors: {folder if folder else 'absent'}"]
    try:
        import rapidjws
    except ImportError as fault:
        return [f"rapidjws: not importable ({fault})", *lines]
    return [f"rapidjws: {next(iter(rapidjws.__path__))}", *lines]


def pytest_sessionstart() -> None:
    """Refuse to test another copy than the one RAPIDJWS_TEST_FROM names: a wheel, an instrumented build."""
    named = os.environ.get("RAPIDJWS_TEST_FROM")
    if not named:
        return
    import rapidjws

    where = Path(next(iter(rapidjws.__path__))).resolve()
    if not where.is_relative_to(Path(named).resolve()):
        pytest.exit(f"rapidjws was to be tested from {named}, but {where} was imported", returncode=3)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was left out by its reason: a line each, with what would bring it back."""
    reasons: collections.Counter[str] = collections.Counter()
    for report in terminalreporter.stats.get("skipped", []):
        where = report.longrepr
        reason = where[2] if isinstance(where, tuple) else str(where)
        reasons[VECTORS_ABSENT if VECTORS_ABSENT in reason else reason.removeprefix("Skipped: ")] += 1
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"left out: {count} x {reason}", yellow=True)


def pytest_collection_finish() -> None:
    """Take what a run repeats off its tests: the command line's commands are built once."""
    spare_what_stays()
    runner = sys.modules.get("typer.testing")
    if hasattr(runner, "_get_command"):
        runner._get_command = functools.cache(runner._get_command)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Spare what a file leaves behind, modules and reports: it lives to the end of the run."""
    if nextitem is not None and nextitem.path != item.path:
        spare_what_stays()


def spare_what_stays() -> None:
    """Let later garbage collections pass over all objects of now.

    They are millions towards the end of a run, and some tests collect hundreds of times.
    """
    gc.collect()
    gc.freeze()
