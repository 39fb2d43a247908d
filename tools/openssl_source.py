"""Find the pinned OpenSSL tarball: already here, from its project, or from a Debian source package."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from apt_elsewhere import apt_of

SCRIPT = Path(__file__).resolve().with_name("build_openssl.sh")
DEBIAN_SUITE = "trixie"  # the release whose openssl source package carries the pinned upstream tarball
TIMEOUT_S = 60


def pin() -> dict[str, str]:
    """Read version, sha256 and url from the build script, their only place."""
    found = dict(re.findall(r"^(version|sha256|url)=(\S+)$", SCRIPT.read_text("utf-8"), re.MULTILINE))
    return {name: value.replace("$version", found["version"]) for name, value in found.items()}


def is_pinned(tarball: Path) -> bool:
    """Say whether this file is the pinned tarball."""
    return tarball.is_file() and hashlib.sha256(tarball.read_bytes()).hexdigest() == pin()["sha256"]


def from_project(tarball: Path) -> None:
    """Download the tarball from where OpenSSL publishes it."""
    try:
        with urlopen(pin()["url"], timeout=TIMEOUT_S) as answer:
            tarball.write_bytes(answer.read())
    except (URLError, OSError, TimeoutError) as fault:
        print(f"not from the project: {fault}")


def offered(records: str) -> list[tuple[str, str]]:
    """Read (upstream version, Debian version) of each source package in apt-cache records, oldest first."""
    found = re.findall(r"^Version: (?:\d+:)?((\d+(?:\.\d+)*)-\S+)$", records, re.MULTILINE)
    return sorted(((upstream, debian) for debian, upstream in found), key=lambda one: number_of(one[0]))


def number_of(version: str) -> tuple[int, ...]:
    """Turn a version into numbers that compare."""
    return tuple(int(part) for part in version.split("."))


def newer_in_line(pinned: str, records: str) -> str | None:
    """Give the newest release of the pinned LTS line where it is newer than the pin, else None."""
    line = number_of(pinned)[:2]
    of_line = [upstream for upstream, _ in offered(records) if number_of(upstream)[:2] == line]
    newest = max(of_line, key=number_of, default=pinned)
    return newest if number_of(newest) > number_of(pinned) else None


def debian_records(apt: list[str]) -> str:
    """Ask apt what source packages of openssl there are."""
    command = ["apt-cache", *apt[1:], "showsrc", "openssl"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def newer_release() -> str | None:
    """Give the newest release of the pinned line in Debian's index, None where there is none.

    A patch release of an LTS line is made for fixes, of security more often than not: each one counts.

    Raises:
        subprocess.CalledProcessError, OSError: The index could not be had.
    """
    with apt_of(DEBIAN_SUITE, kind="deb-src") as apt:
        return newer_in_line(pin()["version"], debian_records(apt))


def from_debian(tarball: Path) -> None:
    """Take the upstream tarball out of Debian's source package of that version."""
    version = pin()["version"]
    try:
        with apt_of(DEBIAN_SUITE, kind="deb-src") as apt, tempfile.TemporaryDirectory() as folder:
            for upstream, debian in offered(debian_records(apt)):
                if upstream == version:
                    command = [*apt, "source", "--download-only", f"openssl={debian}"]
                    subprocess.run(command, cwd=folder, check=True)
            for found in Path(folder).glob(f"openssl_{version}*.orig.tar.gz"):
                tarball.write_bytes(found.read_bytes())
    except (OSError, subprocess.CalledProcessError) as fault:
        print(f"not from Debian: {fault}")


def tarball_in(folder: Path) -> Path:
    """Give the pinned tarball, fetching it into this folder where it is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    tarball = folder / f"openssl-{pin()['version']}.tar.gz"
    for fetch in (None, from_project, from_debian):
        if fetch is not None:
            fetch(tarball)
        if is_pinned(tarball):
            return tarball
    raise SystemExit(f"OpenSSL {pin()['version']} with SHA-256 {pin()['sha256']} could not be had")
