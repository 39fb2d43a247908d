"""What the gateway benchmarks write: results/gateways.json and the documentation's lines."""

from __future__ import annotations

import json
from typing import Any

from gateway import HERE

ROOT = HERE.parent
RESULTS = ROOT / "benchmarks" / "results" / "gateways.json"
BEGIN, END = "<!-- gateways:begin -->", "<!-- gateways:end -->"


OF_GRPC = "sidecar's CPU, grpcio / ngh2"


def ratios(found: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Return how many times as many requests a second we get in each set-up."""
    rates = {one["name"]: one["rate"] for part in found.values() for one in part}
    pairs = [(f"{name} rapidjws", f"{name} PyJWT") for name in (*found, "envoy+API")]
    pairs += [(f"envoy rapidjws {name}", "envoy jwt_authn") for name in ("gRPC", "grpcio", "HTTP")]
    spent = {one["name"]: one["sidecar_us"] for part in found.values() for one in part}
    names = ("envoy rapidjws grpcio", "envoy rapidjws gRPC")
    of_grpc = {OF_GRPC: spent[names[0]] / spent[names[1]]} if spent.keys() >= set(names) else {}
    return of_grpc | {
        f"{mine} / {theirs.rpartition(' ')[2]}": rates[mine] / rates[theirs]
        for mine, theirs in pairs
        if mine in rates and theirs in rates
    }


def _row(one: dict[str, Any], peer: float | None) -> str:
    times = f"**{one['rate'] / peer:.2f}**" if peer else "-"
    spent = f"{one['sidecar_us']:.0f}, {one['front_us']:.0f}"
    return f"| {one['name']} | {one['rate']:.0f} ({spent}) | {times} |"


def lines(results: dict[str, Any]) -> str:
    """Return the lines of docs/benchmarks.md."""
    text = [
        "Requests a second (ES256, loopback): the sidecar with one worker on one core; gateway, service",
        "and load on the other; in brackets microseconds of CPU a request in the sidecar and in the",
        "gateway. Written by `make bench-gateways`.",
        "",
        "| | requests a second | times PyJWT + uvicorn |",
        "| --- | ---: | ---: |",
    ]
    for rows in results["found"].values():
        rates = {one["name"]: one["rate"] for one in rows}
        text += [_row(one, rates.get(f"{one['name'].partition(' ')[0]} PyJWT")) for one in rows]
    found = results.get("open_loop")
    if found:
        text += [
            "",
            f"Open loop at {found['share']:.0%} of capacity (p99 under 10 ms), {found['rate']:.0f} requests"
            f" a second for {found['seconds']:.0f} s, latency from",
            "the scheduled moment, a key rotation and a promotion in the middle:"
            f" p50 {found['p50_ms']:.2f} ms, p95 {found['p95_ms']:.2f} ms,",
            f"p99 {found['p99_ms']:.2f} ms; of {found['requests']} requests {found['wrong']} got a wrong"
            f" verdict and {found['failed']} failed.",
        ]
    if found and found.get("load"):
        text += [
            "",
            "| requests a second, open loop | p99, ms | CPU of the sidecar a request, us |",
            "| ---: | ---: | ---: |",
        ]
        text += [
            f"| {one['rate']:.0f} | {one['p99_ms']:.2f} | {one['sidecar_us']:.1f} |" for one in found["load"]
        ]
    return "\n".join(text)


def write(found: dict[str, Any], taken: dict[str, float], open_loop: dict[str, Any] | None = None) -> None:
    """Write the results, keeping what this run did not measure, and the documentation's lines."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"found": {}, "ratios": {}}
    results["found"].update(found)
    results["ratios"].update({name: round(value, 3) for name, value in taken.items()})
    if open_loop is not None:
        results["open_loop"] = open_loop
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    page = ROOT / "docs" / "benchmarks.md"
    text = page.read_text("utf-8")
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    page.write_text(f"{text[:start]}\n{lines(results)}\n{text[end:]}", "utf-8")
