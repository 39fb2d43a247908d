"""What `make test` installs on a machine that has nothing, and what it says of what it left out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from source_files import ROOT

pytestmark = pytest.mark.source_tree


def test_A5_make_test_installs_what_its_tests_need(tmp_path: Path) -> None:
    """Where nothing is there, a browser, a Redis and an HSM are asked for; nobody but root installs them."""
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    command = ["/bin/sh", str(ROOT / "tools/system_packages.sh"), "test"]
    answer = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert {"chromium", "redis-server", "softhsm2"} <= set(answer.stderr.split(":")[-1].split())


def test_A5_the_summary_counts_what_was_left_out_by_reason(tmp_path: Path) -> None:
    """The last lines of a run name each reason for a skip, once, with how many tests it left out."""
    (tmp_path / "test_some.py").write_text(
        "import pytest\n\n"
        "@pytest.mark.parametrize('number', range(3))\n"
        "def test_some(number):\n    pytest.skip('no browser: apt install one' if number else 'no network')\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(tmp_path / "pytest.ini")]
    command += ["-p", "no:cacheprovider", "-p", "conftest", str(tmp_path)]
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "tests" / "support"), *sys.path])
    answer = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "left out: 2 x no browser: apt install one" in answer.stdout, answer.stdout + answer.stderr
    assert "left out: 1 x no network" in answer.stdout


def test_A9_what_runs_pip_runs_in_the_environment() -> None:
    """Debian's own Python has no pip: a tool that calls pip is run by the environment's Python."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    tools = [
        path.name
        for path in sorted((ROOT / "tools").glob("*.py"))
        if re.search(r'sys\.executable, "-m", "pip"', path.read_text("utf-8"))
    ]
    assert "kubernetes.py" in tools
    assert [name for name in tools if f"$(PYTHON) tools/{name}" in makefile] == []
