"""The commands of a runbook, run as an operator would, in a shell, against a testbed.

A comment behind a command says what to expect: ``# exit 1: ...``, ``# exit 0 or 1: ...``,
``# prints 200: ...``.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rapidjws import _files
from rapidjws.gameday.testbed import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rapidjws.gameday.testbed import Testbed
    from rapidjws.observe.runbooks import Runbook

COMMAND_S: Final = 120.0
VERIFY_S: Final = 30.0
_EXIT: Final = re.compile(r"# exit ([\d or]+)")
_PRINTS: Final = re.compile(r"# prints (\S+?)(?::|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that was run.

    Attributes:
        command: The command, with its comment.
        status: Its exit status.
        output: What it printed.
        seconds: How long it took.
        fault: What is not as the runbook says, or None.
    """

    command: str
    status: int
    output: str
    seconds: float
    fault: str | None


def expectation(command: str) -> tuple[frozenset[int], str | None]:
    """Return the exit statuses and the output that a command's comment tells to expect."""
    exits, prints = _EXIT.search(command), _PRINTS.search(command)
    statuses = {int(one) for one in exits[1].split(" or ")} if exits else {0}
    return frozenset(statuses), prints[1] if prints else None


def environment(bed: Testbed, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a runbook's commands: its variables, and the commands on the path."""
    scripts = bed.folder / "bin"
    scripts.mkdir(exist_ok=True)
    wait = 'touch "{0}"; while [ -e "{0}" ]; do sleep 0.1; done'
    texts = {
        "rapidjws": f'exec {shlex.join(PROGRAM)} "$@"',
        "restart-service": wait.format(bed.folder / "restart.wanted"),
        "start-redis": wait.format(bed.folder / "redis.wanted"),
        "edit": f'cp {shlex.quote(str(bed.folder / "edited.json"))} "$1"',
    }
    for name, text in texts.items():
        _files.replace(scripts / name, f"#!/bin/sh\n{text}\n".encode(), mode=0o700, sync=False)
    token = bed.folder / "token.txt"
    found = {
        "CONFIG": str(bed.config),
        "NEXT": str(bed.folder / "rapidjws-next.json"),
        "ADMIN": f"unix:{bed.admin}",
        "SIDECAR": f"http://127.0.0.1:{bed.port}",
        "ISSUER": bed.issuer.iss,
        "JWKS_URL": bed.issuer.url,
        "AUDIENCE": bed.issuer.audience or "",
        "ALG": bed.issuer.algorithms[0],
        "TOKEN": str(token),
        "HOOK_SECRET": str(bed.folder / "hook-secret"),
        "REDIS": f"redis://127.0.0.1:{bed.redis_port}/0",
        "RESTART": "restart-service",
        "START_REDIS": "start-redis",
        "EDITOR": "edit",
        **variables,
    }
    path = f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, **found, "PATH": path, "COLUMNS": "200", "NO_COLOR": "1"}


def run_command(command: str, before: list[str], env: Mapping[str, str], folder: Path) -> Ran:
    """Run one command after those that set its variables."""
    started_s = time.monotonic()
    text = "\n".join([*before, command])
    try:
        answer = subprocess.run(
            ["bash", "-c", text],
            env=dict(env),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        status, output = answer.returncode, answer.stdout + answer.stderr
    except subprocess.TimeoutExpired:
        status, output = -1, "no end"
    statuses, prints = expectation(command)
    fault = None
    if status not in statuses:
        fault = f"exit {status}, expected {' or '.join(map(str, sorted(statuses)))}"
    elif prints is not None and prints not in output:
        fault = f"does not print {prints}"
    return Ran(
        command=command, status=status, output=output, seconds=time.monotonic() - started_s, fault=fault
    )


def run_section(runbook: Runbook, section: str, env: Mapping[str, str], folder: Path) -> list[Ran]:
    """Run all commands of a section; those of Verify again until they show it, for a minute.

    Args:
        runbook: Whose.
        section: ``"Check"``, ``"Act"``, ``"Verify"`` or ``"After"``.
        env: What :func:`environment` gave.
        folder: Where to run them.
    """
    before = list(runbook.commands("Variables"))
    found = []
    for command in runbook.commands(section):
        end_s = time.monotonic() + VERIFY_S
        ran = run_command(command, before, env, folder)
        while ran.fault is not None and section == "Verify" and time.monotonic() < end_s:
            time.sleep(0.5)
            ran = run_command(command, before, env, folder)
        found.append(ran)
        if command.startswith("export "):
            before.append(command)
    return found
