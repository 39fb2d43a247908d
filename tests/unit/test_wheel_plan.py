"""What a release builds: exactly these wheels, held against cibuildwheel's own reading of pyproject.toml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.source_tree

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "tools").is_dir():
    pytest.skip("the tools are not in this tree", allow_module_level=True)
sys.path.insert(0, str(ROOT / "tools"))

import openssl_source  # noqa: E402  tools/ is no package

PLATFORMS = {
    "linux": (
        "x86_64,aarch64",
        ("manylinux_x86_64", "musllinux_x86_64", "manylinux_aarch64", "musllinux_aarch64"),
    ),
    "macos": ("x86_64,arm64", ("macosx_x86_64", "macosx_arm64")),
    "windows": ("AMD64", ("win_amd64",)),
}
# cp310 gives the one abi3 wheel for every ordinary CPython; the free-threaded builds have their own tags.
PYTHONS = ("cp310", "cp314t", "cp315t")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_build_identifiers(platform: str) -> None:
    """cibuildwheel would build exactly the intended wheels on each system."""
    program = shutil.which(
        "cibuildwheel", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    )
    if program is None:
        pytest.skip("cibuildwheel is not installed (pip install --group release)")
    archs, tags = PLATFORMS[platform]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CIBW_")}
    answer = subprocess.run(
        [program, "--print-build-identifiers", "--platform", platform, "--archs", archs, str(ROOT)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert sorted(answer.stdout.split()) == sorted(f"{python}-{tag}" for python in PYTHONS for tag in tags)


def test_openssl_is_pinned() -> None:
    """The wheels' OpenSSL is an LTS release, named with its SHA-256 in one place."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from openssl_source import pin
    finally:
        sys.path.pop(0)
    found = pin()
    assert found["version"].startswith("3.5.")
    assert len(found["sha256"]) == 64
    assert found["version"] in found["url"]


def test_every_version_tells_its_verification_outcomes() -> None:
    """Each section of the changelog lists the inputs whose verdict changed, or says that there are none."""
    sections = (ROOT / "CHANGELOG.md").read_text("utf-8").split("\n## [")[1:]
    assert sections, "CHANGELOG.md has no section"
    untold = [part.splitlines()[0] for part in sections if "### Verification outcomes\n\n- " not in part]
    assert untold == []


def test_page_says_what_was_installed() -> None:
    """The install section was written by a run with the OpenSSL that is pinned now."""
    section = (ROOT / "docs" / "installation.md").read_text("utf-8").partition("<!-- install:begin -->")[2]
    section = section.partition("<!-- install:end -->")[0]
    script = (ROOT / "tools" / "build_openssl.sh").read_text("utf-8")
    version = next(line for line in script.splitlines() if line.startswith("version=")).partition("=")[2]
    assert f"OpenSSL {version}" in section
    assert "| 3.10." in section


def test_version_stands_once() -> None:
    """Only `_version.py` names the version; the project's metadata and the binary read it there."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'dynamic = ["version"]' in text
    assert 'version = { attr = "rapidjws._version.__version__" }' in text
    assert "RJ_VERSION" in (ROOT / "native" / "build.py").read_text("utf-8")


RECORDS = """\
Package: openssl
Version: 3.5.9-1~deb13u1
Package: openssl
Version: 3.5.7-1~deb13u2
Package: openssl
Version: 1:3.6.10-1
"""


@pytest.mark.parametrize(
    ("pinned", "newer"),
    [("3.5.7", "3.5.9"), ("3.5.9", None), ("3.5.10", None), ("3.6.9", "3.6.10"), ("4.0.0", None)],
)
def test_A6_a_newer_release_of_the_line_is_named(pinned: str, newer: str | None) -> None:
    """A release of the pinned line that is newer stands in the way of ours; other lines do not."""
    assert openssl_source.newer_in_line(pinned, RECORDS) == newer


def test_A6_the_pinned_source_is_asked_for_by_its_version() -> None:
    """The index is read for the Debian version of the pinned one, wherever it stands."""
    assert openssl_source.offered(RECORDS) == [
        ("3.5.7", "3.5.7-1~deb13u2"),
        ("3.5.9", "3.5.9-1~deb13u1"),
        ("3.6.10", "3.6.10-1"),
    ]
