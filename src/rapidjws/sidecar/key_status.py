"""The keys of an engine's issuers as they are now: which, how old, and why there are none."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, wait
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import RapidJWSError
from rapidjws.keys import FetchFailed
from rapidjws.keys.fetched import FetchedKeys
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rapidjws.jose.jwk import JWK
    from rapidjws.jwt.engine import Engine

PROBE_S: Final = 6.0
"""Longest wait for fresh fetches, in seconds: that of one fetch by default, and one more."""

KEY_SET_CHARS: Final = 12
_THUMBPRINTS_KEPT: Final = 20_000
_thumbprints: dict[JWK, str | None] = {}

AGES: Final = {"age_s": 1, "fresh_for_s": -1, "stale_in_s": -1, "next_refresh_s": -1}
"""Members of a row that grow or shrink by a second a second."""


def key_rows(engine: Engine) -> list[dict[str, Any]]:
    """Return one row an issuer; nothing is fetched.

    Returns:
        ``issuer``; ``source``, an address or a file; ``required``; ``kids``; ``keys`` with kid, thumbprint,
        alg, and ``seen_s``, seconds since a rotation brought it; ``key_set``, which is the same for the same
        keys; ``code``, why there are no keys, or None; of fetched sets ``age_s``, ``fresh_for_s``,
        ``next_refresh_s`` and ``stale_in_s`` in seconds, ``fetches``, ``failures`` in a row and ``failure``,
        why the last one failed; ``skew`` where the issuer's clock is measured.
    """
    return [key_row(engine, issuer.name) for issuer in engine.issuers]


def key_row(engine: Engine, issuer: str) -> dict[str, Any]:
    """Return the row of one issuer, as :func:`key_rows` does."""
    source = engine.source_of(issuer)
    row: dict[str, Any] = {"issuer": issuer}
    if isinstance(source, FetchedKeys):
        status = source.status()
        row |= {"source": status.name, "failure": status.last_failure}
        row |= {"age_s": _rounded(status.age_s), "fresh_for_s": _rounded(status.fresh_for_s)}
        row |= {"stale_in_s": _rounded(status.stale_in_s), "next_refresh_s": _rounded(status.next_refresh_s)}
        row |= {"fetches": status.fetches, "failures": status.failures}
    elif source is not None:
        row["source"] = getattr(source, "name", type(source).__name__)
    state = engine.key_state(issuer)
    row["required"] = next((one.required for one in engine.issuers if one.name == issuer), True)
    row["code"] = state.code if state.keys is None else None
    row["kids"] = [] if state.keys is None else [key.kid for key in state.keys]
    now_s = monotonic()
    row["keys"] = [
        {**key_members(key), "seen_s": _age(state.first_seen.get(key.kid or ""), now_s)}
        for key in state.keys or ()
    ]
    row["key_set"] = key_set_mark(row["keys"])
    skew = engine.skew(issuer)
    if skew is not None:
        row["skew"] = {"tokens": skew.tokens, "median_s": round(skew.median_s, 1)}
        row["skew"] |= {"p95_s": round(skew.p95_s, 1), "max_s": round(skew.max_s, 1)}
    return row


def key_members(key: JWK) -> dict[str, Any]:
    """Return kid, thumbprint and alg of a key; no thumbprint of a secret, which may tell it."""
    found = _thumbprints.get(key)
    if found is None:
        if len(_thumbprints) >= _THUMBPRINTS_KEPT:
            _thumbprints.clear()
        found = _thumbprints[key] = None if key.kty == "oct" else key.thumbprint()
    return {"kid": key.kid, "thumbprint": found, "alg": key.alg}


def key_set_mark(keys: Iterable[dict[str, Any]]) -> str:
    """Return a short text that is the same for the same kids and keys, in whatever order."""
    named = sorted(f"{one['kid']}\0{one['thumbprint']}" for one in keys)
    return hashlib.sha256("\n".join(named).encode("utf-8", "backslashreplace")).hexdigest()[:KEY_SET_CHARS]


def aged(row: dict[str, Any], by_s: float) -> dict[str, Any]:
    """Return a row that was written some seconds ago as it is now."""
    ages = {
        name: round(row[name] + sign * by_s, 1) for name, sign in AGES.items() if row.get(name) is not None
    }
    if "next_refresh_s" in ages:
        ages["next_refresh_s"] = max(0.0, ages["next_refresh_s"])
    return {**row, **ages}


def differences(reports: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return issuer -> the workers whose keys are others than those of the youngest set.

    Args:
        reports: What workers report: ``pid``, and ``issuers`` with rows.

    Returns:
        A worker with ``pid``, ``missing`` and ``extra`` kids, ``replaced`` kids with other material, and its
        ``code``; an issuer of which all workers have the same keys is left out.
    """
    by_issuer: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for report in reports:
        for row in report["issuers"]:
            by_issuer.setdefault(row["issuer"], []).append((report["pid"], row))
    found: dict[str, list[dict[str, Any]]] = {}
    for issuer, rows in by_issuer.items():
        if len({row["key_set"] for _, row in rows}) < 2:
            continue
        with_keys = [row for _, row in rows if row["keys"]]
        newest = min(with_keys, key=lambda row: row.get("age_s") or 0.0)
        others = [(pid, row) for pid, row in rows if row["key_set"] != newest["key_set"]]
        found[issuer] = [{"pid": pid, "code": row["code"], **compared(row["keys"], newest["keys"])}
                         for pid, row in others]  # fmt: skip
    return found


