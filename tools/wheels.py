"""Build the abi3 wheel with OpenSSL inside, audit it, and try it on every interpreter to be had here.

`make wheels` runs this; `make release-check` adds what stands between a good wheel and a release. The C rooms
are compiled by the house's gcc; zig's linker then binds them to an older glibc, so the wheel runs
wherever manylinux_2_28 promises. Writes wheelhouse/ and the README's install section.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from openssl_source import pin, tarball_in
from sbom import bill
from wheel_trial import Trial, interpreters, try_wheel

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "wheels"
HOUSE = ROOT / "wheelhouse"
BIN = Path(sysconfig.get_path("scripts"))
GLIBC = "2.28"
TAG = f"manylinux_{GLIBC.replace('.', '_')}_x86_64"
WHEEL_MAX_BYTES = 4 * 1024 * 1024
IMPORT_MAX_MS = 60.0
MARKERS = ("<!-- install:begin -->", "<!-- install:end -->")


def run(*command: str | Path, **environment: str) -> str:
    """Run a step, show it, and give what it printed; a failure ends everything."""
    words = [str(word) for word in command]
    print("+", *words, flush=True)
    answer = subprocess.run(words, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
    if answer.returncode:
        print(answer.stdout)
        raise SystemExit(f"{Path(words[0]).name} failed with exit code {answer.returncode}")
    return answer.stdout


def zig_compiler() -> Path:
    """Write a compiler command that targets the older glibc."""
    BUILD.mkdir(parents=True, exist_ok=True)
    script = BUILD / "zig-cc"
    script.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m ziglang cc -target x86_64-linux-gnu.{GLIBC} "$@"\n'
    )
    script.chmod(0o755)
    return script


def build() -> tuple[Path, Path]:
    """Build sdist and wheel; give (sdist, repaired wheel)."""
    zig = zig_compiler()
    prefix = BUILD / "openssl"
    script = ROOT / "tools" / "build_openssl.sh"
    run("sh", script, prefix, CC=str(zig), RAPIDJWS_OPENSSL_TARBALL=str(tarball_in(BUILD)))
    raw = BUILD / "raw"
    for folder in (raw, HOUSE):
        shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", raw, ROOT, RAPIDJWS_OPENSSL_PREFIX=str(prefix), CC="gcc",
        LDSHARED=f"{zig} -shared", CFLAGS=os.environ.get("CFLAGS", "") + " -g0")  # fmt: skip
    (sdist,), (wheel,) = raw.glob("*.tar.gz"), raw.glob("*.whl")
    run(BIN / "auditwheel", "repair", "--strip", "--only-plat", "--plat", TAG, "--wheel-dir", HOUSE, wheel,
        PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")  # fmt: skip
    shutil.copy2(sdist, HOUSE)
    (repaired,) = HOUSE.glob("*.whl")
    return HOUSE / sdist.name, repaired


def symbol_faults(listing: str) -> list[str]:
    """List what the module gives away or asks of the process beyond the interpreter and the C library."""
    faults = []
    for line in listing.splitlines():
        kind, name = line.split()[-2:]
        if kind not in "Uwv":
            if name != "PyInit__rapidjws":
                faults.append(f"exports {name}")
        elif not name.startswith(("Py", "_Py")) and "@" not in name and kind == "U":
            faults.append(f"needs {name} of no known library")
    return faults


def audit(sdist: Path, wheel: Path) -> None:
    """Check tag, size, ABI, contents, metadata and symbols of the repaired wheel."""
    if not wheel.name.endswith(f"-cp310-abi3-{TAG}.whl"):
        raise SystemExit(f"{wheel.name} is no cp310-abi3 wheel for {TAG}")
    if wheel.stat().st_size > WHEEL_MAX_BYTES:
        raise SystemExit(f"{wheel.name} has {wheel.stat().st_size} bytes, allowed are {WHEEL_MAX_BYTES}")
    print(run(BIN / "abi3audit", "--strict", "--summary", wheel).strip())
    print(run(BIN / "check-wheel-contents", wheel).strip())
    print(run(BIN / "twine", "check", "--strict", sdist, wheel).strip())
    unpacked = BUILD / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    shutil.unpack_archive(wheel, unpacked, "zip")
    (module,) = (unpacked / "rapidjws").glob("_rapidjws*.so")
    if list(unpacked.rglob("*.libs")):
        raise SystemExit("auditwheel copied a library into the wheel: libcrypto was to be inside the module")
    faults = symbol_faults(run("nm", "-D", module))
    if faults:
        raise SystemExit(f"{module.name}: {', '.join(faults[:10])}")
    print(f"{module.name}: exports its init function only, {module.stat().st_size} bytes")


def install_section(wheel: Path, trials: list[Trial]) -> str:
    """Word what README says of installing, from what was measured."""
    rows = [
        f"| {trial.python} | {trial.closing_line.split(' in ')[0]} | {trial.import_ms:.0f} ms |"
        for trial in trials
    ]
    size_mib = wheel.stat().st_size / 2**20
    return "\n".join(
        [
            "```console",
            "$ pip install rapidjws",
            "```",
            "",
            f"The wheel has its own OpenSSL {pin()['version']}, linked statically and hidden, and needs no",
            "compiler. Built from the sdist, rapidjws links the system's libcrypto (3.0 or later);",
            "`rapidjws version` says which one is in use.",
            "",
            f"Written by `make wheels`, on Linux x86_64: `{wheel.name}`, {size_mib:.1f} MiB.",
            "",
            "| CPython | suite against the wheel | CPU time of `import rapidjws` |",
            "| --- | --- | --- |",
            *rows,
        ]
    )


def rewrite_readme(section: str) -> None:
    """Put the section between README's markers."""
    readme = ROOT / "README.md"
    text = readme.read_text("utf-8")
    pattern = re.compile(f"({re.escape(MARKERS[0])}\n).*?({re.escape(MARKERS[1])})", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"README.md lacks the markers {MARKERS}")
    readme.write_text(pattern.sub(lambda found: f"{found[1]}{section}\n{found[2]}", text), "utf-8")


