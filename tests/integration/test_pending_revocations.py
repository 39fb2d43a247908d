"""A revocation while its store is down holds in every worker and is stored later; measures of tables."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from admins import Crowd, call
from gates import ISSUER, bearer, get, serving, token
from redis_server import OwnRedis

from rapidjws.stores import RedisRevocations

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s, "it never happened"
        time.sleep(0.05)


def listed(path: Path) -> list[Any]:
    """Return the revocations in a file, none while it is broken."""
    try:
        found: list[Any] = json.loads(path.read_text())["revocations"]
    except ValueError:
        return []
    return found


def test_a_revocation_with_its_store_down_holds_in_every_worker(tmp_path: Path) -> None:
    """It is refused everywhere, and the answer says that it is not stored; later it is."""
    store, socket = tmp_path / "revocations.json", tmp_path / "admin.sock"
    found = {"issuer": ISSUER.iss, "jti": "one"}
    with serving(tmp_path, {"revocations": {"file": store.name}}, admin_listen=f"unix:{socket}") as sidecar:
        wait_until(lambda: len(call(socket, "GET", "/admin/status")[1]["workers"]) == 2)
        crowd = Crowd(sidecar.port, bearer(token(jti="one")))
        try:
            assert set(crowd.statuses()) == {200}
            store.write_text('{"revocations": [')  # nobody can read or change it
            status, answer = call(socket, "POST", "/admin/revoke", found)
            assert (status, answer["stored"]) == (202, False)
            assert answer["error"] == "revocation_store_unavailable"
            assert "every worker" in answer["detail"]
            assert set(crowd.statuses()) == {401}
            assert call(socket, "GET", "/admin/status")[1]["pending_revocations"] == 1
            status, answer = call(socket, "POST", "/admin/unrevoke", found)
            assert status == 503
            assert set(crowd.statuses()) == {401}  # lifted nowhere
            store.write_text('{"revocations": []}')
            wait_until(lambda: listed(store) == [found])
            assert set(crowd.statuses()) == {401}
            wait_until(lambda: call(socket, "POST", "/admin/unrevoke", found)[0] == 200)
            wait_until(lambda: set(crowd.statuses()) == {200})
            assert call(socket, "GET", "/admin/status")[1]["pending_revocations"] == 0
            assert listed(store) == []
            assert set(crowd.statuses()) == {200}
        finally:
            crowd.close()


def test_revocation_through_an_outage_of_a_real_redis(tmp_path: Path) -> None:
    """redis-server is killed, a revocation is made meanwhile, and it is started again: nothing is lost.

    What was revoked before holds all the time, what is revoked during the outage holds at once in every
    worker and is in the stream afterwards, good tokens pass throughout, and revoking works again.
    """
    redis = OwnRedis(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    socket = tmp_path / "admin.sock"
    crowds: list[Crowd] = []

    def revoke(jti: str, action: str = "revoke") -> tuple[int, Any]:
        return call(socket, "POST", f"/admin/{action}", {"issuer": ISSUER.iss, "jti": jti})

    try:
        with serving(
            tmp_path, {"revocations": {"redis": redis.url}}, admin_listen=f"unix:{socket}"
        ) as sidecar:
            wait_until(lambda: len(call(socket, "GET", "/admin/status")[1]["workers"]) == 2)
            names = ("good", "before", "during", "after")
            crowds += [Crowd(sidecar.port, bearer(token(jti=name))) for name in names]
            good, before, during, after = crowds
            assert revoke("before")[0] == 200
            assert set(before.statuses()) == {401}
            redis.stop()
            status, answer = revoke("during")
            assert (status, answer["stored"], answer["error"]) == (202, False, "revocation_store_unavailable")
            assert revoke("before", "unrevoke")[0] == 503
            for crowd, right in ((before, 401), (during, 401), (good, 200), (after, 200)):
                assert set(crowd.statuses()) == {right}
            redis.start()
            wait_until(lambda: call(socket, "GET", "/admin/status")[1]["pending_revocations"] == 0)
            for crowd, right in ((before, 401), (during, 401), (good, 200)):
                assert set(crowd.statuses()) == {right}
            wait_until(lambda: revoke("after")[0] == 200)
            assert set(after.statuses()) == {401}
            assert set(good.statuses()) == {200}
        kept = {one.jti for one in RedisRevocations(redis.url).load()}
        assert kept == {"before", "during", "after"}
    finally:
        for crowd in crowds:
            crowd.close()
        redis.stop()


def test_N5_tables_are_measured(tmp_path: Path) -> None:
    """/metrics has the precomputed tables of each worker: how many, memory used, allowed and wanted."""
    with serving(tmp_path, {"engine": {"precompute_budget_bytes": 8 << 20}}) as sidecar:
        names = (
            "precomputed_tables_keys",
            "precomputed_tables_bytes",
            "precomputed_tables_budget_bytes",
            "precomputed_tables_wanted_bytes",
            "precomputed_tables_builds_total",
        )

        def measured() -> dict[str, list[float]]:
            text = get(sidecar.port, [], "/metrics")[2]
            text = text.decode() if isinstance(text, bytes) else text
            rows = [
                line.split() for line in text.splitlines() if line.startswith("rapidjws_precomputed_tables")
            ]
            return {
                name: [float(value) for where, value in rows if where.startswith(f"rapidjws_{name}{{")]
                for name in names
            }

        found: dict[str, list[float]] = {}

        def is_built() -> bool:
            """Look: each worker answers with a text of its own, up to a second old."""
            found.update(measured())
            return found["precomputed_tables_keys"] == [1, 1]  # the issuer's only key, in both workers

        wait_until(is_built)
        assert found["precomputed_tables_budget_bytes"] == [8 << 20] * 2
        assert found["precomputed_tables_builds_total"] == [0, 0]  # both use the one built before the fork
        assert found["precomputed_tables_wanted_bytes"] == found["precomputed_tables_bytes"]
        assert all(0 < used <= 8 << 20 for used in found["precomputed_tables_bytes"])
