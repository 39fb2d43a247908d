"""How ``rapidjws keys status --admin`` looks: each worker's keys, and what a fresh fetch brings instead."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from rapidjws.cli.output import add_row, print_line

if TYPE_CHECKING:
    from collections.abc import Mapping


def problems_of(running: Mapping[str, Any]) -> list[str]:
    """Return what differs between the workers, and between each of them and a fresh fetch, a line each."""
    found = []
    for issuer, others in running["differs"].items():
        for other in others:
            why = f" ({other['code']})" if other["code"] else ""
            found.append(f"worker {other['pid']} differs for {_named(issuer)}{why}: {_kids(other)}")
    for issuer, fresh in running.get("fresh", {}).items():
        if fresh["fault"] is not None:
            found.append(f"no fresh keys of {_named(issuer)}: {fresh['fault']}")
            continue
        for report in running["workers"]:
            for row in report["issuers"]:
                if row["issuer"] == issuer and row["key_set"] != fresh["key_set"]:
                    apart = _kids(_compared(row["keys"], fresh["keys"]))
                    found.append(f"worker {report['pid']} has other keys of {_named(issuer)} than a fresh "
                                 f"fetch: {apart}")  # fmt: skip
    return found


def is_same(running: Mapping[str, Any]) -> bool:
    """Return whether all workers have the same keys, those of a fresh fetch where there was one."""
    fresh = running.get("fresh", {})
    sets = {row["issuer"]: row["key_set"] for report in running["workers"] for row in report["issuers"]}
    stale = any(one["fault"] is None and one["key_set"] != sets.get(iss) for iss, one in fresh.items())
    return not running["differs"] and not stale


def _compared(keys: list[dict[str, Any]], fresh: list[dict[str, Any]]) -> dict[str, list[Any]]:
    from rapidjws.sidecar.key_status import compared

    return compared(keys, fresh)


def _kids(apart: Mapping[str, Any]) -> str:
    words = [
        f"{name} {', '.join('(no kid)' if kid is None else str(kid) for kid in apart[name])}"
        for name in ("missing", "extra", "replaced")
        if apart[name]
    ]
    return "; ".join(words) or "other keys"


def _named(issuer: str | None) -> str:
    return issuer or "(any iss)"


def show_running(running: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what a running service answers of its keys.

    Args:
        running: Its answer to ``keys``.
        as_json: One JSON object an issuer of the worker that answered, with ``differs`` and ``fresh``.

    Raises:
        KeyError: It is none of this version; likewise TypeError, ValueError, AttributeError.
    """
    if as_json:
        for row in running["issuers"]:
            more = {"worker": running["worker"], "differs": running["differs"].get(row["issuer"], [])}
            holding = [
                {"pid": report["pid"], "key_set": other["key_set"], "age_s": other.get("age_s")}
                for report in running["workers"]
                for other in report["issuers"]
                if other["issuer"] == row["issuer"]
            ]
            fresh = running.get("fresh", {}).get(row["issuer"])
            print(json.dumps({**row, **more, "workers": holding, "fresh": fresh}))
        return
    print(f"worker {int(running['worker'])}")
    console = Console()
    table = Table("worker", "issuer", "kids", "age s", "stale in s", "state", "key set", box=None)
    for report in running["workers"]:
        for row in report["issuers"]:
            kids = " ".join("(no kid)" if kid is None else str(kid) for kid in row["kids"])
            ages = ("-" if row.get(name) is None else row[name] for name in ("age_s", "stale_in_s"))
            state = row["code"] or row.get("failure") or "ok"
            cells = (report["pid"], _named(row["issuer"]), kids or "none", *ages, state, row["key_set"])
            add_row(table, cells)
    console.print(table)
    for revocation in running["revocations"]:
        print_line(f"revoked: {json.dumps(revocation)}")
    for line in problems_of(running):
        print_line(line)
    if is_same(running) and len(running["workers"]) > 1:
        print_line(f"all {len(running['workers'])} workers have the same keys")
