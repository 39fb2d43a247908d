"""The run of ``rapidjws audit verify``: with a progress bar, taken up where it was, and its reports."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from rapidjws import _files
from rapidjws.audit import ContentKeys, SavedPieces, TrailReader, Verification, VerificationReport, Wanted
from rapidjws.audit.report_html import page
from rapidjws.cli.output import print_line


def run_verification(
    reader: TrailReader,
    wanted: Wanted,
    *,
    keys: ContentKeys | None,
    jobs: int,
    resume: Path | None,
    is_quiet: bool,
) -> VerificationReport:
    """Verify a trail and show how far that is; the file of an interrupted run goes once it is done."""
    saved = None if resume is None else SavedPieces(resume)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=is_quiet or not console.is_terminal
    ) as bar:
        task = bar.add_task("verifying", total=reader.size)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        report = Verification(reader, wanted, jobs=jobs, progress=show, saved=saved, keys=keys).run()
    if saved is not None:
        saved.forget()
    return report


def show_report(report: VerificationReport, *, as_json: bool, html: Path | None) -> None:
    """Print a report, and write it as HTML where that is asked for; raises OSError."""
    if html is not None:
        _files.write_output(html, page(report).encode())
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
        return
    print_line(f"{report.origin}: {report.size} records, root {report.root}")
    if report.resumed:
        print_line(f"{report.resumed} records were looked at by a run before")
    print_line(f"looked at {report.records}; verified again with the same verdict: {report.agreed}")
    for why, count in sorted(report.not_verified_again.items()):
        print_line(f"not verified again: {count} ({why})")
    if report.lost:
        print_line(f"decisions without a record, as gap records say: {report.lost}")
    if report.timestamps:
        covered = f"{report.time_stamped} of {report.size} records, at {report.time_stamped_at}"
        print_line(f"time stamps: {report.timestamps}; the newest covers {covered}")
    if report.timestamps_unchecked:
        print_line(f"time stamps not looked at, without --timestamp-roots: {report.timestamps_unchecked}")
    for one in report.findings:
        where = "" if one.record is None else f" record {one.record}"
        more = "" if one.expected is None else f": expected {one.expected}, found {one.actual}"
        print_line(f"{one.code} at {one.place}{where}: {one.cause}{more}")
    bad = f"{len(report.findings)} findings" if report.findings else "no decision was looked at"
    print_line("good" if report.is_good else f"NOT GOOD: {bad}")
