"""A timeline as Markdown, to begin a postmortem with."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rapidjws import escaping
from rapidjws.observe.timeline import KINDS, times_of
from rapidjws.observe.timeline_plot import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.observe.timeline import Entry, Timeline


def timeline_markdown(timeline: Timeline, sources: Sequence[str], plot: str | None = None) -> str:
    """Return a timeline as Markdown; foreign text is escaped.

    Args:
        timeline: The entries.
        sources: What was read, a line each.
        plot: The file that holds the plot, or None.
    """
    entries = timeline.entries()
    text = [
        f"# Incident of {moment(timeline.since_s)[:10]}",
        "",
        f"From {moment(timeline.since_s)} to {moment(timeline.until_s)} UTC. Read: "
        f"{escaping.markdown('; '.join(sources), 2000) or 'nothing'}.",
        "",
        *([f"![Timeline]({escaping.markdown(plot)})", ""] if plot else []),
        "## Times",
        "",
        *_times(entries),
        "",
        "## Timeline",
        "",
        *_rows(timeline, entries),
        "",
        "## Refused tokens by code",
        "",
        *_refusals(entries),
        "",
        "## To be written",
        "",
        "- What users and partners saw:",
        "- Cause, and what set it off:",
        "- What helped, and what did not:",
        "- What will be different, who does it, until when:",
    ]
    return "\n".join(text) + "\n"


def _times(entries: list[Entry]) -> list[str]:
    times = times_of(entries)
    if times.first_sign_s is None:
        return ["No trouble in this time."]
    rows = ["| | when (UTC) | after the first sign |", "| --- | --- | --- |"]
    named = (
        ("first sign", times.first_sign_s),
        ("detected: first alert", times.detected_s),
        ("first action", times.acted_s),
        ("last sign", times.recovered_s),
    )
    for name, at_s in named:
        after = "-" if at_s is None else span(at_s - times.first_sign_s)
        rows.append(f"| {name} | {'not in these sources' if at_s is None else moment(at_s)} | {after} |")
    return rows


def span(seconds: float) -> str:
    """Return a time that passed, in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _rows(timeline: Timeline, entries: list[Entry]) -> list[str]:
    if not entries:
        return ["Nothing happened in this time."]
    rows = [
        "| when (UTC) | kind | what | of whom | detail | times |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in entries:
        workers = f", {len(one.workers)} workers" if len(one.workers) > 1 else ""
        cells = (moment(one.at_s), KINDS[one.kind], f"`{_code(one.what)}`", escaping.markdown(one.whom),
                 escaping.markdown(one.detail), f"{one.count}{workers}")  # fmt: skip
        rows.append("| " + " | ".join(cells) + " |")
    if timeline.left_out:
        rows += ["", f"{timeline.left_out} more were left out: choose a shorter time."]
    return rows


def _refusals(entries: list[Entry]) -> list[str]:
    found: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for one in entries:
        if one.kind == "refusal":
            found[one.what, one.whom].append(one)
    if not found:
        return ["None."]
    rows = ["| code | of whom | tokens | first | last |", "| --- | --- | --- | --- | --- |"]
    for (code, whom), listed in sorted(found.items(), key=lambda item: -sum(one.count for one in item[1])):
        first, last = min(one.at_s for one in listed), max(one.last_s for one in listed)
        count = sum(one.count for one in listed)
        rows.append(
            f"| `{_code(code)}` | {escaping.markdown(whom)} | {count} | {moment(first)} | {moment(last)} |"
        )
    return rows


def _code(text: str) -> str:
    return "".join(char for char in text if char.isalnum() or char in "_-.")
