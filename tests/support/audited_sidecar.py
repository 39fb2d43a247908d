"""A sidecar with an audit trail in a process of its own, and which of its processes has the trail."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gates import ISSUER, bearer, free_port, get, write_config, write_keys
from sidecar_process import Service

from rapidjws.audit import NoteKey
from rapidjws.testing import make_key

KEY = make_key("EdDSA")
LOG_KEY = NoteKey("gate.example/audit", KEY.public(), "EdDSA")


@contextlib.contextmanager
def audited(
    folder: Path, *, server: dict[str, Any] | None = None, **audit: Any
) -> Iterator[tuple[Service, int]]:
    """Run a sidecar with a trail until it serves; give it and its port."""
    write_keys(folder)
    key_file = folder / "audit-key.json"
    key_file.write_text(json.dumps(KEY.as_dict(private=True)))
    key_file.chmod(0o600)
    port = free_port()
    issuer = {
        "iss": ISSUER.iss,
        "jwks_file": "jwks.json",
        "algorithms": ["ES256"],
        "audience": "https://api.example",
    }
    config = write_config(
        folder,
        [issuer],
        server={"listen": f"127.0.0.1:{port}", "workers": 2, **(server or {})},
        audit={
            "folder": "trail", "origin": LOG_KEY.name, "key_file": "audit-key.json", "checkpoint_s": 0.05,
            **audit,
        },
    )  # fmt: skip
    service = Service(folder, ["--config", str(config)])
    try:
        service.wait_for(rf"rapidjws serve: 127\.0\.0\.1:{port}, 2 workers")
        yield service, port
    finally:
        service.end()


def answer(port: int, given: str) -> int:
    """Return the status of an answer; 0 where there was none."""
    try:
        return int(get(port, bearer(given), "/verify")[0])
    except OSError:
        return 0


def sequencer_of(service: Service, folder: Path) -> int:
    """Return the process that has the trail's lock."""
    for pid in service.workers():
        with contextlib.suppress(OSError):
            for one in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{one}") == str(folder / "trail/lock"):
                        return pid
    return 0
