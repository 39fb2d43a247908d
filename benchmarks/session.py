"""A peer's process, pinned to its CPUs, spoken to by the protocol of peers/protocol.py."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

READY_TIMEOUT_S = 120.0


class Unsupported(Exception):
    """The peer lacks this algorithm or variant."""


class Failed(Exception):
    """The peer gave a wrong verdict, or died."""


def pinned_cpus(cores: int) -> set[int]:
    """Choose the CPUs of a session: the last ones of those we may use."""
    return set(sorted(os.sched_getaffinity(0))[-cores:]) if hasattr(os, "sched_getaffinity") else set()


def claim_cpus(cpus: set[int]) -> None:
    """Pin this thread, and where the machine allows it let no ordinary process take its turn.

    A nice value does not do: where the scheduler groups sessions it only counts within one. The real-time
    round robin does, and the kernel keeps a share for the others. BENCH_REALTIME=0 leaves it out.
    """
    if cpus:
        os.sched_setaffinity(0, cpus)
    if os.environ.get("BENCH_REALTIME", "1") != "0" and hasattr(os, "SCHED_RR"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def release_cpus(cpus: set[int]) -> None:
    """Undo claim_cpus: back to ordinary scheduling on these CPUs."""
    os.sched_setaffinity(0, cpus)
    if hasattr(os, "SCHED_OTHER"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class Session:
    """One process that verifies one algorithm in one variant."""

    def __init__(self, command: Sequence[str], corpus: Path, alg: str, variant: str, cores: int) -> None:
        cpus = pinned_cpus(cores)
        self._process = subprocess.Popen(
            [*command, str(corpus), alg, variant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONWARNINGS": "ignore", **os.environ},
            preexec_fn=lambda: claim_cpus(cpus),
        )
        about = self._receive(READY_TIMEOUT_S)
        self.version: str = about["version"]
        self.title: str = about["peer"]
        self.detail: str = about["detail"]

    def round(self, seconds: float, kind: str = "") -> dict[str, Any]:
        """Let the peer verify for some seconds; return its answer.

        Raises:
            Failed: a count was wrong, or the process died.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind} {seconds}\n".lstrip())
        self._process.stdin.flush()
        return self._receive(READY_TIMEOUT_S + 20 * seconds)

    def close(self) -> None:
        """End the process and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(timeout_s) else ""
        if not line:
            self._process.kill()
            raise Failed(f"no answer (exit {self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        if "unsupported" in answer:
            self.close()
            raise Unsupported(answer["unsupported"])
        if "error" in answer:
            self.close()
            raise Failed(answer["error"])
        return answer
