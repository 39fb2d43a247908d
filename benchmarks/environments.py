"""Build each peer's environment below a cache folder; say by name what cannot be built here.

Every builder gives the command that starts the peer's program. A stamp (a digest of what it was built from)
makes the second time quick. Nothing is installed outside the cache but Debian headers, and only as root.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from catalogue import Peer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PROGRAMS = HERE / "peers"
BUILD_TIMEOUT_S = 900
CORPUS_PACKAGES = ("cryptography>=48",)  # ML-DSA keys from a seed
SUITE_PACKAGES = (
    "pytest>=8.4",
    "pytest-benchmark>=5.1",
    "pytest-timeout>=2.4",
    "pyjwt[crypto]==2.15.1",
    *CORPUS_PACKAGES,
)


class Missing(Exception):
    """The peer cannot be built on this machine; the text names what is missing."""


def digest(*parts: str | Path) -> str:
    """Digest texts and the contents of files and folders."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            state.update(part.encode())
            continue
        for path in sorted(part.rglob("*")) if part.is_dir() else [part]:
            if path.is_file() and path.suffix not in (".pyc", ".so", ".o"):
                state.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return state.hexdigest()


def run(command: Sequence[str], log: Path, cwd: Path | None = None) -> None:
    """Run a build step; on failure raise Missing with the last telling line of its output."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        try:
            done = subprocess.run(
                command,
                cwd=cwd,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=BUILD_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as failure:
            raise Missing(f"{command[0]}: {type(failure).__name__}") from None
    if done.returncode:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if "rror" in line]
        telling = [line for line in lines if "subprocess-exited" not in line]
        reported = telling[0][:160] if telling else "no message"
        raise Missing(f"{Path(command[0]).name} failed: {reported}")


def tool(*names: str) -> str:
    """Find the first of these programs, or raise Missing."""
    for name in names:
        if found := shutil.which(name):
            return found
    raise Missing(f"no {' or '.join(names)} on this machine")


def build_once(place: Path, stamp: str, build: Callable[[], None]) -> None:
    """Build into the folder unless its stamp says that this very thing is there."""
    mark = place / "stamp"
    if mark.exists() and mark.read_text() == stamp:
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    build()
    mark.write_text(stamp)


def python_for_peers() -> tuple[str, int]:
    """Choose one interpreter for all Python peers: the newest at hand, so that all of them fit.

    Returns: its path and its minor version of 3.x.
    """
    candidates = [sys.executable]
    candidates += [path for minor in range(16, 9, -1) if (path := shutil.which(f"python3.{minor}"))]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates += [str(path) for path in sorted(pyenv.glob("versions/3.*/bin/python"))]
    best = (sys.executable, sys.version_info.minor)
    for path in candidates:
        ask = [path, "-c", "import sys, ssl, venv; print(sys.implementation.name, sys.version_info.minor)"]
        answer = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.split()
        if len(answer) == 2 and answer[0] == "cpython" and int(answer[1]) > best[1]:
            best = (path, int(answer[1]))
    return best


def venv(place: Path, packages: Sequence[str], log: Path) -> Path:
    """Make a virtual environment with these packages; return its interpreter."""
    python, _ = python_for_peers()

    def build() -> None:
        run([python, "-m", "venv", str(place)], log)
        run([str(place / "bin/python"), "-m", "pip", "install", "-q", *packages], log)

    build_once(place, digest(python, *packages), build)
    return place / "bin/python"


def build_python(peer: Peer, cache: Path) -> list[str]:
    """Install the peer's package into its own virtual environment."""
    minor = python_for_peers()[1]
    if minor < peer.python:
        raise Missing(f"needs Python 3.{peer.python}, the newest here is 3.{minor}")
    python = venv(cache / "python" / peer.key, peer.needs, cache / f"{peer.key}.log")
    return [str(python), str(PROGRAMS / peer.program)]


def build_rapidjws(peer: Peer, cache: Path) -> list[str]:
    """Build and install the checkout itself, from a copy, so that no object file is left over."""
    place, log = cache / "python" / "rapidjws", cache / "rapidjws.log"
    python, minor = python_for_peers()
    sources = [
        ROOT / name for name in ("native", "src", "setup.py", "pyproject.toml", "README.md", "LICENSE")
    ]

    def build() -> None:
        run([python, "-m", "venv", str(place)], log)
        copy = place / "source"
        skip = shutil.ignore_patterns("*.so", "*.o", "__pycache__", "*.egg-info", "_rapidjws.c")
        for source in sources:
            if source.is_dir():
                shutil.copytree(source, copy / source.name, ignore=skip)
            else:
                shutil.copy(source, copy / source.name)
        run([str(place / "bin/python"), "-m", "pip", "install", "-q", str(copy), *SUITE_PACKAGES], log)

    build_once(place, digest(str(minor), *SUITE_PACKAGES, *sources), build)
    return [str(place / "bin/python"), str(PROGRAMS / peer.program)]


