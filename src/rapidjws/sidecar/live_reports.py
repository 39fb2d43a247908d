"""The reports of the workers that live, as they are now."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING, Any

from rapidjws.sidecar.key_status import aged

if TYPE_CHECKING:
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.report_writer import ReportWriter


def live_reports(bus: ChangeBus, writer: ReportWriter | None) -> list[dict[str, Any]]:
    """Return what each living worker reports, its ages counted on to now.

    Args:
        bus: The workers' shared memory.
        writer: The writer of the worker that is asked: its report is made anew.
    """
    pids = {worker.pid for worker in bus.workers()}
    now_s = monotonic()
    found = [] if writer is None else [writer.report()]
    for report in bus.reports.all():
        if report["pid"] in pids and report["pid"] != os.getpid():
            by_s = max(0.0, now_s - report["written_s"])
            found.append({**report, "issuers": [aged(row, by_s) for row in report["issuers"]]})
    return sorted(found, key=lambda report: report["index"])
