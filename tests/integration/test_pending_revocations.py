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
        assert found["precomputed_tables_builds_total"] == [1, 1]
        assert found["precomputed_tables_wanted_bytes"] == found["precomputed_tables_bytes"]
        assert all(0 < used <= 8 << 20 for used in found["precomputed_tables_bytes"])
