"""Partners for interop tests: Node's jose, installed once into a cache of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent


class NodeJose:
    """Talk to a process that runs Node's jose."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [folder / "node_modules/node/bin/node", "node_jose.mjs"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Return the partner's answer: ``ok`` and ``value``, or ``code`` and ``message``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def _installed() -> Path:
    """Return a folder with the partner's program and its packages; made once for each package.json.

    Node itself is one of the packages: ML-DSA needs a newer one than most systems have.
    """
    wanted = (HERE / "package.json").read_bytes()
    name = f"rapidjws-interop-{hashlib.sha256(wanted).hexdigest()[:16]}"
    folder = Path(os.environ.get("RAPIDJWS_CACHE", tempfile.gettempdir())) / name
    if not (folder / "node_modules/node/bin/node").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_bytes(wanted)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
        if done.returncode:
            shutil.rmtree(folder)
            pytest.skip(f"npm cannot install Node's jose: {done.stderr.strip()[-200:]}")
    shutil.copy(HERE / "node_jose.mjs", folder)
    return folder


@pytest.fixture(scope="session")
def node_jose() -> Iterator[NodeJose]:
    """Return Node's jose as a partner; skip where npm is not there."""
    if shutil.which("npm") is None:
        pytest.skip("Node's jose needs npm")
    partner = NodeJose(_installed())
    yield partner
    partner.close()