def compared(keys: list[dict[str, Any]], reference: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the kids that a set lacks, has beside a reference's, and has with other material."""
    mine = {one["kid"]: one["thumbprint"] for one in keys}
    theirs = {one["kid"]: one["thumbprint"] for one in reference}
    both = [kid for kid in theirs if kid in mine]
    return {
        "missing": [kid for kid in theirs if kid not in mine],
        "extra": [kid for kid in mine if kid not in theirs],
        "replaced": [kid for kid in both if mine[kid] != theirs[kid]],
    }


def probe_all(engine: Engine, *, with_jwks: bool = False) -> dict[str, dict[str, Any]]:
    """Fetch each remote set once, all at a time, and use none of it; never on a loop.

    Args:
        engine: Its sources are asked, by their own transports.
        with_jwks: Whether the public members of the keys are returned too.

    Returns:
        issuer -> ``fault``, a stable word or None; ``keys`` as in a row, ``key_set``, and ``jwks``.
    """
    running: dict[str, Future[dict[str, Any]]] = {}
    found: dict[str, dict[str, Any]] = {}
    for issuer in engine.issuers:
        source = engine.source_of(issuer.name)
        if isinstance(source, FetchedKeys):
            task = Task(lambda source=source: _probe(source, with_jwks))  # type: ignore[misc]
            if submit(task) or task.take_back() is None:
                running[issuer.name] = task.future
            else:
                found[issuer.name] = {"fault": "internal"}
    wait(running.values(), PROBE_S)
    for name, future in running.items():
        found[name] = future.result() if future.done() else {"fault": "timeout"}
    return found


def _probe(source: FetchedKeys, with_jwks: bool) -> dict[str, Any]:
    try:
        keys = source.probe_keys()
    except FetchFailed as failed:
        return {"fault": failed.detail}
    except RapidJWSError as refused:
        return {"fault": refused.code}
    except Exception:  # of a fetch that was handed in
        return {"fault": "internal"}
    shown = [key_members(key) for key in keys]
    found = {"fault": None, "keys": shown, "key_set": key_set_mark(shown)}
    return {**found, "jwks": public_members(keys)} if with_jwks else found


def public_members(keys: Iterable[JWK]) -> list[dict[str, Any]]:
    """Return the public members of keys; secrets are left out."""
    return [key.public().as_dict() for key in keys if key.kty != "oct"]


def _age(since_s: float | None, now_s: float) -> float | None:
    return None if since_s is None else round(max(0.0, now_s - since_s), 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
