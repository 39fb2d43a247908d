"""Take packages of another Debian suite or architecture, with an apt configuration of our own.

Nothing is installed and the machine's own apt is left as it is: packages are downloaded and unpacked into a
folder. Root is not needed.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MERGED = ("bin", "lib", "lib64", "sbin")  # links into usr, which packages expect to be there


def debian_site() -> str:
    """Give the mirror that this machine's apt is set up with."""
    command = ["apt-get", "indextargets", "--format", "$(SITE)"]
    sites = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return next((site for site in sites if site.rstrip("/").endswith("/debian")), "")


@contextmanager
def apt_of(suite: str, *, kind: str = "deb", architecture: str | None = None) -> Iterator[list[str]]:
    """Give the words of an apt-get that knows this suite only, its lists fetched.

    Args:
        suite: Such as ``"sid"``.
        kind: ``"deb"``, or ``"deb-src"`` for sources.
        architecture: Such as ``"arm64"``; by default the machine's.

    Raises:
        subprocess.CalledProcessError, OSError: There is no apt, or the lists could not be had.
    """
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        for folder in ("lists/partial", "cache/archives/partial"):
            (base / folder).mkdir(parents=True)
        (base / "status").touch()
        source = f"{kind} [signed-by={KEYRING}] {debian_site()} {suite} main\n"
        (base / "sources.list").write_text(source, "utf-8")
        options = {
            "Dir::Etc::sourcelist": base / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": base / "lists",
            "Dir::State::status": base / "status",
            "Dir::Cache": base / "cache",
            "APT::Sandbox::User": "root",
        }
        if architecture:
            options |= {"APT::Architecture": architecture, "APT::Architectures::": architecture}
        apt = [
            "apt-get",
            "-qq",
            *(word for key, value in options.items() for word in ("-o", f"{key}={value}")),
        ]
        subprocess.run([*apt, "update"], check=True, stdout=subprocess.DEVNULL)
        yield apt


def unpack(folder: Path, suite: str, *packages: str, architecture: str | None = None) -> None:
    """Unpack packages and all they depend on into a folder, as it were the root of a system.

    Args:
        folder: Made where it is not there.
        suite: Such as ``"sid"``.
        packages: Their names.
        architecture: Such as ``"arm64"``; by default the machine's.

    Raises:
        subprocess.CalledProcessError, OSError: Not to be had.
    """
    for link in MERGED:
        (folder / "usr" / link).mkdir(parents=True, exist_ok=True)
        if not (folder / link).exists():
            (folder / link).symlink_to(f"usr/{link}")
    with apt_of(suite, architecture=architecture) as apt:
        cache = Path(next(word for word in apt if word.startswith("Dir::Cache=")).partition("=")[2])
        install = ["--yes", "--download-only", "--no-install-recommends", "install", *packages]
        subprocess.run([*apt, *install], check=True, stdout=subprocess.DEVNULL)
        for package in sorted((cache / "archives").glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
