"""A token of SoftHSM for one test: its folder, its settings, its label and PIN."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")


def make_token(patch: pytest.MonkeyPatch, folder: Path, label: str, pin: str) -> Any:
    """Make a token in a folder and return python-pkcs11; skip where it or SoftHSM is absent."""
    pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 absent: pip install 'rapidjws[pkcs11]'")
    if not LIBRARY.exists() or shutil.which("softhsm2-util") is None:
        pytest.skip("softhsm2 absent: apt-get install softhsm2")
    settings = folder / "softhsm2.conf"
    (folder / "tokens").mkdir()
    settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    patch.setenv("SOFTHSM2_CONF", str(settings))
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "12345678"]
    subprocess.run([*command, "--pin", pin], check=True, capture_output=True)
    started_anew()
    return pkcs11


def started_anew() -> Any:
    """Return the library as our signers use it, started again, so that it reads the settings of now."""
    import pkcs11

    from rapidjws.signing.pkcs11_library import library_of

    library = library_of(pkcs11, str(LIBRARY))
    library._restarted_s = float("-inf")
    assert library.restart(library.generation)
    return library
