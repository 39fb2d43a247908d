"""Results as tables in the documentation and README, as a plain table for the terminal, and as SVG plots."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import svg

PAGE, README = "docs/benchmarks.md", "README.md"
SMALL_ALGS = ("HS256", "RS256", "ES256", "ES384", "EdDSA")
SMALL_NAMES = (
    "rapidjws",
    "rapidjws batch of 64",
    "ryjwt",
    "PyJWT",
    "joserfc",
    "jsonwebtoken (Rust)",
    "golang-jwt (Go)",
)
PLOTTED = (
    "rapidjws",
    "rapidjws batch of 64",
    "ryjwt",
    "OxyJWT",
    "PyJWT",
    "jsonwebtoken (Rust)",
    "golang-jwt (Go)",
)


def name_of(entry: dict[str, Any]) -> str:
    """Name a peer's variant as the tables do."""
    return f"{entry['peer']} {entry['variant']}".strip()


def us(ns: float) -> str:
    """Show a time in microseconds with three digits that count."""
    value = ns / 1000
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def unique(names: Iterable[str]) -> list[str]:
    """List each name once, in the order of its first coming."""
    return list(dict.fromkeys(names))


def cells(results: dict[str, Any]) -> tuple[list[str], list[str], dict[tuple[str, str], dict[str, Any]]]:
    """Give the algorithms, the names, and the entry for each pair of them."""
    entries = results["results"]
    table = {(name_of(entry), entry["alg"]): entry for entry in entries}
    return unique(entry["alg"] for entry in entries), unique(map(name_of, entries)), table


def cell(entry: dict[str, Any] | None) -> str:
    """Show one cell: how many times as fast as the floor, and microseconds a token."""
    if entry is None:
        return "-"
    ratio = f"**{entry['times_floor']:.2f}** " if "times_floor" in entry else ""
    return f"{ratio}({us(entry['ns_min'])})"


def markdown(results: dict[str, Any]) -> str:
    """Return the tables of the documentation's page."""
    algs, names, table = cells(results)
    about = results["machine"]
    lines = [
        "How many times as fast as a bare `EVP_DigestVerify` with a fresh context, in the same run (higher",
        "is faster), and in brackets microseconds a token: parse, signature, exp, iss, aud, claims as a",
        f"native object. Best pass of many; {about['cpu']}, {about['system']}, one core unless said.",
        "Written by `make bench`; all figures are in `benchmarks/results/latest.json`.",
        "",
        "| | " + " | ".join(algs) + " |",
        "| --- |" + " ---: |" * len(algs),
    ]
    for name in names:
        version = next(table[name, alg]["version"] for alg in algs if (name, alg) in table)
        shown = " | ".join(cell(table.get((name, alg))) for alg in algs)
        lines.append(
            f"| {name} {'' if name.startswith('rapidjws') else version} | {shown} |".replace("  ", " ")
        )
    lines += ["", *latency_lines(results)]
    lines += [f"Not measured here: {title} ({reason})." for title, reason in results["missing"].items()]
    lines += ["", "![Time for a token](time_per_token.svg)"]
    return "\n".join(lines)


def latency_lines(results: dict[str, Any]) -> list[str]:
    """Write the table of single-call latencies, if any were measured."""
    entries = [entry for entry in results["results"] if "call_ns" in entry]
    if not entries:
        return []
    lines = [
        "| one `Engine.verify`, us; a token in 16 is refused | "
        + " | ".join(entry["alg"] for entry in entries)
        + " |"
    ]
    lines.append("| --- |" + " ---: |" * len(entries))
    for name in ("p50", "p95", "p99"):
        lines.append(f"| {name} | " + " | ".join(us(entry["call_ns"][name]) for entry in entries) + " |")
    return [*lines, ""]


def text(results: dict[str, Any]) -> str:
    """Write the plain table, with min, median, p95 and p99 of the passes in microseconds a token."""
    columns = ("x floor", "min", "median", "p95", "p99")
    head = f"{'alg':<10} {'peer':<34} {'version':<9} " + " ".join(f"{column:>9}" for column in columns)
    lines = [head]
    for entry in results["results"]:
        ratio = f"{entry['times_floor']:.3f}" if "times_floor" in entry else "-"
        times = " ".join(f"{us(entry[key]):>9}" for key in ("ns_min", "ns_median", "ns_p95", "ns_p99"))
        lines.append(f"{entry['alg']:<10} {name_of(entry):<34} {entry['version']:<9} {ratio:>9} {times}")
    lines += [f"missing: {title}: {reason}" for title, reason in results["missing"].items()]
    lines += [f"FAILED: {one['alg']} {one['peer']}: {one['reason']}" for one in results["failures"]]
    return "\n".join(lines)


def small(results: dict[str, Any]) -> str:
    """Return README's table: five algorithms, five peers, microseconds a token."""
    _, names, table = cells(results)
    algs = [alg for alg in SMALL_ALGS if any((name, alg) in table for name in SMALL_NAMES)]
    lines = ["| microseconds a token | " + " | ".join(algs) + " |", "| --- |" + " ---: |" * len(algs)]
    for name in SMALL_NAMES:
        if name in names:
            shown = [us(table[name, alg]["ns_min"]) if (name, alg) in table else "-" for alg in algs]
            lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def write_between(page: Path, marker: str, block: str) -> None:
    """Put a block between a page's markers; leave a page without them alone."""
    begin, end = f"<!-- {marker}:begin -->", f"<!-- {marker}:end -->"
    old = page.read_text("utf-8")
    if begin not in old or end not in old:
        return
    before, rest = old.split(begin, 1)
    after = rest.split(end, 1)[1]
    page.write_text(f"{before}{begin}\n{block}\n{end}{after}", "utf-8")


def write_all(results: dict[str, Any], folder: Path, root: Path) -> None:
    """Write the tables of documentation and README, and every plot that the results allow."""
    page = root / PAGE
    write_between(page, "bench", markdown(results))
    write_between(root / README, "speed", small(results))
    algs, names, table = cells(results)
    shown = [name for name in PLOTTED if name in names]
    groups = [(alg, [_us_or_none(table.get((name, alg))) for name in shown]) for alg in algs]
    (page.parent / "time_per_token.svg").write_text(
        svg.bars("Time for a token, one core, claims included", "microseconds (log)", shown, groups)
    )
    for curve in results.get("curves", {}).get("plots", []):
        (folder / f"{curve['name']}.svg").write_text(
            svg.lines(curve["title"], curve["x"], "tokens a second", curve["series"])
        )


def _us_or_none(entry: dict[str, Any] | None) -> float | None:
    return None if entry is None else float(entry["ns_min"]) / 1000
