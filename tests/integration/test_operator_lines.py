"""What the sidecar writes when configuration, keys or plan go wrong while it serves."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from admins import call
from gates import write_keys
from sidecar_process import Service, configured, served, until

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_what_goes_wrong_while_serving_is_written_once(tmp_path: Path) -> None:
    """Configuration, keys and plan: each fault of a file has a line, though every worker finds it."""
    with served(tmp_path, 2) as (service, _):
        config, keys, state = (tmp_path / name for name in ("rapidjws.json", "jwks.json", "state"))
        whole = config.read_bytes()
        config.write_text("[[[")
        service.wait_for(r"rapidjws serve: the configuration is not reloaded, the one before holds: config")
        config.write_bytes(whole)
        service.wait_for(r"rapidjws serve: the configuration is reloaded: 1 issuers")
        keys.write_text("{nonsense")
        service.wait_for(r"rapidjws serve: keys are not read from '.*jwks.json' ")
        write_keys(tmp_path)
        for name in ("plan.json", "plan.copy.json"):
            (state / name).write_text("{")
        service.wait_for(r"rapidjws serve: the rollout's plan is not read, the one of before holds: ")
        until(lambda: service.text().count("\n") >= 5, "too few lines")
        text = service.text()
    for line in ("is not reloaded", "keys are not read", "plan is not read"):
        assert text.count(line) == 1, text


def test_a_revocation_that_was_not_kept_is_told_as_one_that_holds_in_one_worker(tmp_path: Path) -> None:
    """Who revokes while the disk is gone must know why, and that it has to be done again."""
    admin = tmp_path / "admin.sock"
    path = configured(tmp_path, "127.0.0.1:0", 2, admin_listen=f"unix:{admin}")
    revocations = {"file": "absent/revocations.json"}
    path.write_text(json.dumps({**json.loads(path.read_text()), "revocations": revocations}))
    service = Service(tmp_path, ["--config", str(path)])
    try:
        service.wait_for("2 workers")
        status, answer = call(admin, "POST", "/admin/revoke", {"kid": "a"})
        assert status == 503
        assert "one worker only" in answer["detail"]
        assert "No such file or directory" in answer["detail"]
    finally:
        service.end()
