"""Reports of workers in shared memory, and the questions that are answered from them."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from rapidjws.sidecar.key_status import aged, compared, differences, key_members, key_set_mark
from rapidjws.sidecar.recent_events import EVENTS_KEPT, RecentEvents
from rapidjws.sidecar.worker_reports import WorkerReports
from rapidjws.testing import make_key
from rapidjws.verify.protocols import Event


@pytest.fixture
def reports() -> Any:
    """Give the reports of three workers, with little module."""
    one = WorkerReports(3, size_bytes=4096)
    yield one
    one.close()


def test_K_a_report_is_read_whole_or_not_at_all(reports: WorkerReports) -> None:
    """Whoever reads while a worker writes gets one of its reports; what was never written is none."""
    assert reports.read(1) is None
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            reports.write(1, {"number": number, "filling": [number] * (number % 300)})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [found for _ in range(300) if (found := reports.read(1)) is not None]
    finally:
        stop.set()
        writer.join()
    assert seen
    assert all(set(found["filling"]) <= {found["number"]} for found in seen)
    assert reports.read(1) == reports.all()[0]
    assert reports.read(0) is None


def test_K_a_report_without_module_leaves_the_one_before(reports: WorkerReports) -> None:
    """A worker with more keys than there is room for keeps its last report, and its neighbours theirs."""
    assert reports.write(0, {"a": 1})
    assert reports.write(1, {"b": 2})
    assert not reports.write(0, {"a": "x" * 4096})
    assert reports.all() == [{"a": 1}, {"b": 2}]


def test_K_a_forked_worker_reports_to_its_parent(reports: WorkerReports) -> None:
    """The memory is shared with children, and stays when they end."""
    pid = os.fork()
    if not pid:
        reports.write(2, {"pid": os.getpid()})
        os._exit(0)
    os.waitpid(pid, 0)
    assert reports.read(2) == {"pid": pid}


def row(*kids: str, issuer: str = "https://a.example", age_s: float = 10.0, **more: Any) -> dict[str, Any]:
    """Return a worker's row with keys of which the thumbprint is the kid, or what follows a slash."""
    keys = [{"kid": kid.partition("/")[0], "thumbprint": kid.rpartition("/")[2]} for kid in kids]
    shown = {"issuer": issuer, "keys": keys, "key_set": key_set_mark(keys), "age_s": age_s, "code": None}
    return {**shown, **more}


def test_K_workers_that_differ_are_named() -> None:
    """Against the youngest set a worker lacks keys, has more, or has other material under one kid."""
    young = {"pid": 1, "issuers": [row("b", "c", "d", age_s=1.0)]}
    old = {"pid": 2, "issuers": [row("a", "b", "c/other", age_s=500.0)]}
    none = {"pid": 3, "issuers": [row(code="keys_unavailable", age_s=None)]}  # type: ignore[arg-type]
    same = {"pid": 4, "issuers": [row("d", "c", "b", age_s=300.0)]}
    (found,) = differences([young, old, none, same]).values()
    assert found == [
        {"pid": 2, "code": None, "missing": ["d"], "extra": ["a"], "replaced": ["c"]},
        {"pid": 3, "code": "keys_unavailable", "missing": ["b", "c", "d"], "extra": [], "replaced": []},
    ]
    assert differences([young, same]) == {}
    assert differences([none, none]) == {}
    assert compared([], []) == {"missing": [], "extra": [], "replaced": []}


def test_K_a_row_grows_older() -> None:
    """What was written some seconds ago is shown with its ages of now; what is unknown stays so."""
    found = aged(
        {"age_s": 5.0, "fresh_for_s": 1.0, "stale_in_s": None, "next_refresh_s": 1.0, "kids": []}, 3.0
    )
    assert found == {"age_s": 8.0, "fresh_for_s": -2.0, "stale_in_s": None, "next_refresh_s": 0.0, "kids": []}


def test_K_no_thumbprint_of_a_secret() -> None:
    """The thumbprint of a short secret tells it: only those of public keys are shown."""
    assert key_members(make_key("HS256"))["thumbprint"] is None
    key = make_key("ES256").public()
    assert key_members(key)["thumbprint"] == key.thumbprint()


def test_K_events_of_one_kind_are_counted() -> None:
    """An outage is one line with a count; the oldest of too many go; foreign text is printable and short."""
    recent = RecentEvents()
    for _ in range(3):
        recent(Event(name="fetch_failed", issuer="https://a.example", detail="timeout"))
        recent(Event(name="fetch_ok", issuer="https://a.example"))
    recent(Event(name="kid_rebound", issuer="https://a.example", kid="\x1b[31m" + "k" * 5000))
    first, second = recent.listed()
    assert (first["event"], first["count"], first["detail"]) == ("fetch_failed", 3, "timeout")
    assert "\x1b" not in second["kid"]
    assert len(second["kid"]) <= 240
    for number in range(EVENTS_KEPT + 5):
        recent(Event(name="keys_changed", issuer=f"https://{number}.example"))
    assert len(recent.listed()) == EVENTS_KEPT


def test_a_report_with_an_octet_of_another_is_none() -> None:
    """What its checksum does not fit was written while it was read, or its worker died: it is not shown."""
    reports = WorkerReports(1, size_bytes=1000)
    assert reports.write(0, {"pid": 1234})
    at = bytes(reports._memory).index(b"1234")
    reports._memory[at : at + 1] = b"9"
    assert reports.read(0) is None
    reports.close()