def release_check(sdist: Path, wheel: Path) -> None:
    """Check the version's places and print what a release would publish."""
    version = wheel.name.split("-")[1]
    if not re.search(
        rf"^## \[{re.escape(version)}\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    ):
        print(f"NOT READY: CHANGELOG.md has no section [{version}]")
    if run("git", "status", "--porcelain").strip():
        print("NOT READY: the checkout has changes that are not committed")
    print(run(sys.executable, "-m", "pytest", "-q", "tests/unit/test_wheel_plan.py").strip())
    print(f"a release of {version} would publish, besides the other platforms' wheels:")
    for path in (sdist, wheel):
        print(f"  {hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size} bytes")


def main() -> int:
    """Build, audit, try, write down."""
    sdist, wheel = build()
    audit(sdist, wheel)
    (HOUSE / "sbom.cdx.json").write_text(json.dumps(bill(HOUSE), indent=1) + "\n", "utf-8")
    trials = []
    for minor, python in interpreters().items():
        trial = try_wheel(wheel, python, BUILD / f"try-{minor}")
        print(f"CPython {trial.python}: {'ok' if trial.ok else 'FAILED'}; {trial.closing_line}; "
              f"import {trial.import_ms:.1f} ms", flush=True)  # fmt: skip
        trials.append(trial)
    slow = [trial.python for trial in trials if trial.import_ms > IMPORT_MAX_MS]
    if slow:
        print(f"import takes more than {IMPORT_MAX_MS:.0f} ms on {', '.join(slow)}")
    rewrite_readme(install_section(wheel, trials))
    if "--release-check" in sys.argv:
        release_check(sdist, wheel)
    return 0 if trials and all(trial.ok for trial in trials) and not slow else 1


if __name__ == "__main__":
    sys.exit(main())
