"""What the sidecar writes when configuration, keys or plan go wrong while it serves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from gates import write_keys
from sidecar_process import served, until

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def put(path: Path, octets: bytes) -> None:
    """Write a file whole: one that is half written is another fault, with a line of its own."""
    written = path.with_suffix(".new")
    written.write_bytes(octets)
    written.replace(path)


def test_what_goes_wrong_while_serving_is_written_once(tmp_path: Path) -> None:
    """Configuration, keys and plan: each fault of a file has a line, though every worker finds it."""
    with served(tmp_path, 2) as (service, _):
        config, keys, state = (tmp_path / name for name in ("rapidjws.json", "jwks.json", "state"))
        whole = config.read_bytes()
        put(config, b"[[[")
        service.wait_for(r"rapidjws serve: the configuration is not reloaded, the one before holds: config")
        put(config, whole)
        service.wait_for(r"rapidjws serve: the configuration is reloaded: 1 issuers")
        put(keys, b"{nonsense")
        service.wait_for(r"rapidjws serve: keys are not read from '.*jwks.json' ")
        write_keys(tmp_path)
        for name in ("plan.json", "plan.copy.json"):
            put(state / name, b"{")
        service.wait_for(r"rapidjws serve: the rollout's plan is not read, the one of before holds: ")
        until(lambda: service.text().count("\n") >= 5, "too few lines")
        text = service.text()
    for line in ("is not reloaded", "keys are not read", "plan is not read"):
        assert text.count(line) == 1, text
