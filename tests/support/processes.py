"""Run a piece of Python in a process of its own, on the same rapidjws as the test."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import rapidjws

SUPPORT = Path(__file__).resolve().parent
PACKAGE = Path(next(iter(rapidjws.__path__))).resolve().parent
OPTIONS = ("-X", "faulthandler", "-W", "ignore:This process:DeprecationWarning")
"""From 3.12 on Python warns of any fork beside threads."""

BEGINNING = "import os, sys, time, threading, signal\nimport rapidjws, tokens\nfrom tokens import *\n"


def run_python(code: str, *, bare: bool = False, timeout_s: float = 120, **environment: str) -> str:
    """Run code after the usual imports (not where ``bare``), and return what it printed.

    Raises:
        AssertionError: It did not end with 0, or wrote to stderr.
    """
    text = textwrap.dedent(code)
    paths = [str(PACKAGE), str(SUPPORT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, *OPTIONS, "-c", text if bare else BEGINNING + text],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), (
        f"{done.returncode}: {done.stdout[-500:]}\n{done.stderr[-3000:]}"
    )
    return done.stdout