def debian(packages: Sequence[str], log: Path) -> None:
    """Install Debian packages where we are root; else name them."""
    named = ", ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing(f"headers missing: {named} (Debian names)")
    run(["apt-get", "update", "-qq"], log)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], log)


def build_c(peer: Peer, cache: Path) -> list[str]:
    """Compile a C program against the machine's libraries."""
    place, log, source = cache / "c" / peer.key, cache / f"{peer.key}.log", PROGRAMS / "c"
    flags = ["-O2", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra"]
    command = [tool("cc", "gcc"), *flags, peer.program, *peer.needs, "-o", str(place / peer.key)]

    def build() -> None:
        try:
            run(command, log, cwd=source)
        except Missing:
            debian(peer.debian, log)
            run(command, log, cwd=source)

    build_once(place, digest(source, *command), build)
    return [str(place / peer.key)]


def floor_library(cache: Path) -> Path:
    """Compile the floor as a shared library, which the pytest suites load by ctypes."""
    place, source, log = cache / "c" / "library", PROGRAMS / "c", cache / "library.log"
    library = place / "libfloor.so"
    flags = ["-O2", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-shared", "-fPIC"]
    command = [tool("cc", "gcc"), *flags, "floor.c", "-lcrypto", "-o", str(library)]
    build_once(place, digest(source, *command), lambda: run(command, log, cwd=source))
    return library


def _copied(peer: Peer, cache: Path, build: Callable[[Path], None]) -> Path:
    """Build in a copy of the runtime's source folder, which all peers of that runtime share."""
    source, place = PROGRAMS / peer.runtime, cache / peer.runtime

    def build_copy() -> None:
        shutil.copytree(source, place, dirs_exist_ok=True)
        build(place)

    build_once(place, digest(source), build_copy)
    return place


def build_node(peer: Peer, cache: Path) -> list[str]:
    """Install the npm packages beside the programs."""
    node, npm, log = tool("node"), tool("npm"), cache / "node.log"
    place = _copied(peer, cache, lambda to: run([npm, "install", "--silent", "--no-audit"], log, cwd=to))
    return [node, str(place / peer.program)]


def build_go(peer: Peer, cache: Path) -> list[str]:
    """Compile the Go module; go.sum is made from the checksum database."""
    go, log = tool("go"), cache / "go.log"

    def build(place: Path) -> None:
        run([go, "mod", "tidy"], log, cwd=place)
        run([go, "build", "-o", peer.program, "."], log, cwd=place)

    return [str(_copied(peer, cache, build) / peer.program)]


def build_rust(peer: Peer, cache: Path) -> list[str]:
    """Compile the Rust crate with fat link-time optimization."""
    cargo, log = tool("cargo"), cache / "rust.log"
    place = _copied(peer, cache, lambda to: run([cargo, "build", "--release"], log, cwd=to))
    return [str(place / "target/release" / peer.program)]


def build_java(peer: Peer, cache: Path) -> list[str]:
    """Compile the Java class and gather its jars."""
    java, maven, log = tool("java"), tool("mvn"), cache / "java.log"
    goals = ["compile", "dependency:copy-dependencies"]
    place = _copied(peer, cache, lambda to: run([maven, "-q", "-B", *goals], log, cwd=to))
    found = re.search(r"nimbus-jose-jwt</artifactId>\s*<version>([^<]+)", (place / "pom.xml").read_text())
    version = found.group(1) if found else "?"
    path = f"{place}/target/classes:{place}/target/dependency/*"
    return [java, f"-Dbench.version={version}", "-cp", path, peer.program]


BUILDERS: dict[str, Callable[[Peer, Path], list[str]]] = {
    "c": build_c,
    "python": build_python,
    "rapidjws": build_rapidjws,
    "node": build_node,
    "go": build_go,
    "rust": build_rust,
    "java": build_java,
}


def command_for(peer: Peer, cache: Path) -> list[str]:
    """Build the peer if need be; return the command that the protocol's arguments follow.

    Raises:
        Missing: a toolchain or package is not to be had; the text says which.
    """
    return BUILDERS[peer.runtime](peer, cache)
