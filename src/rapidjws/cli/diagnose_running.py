"""``rapidjws diagnose key --admin``: where a key is, in each worker of a running service and freshly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rapidjws.cli.output import print_line
from rapidjws.diagnose.availability import KeyAvailability, key_availability

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningKey:
    """Where a kid of one issuer was found.

    Attributes:
        availability: As the worker that answered sees it, against a fresh fetch.
        workers: Each worker with ``pid``, ``state`` (``"in use"``, ``"other key"`` or ``"absent"``),
            ``thumbprint``, ``age_s`` and ``code``.
        differ: The workers that have another key, or none, than the others.
    """

    availability: KeyAvailability
    workers: tuple[dict[str, Any], ...]
    differ: tuple[int, ...]

    @property
    def is_available(self) -> bool:
        """Return whether each worker uses the key, and a fresh fetch where there was one holds it."""
        states = {worker["state"] for worker in self.workers}
        return self.availability.state == "available" and states == {"in use"} and not self.differ

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        found = self.availability.as_dict()
        return {**found, "workers": list(self.workers), "differ": list(self.differ)}


def running_keys(running: Mapping[str, Any], kid: str, issuer: str | None) -> list[RunningKey]:
    """Return where a kid is, for each issuer that has anything to do with it.

    Args:
        running: A service's answer to ``keys?fresh=1&jwks=1``.
        kid: The kid asked for.
        issuer: The one issuer to look at, or None for those of which a worker or a fresh fetch has the kid;
            where there is none, all.

    Raises:
        KeyError: It is no answer of this version; likewise TypeError, ValueError, AttributeError.
    """
    _ = running["workers"], running["fresh"], running["jwks"]
    rows = {row["issuer"]: row for row in running["issuers"]}
    names = [name for name in rows if issuer is None or name == issuer]
    if issuer is None:
        names = [name for name in names if _is_concerned(running, name, kid)] or names
    return [_running_key(running, name, rows[name], kid) for name in names]


def _is_concerned(running: Mapping[str, Any], issuer: str, kid: str) -> bool:
    sets: list[Iterable[Mapping[str, Any]]] = [
        row["keys"] for report in running["workers"] for row in report["issuers"] if row["issuer"] == issuer
    ]
    sets.append(running["fresh"].get(issuer, {}).get("keys", ()))
    return any(key["kid"] == kid for keys in sets for key in keys)


def _running_key(running: Mapping[str, Any], issuer: str, row: Mapping[str, Any], kid: str) -> RunningKey:
    fresh = running["fresh"].get(issuer)
    has_fresh = fresh is not None and fresh["fault"] is None
    availability = key_availability(
        kid,
        {"keys": running["jwks"][issuer]},
        {"keys": fresh["jwks"]} if has_fresh else None,
        issuer=issuer,
        cache_age_s=row.get("age_s"),
        stale_after_s=(row.get("age_s") or 0.0) + max(row.get("stale_in_s") or 0.0, 0.001),
        fetch_fault=None if fresh is None else fresh["fault"],
    )
    prints = {key["kid"]: key["thumbprint"] for key in (fresh["keys"] if has_fresh else row["keys"])}
    workers = tuple(
        _worker(report, other, kid, prints.get(kid))
        for report in running["workers"]
        for other in report["issuers"]
        if other["issuer"] == issuer
    )
    states = [worker["state"] for worker in workers]
    usual = "in use" if "in use" in states else max(set(states), key=states.count, default="absent")
    differ = tuple(worker["pid"] for worker in workers if worker["state"] != usual)
    return RunningKey(availability=availability, workers=workers, differ=differ)


def _worker(
    report: Mapping[str, Any], row: Mapping[str, Any], kid: str, wanted: str | None
) -> dict[str, Any]:
    mine = [key["thumbprint"] for key in row["keys"] if key["kid"] == kid]
    state = "absent" if not mine else "in use" if wanted in (None, mine[0]) else "other key"
    found = mine[0] if mine else None
    ages = {"age_s": row.get("age_s"), "code": row["code"]}
    return {"pid": report["pid"], "state": state, "thumbprint": found, **ages}


def show_running_keys(found: list[RunningKey], *, as_json: bool) -> None:
    """Print where a key is."""
    if as_json:
        print(json.dumps([one.as_dict() for one in found], indent=2))
        return
    for one in found:
        answer = one.availability
        print_line(f"{answer.issuer or '(any iss)'}: {answer.state}")
        print_line(f"  {answer.text}")
        for worker in one.workers:
            age = "" if worker["age_s"] is None else f", keys {worker['age_s']:.0f} s old"
            code = f", {worker['code']}" if worker["code"] else ""
            mark = ": differs from the others" if worker["pid"] in one.differ else ""
            print_line(f"  worker {worker['pid']}: {worker['state']}{age}{code}{mark}")
        if answer.fetch_fault is not None:
            print_line(f"  no fresh keys: {answer.fetch_fault}")
        elif answer.kids_fresh is not None:
            print_line(f"  fresh kids: {', '.join(map(str, answer.kids_fresh)) or 'none'}")
