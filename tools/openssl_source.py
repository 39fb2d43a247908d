"""Find the pinned OpenSSL tarball: already here, from its project, or from a Debian source package."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

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


def debian_site() -> str:
    """Give the mirror that this machine's apt is set up with."""
    command = ["apt-get", "indextargets", "--format", "$(SITE)"]
    sites = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return next((site for site in sites if site.rstrip("/").endswith("/debian")), "")


def from_debian(tarball: Path) -> None:
    """Take the upstream tarball out of Debian's source package, with an apt configuration of our own."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        for folder in ("lists/partial", "cache/archives/partial"):
            (base / folder).mkdir(parents=True)
        (base / "status").touch()
        keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
        source = f"deb-src [signed-by={keyring}] {debian_site()} {DEBIAN_SUITE} main\n"
        (base / "sources.list").write_text(source, "utf-8")
        options = {
            "Dir::Etc::sourcelist": base / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": base / "lists",
            "Dir::State::status": base / "status",
            "Dir::Cache": base / "cache",
            "APT::Sandbox::User": "root",
        }
        apt = [
            "apt-get",
            "-qq",
            *(word for key, value in options.items() for word in ("-o", f"{key}={value}")),
        ]
        try:
            subprocess.run([*apt, "update"], check=True)
            subprocess.run([*apt, "source", "--download-only", "openssl"], cwd=base, check=True)
        except (OSError, subprocess.CalledProcessError) as fault:
            print(f"not from Debian: {fault}")
            return
        for found in base.glob(f"openssl_{pin()['version']}*.orig.tar.gz"):
            tarball.write_bytes(found.read_bytes())


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
