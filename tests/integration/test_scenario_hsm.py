"""The scenario of payments that an HSM signs, for a moment each part."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[2] / "examples" / "scenarios" / "hsm" / "run.py"


def test_payments_are_signed_by_an_hsm_under_load() -> None:
    """Four sessions from many threads: all is signed at 80 %, some refused past capacity, none by a fault."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 absent: pip install 'rapidjws[pkcs11]'")
    if shutil.which("softhsm2-util") is None:
        pytest.skip("softhsm2 absent: apt-get install softhsm2")
    done = subprocess.run([sys.executable, str(RUN), "--seconds", "0.4"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = dict(re.findall(r"^(\S.{20}\S*) +(\d+ +\d+ +\d+) ", done.stdout, re.MULTILINE))
    found = {name.strip(): [int(one) for one in values.split()] for name, values in rows.items()}
    assert len(found) == 6, done.stdout
    for name, (signed, refused, calls) in found.items():
        assert signed > 0, name
        if "80 %" in name:
            assert refused == 0, done.stdout
        if name.startswith("equal"):
            assert calls <= signed
