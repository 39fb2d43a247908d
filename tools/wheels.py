"""Build the abi3 wheel with OpenSSL inside, audit it, and try it on every interpreter to be had here.

`make wheels` runs this; `make release-check` adds what stands between a good wheel and a release. The C files
are compiled by the system's gcc; zig's linker then binds them to an older glibc, so the wheel runs
wherever manylinux_2_28 promises. Writes wheelhouse/ and the section of docs/installation.md on the wheels.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from aarch64 import Crossed, cross, try_crossed
from openssl_source import newer_release, pin, tarball_in
from pythons import interpreters
from sbom import bill
from wheel_trial import Trial, try_wheel
from workbench import BIN, BUILD, ROOT, WHEELS, fresh, path_with, plat, run, vectors, zig_compiler

MACHINE = "x86_64"
WHEEL_MAX_BYTES = 4 * 1024 * 1024
IMPORT_MAX_MS = 60.0
AT_A_TIME = 3
RECORD = BUILD / "trials.json"
MARKERS = ("<!-- install:begin -->", "<!-- install:end -->")
PAGE = "docs/installation.md"


def build() -> tuple[Path, Path]:
    """Build sdist and wheel; give (sdist, repaired wheel)."""
    zig = zig_compiler(MACHINE)
    prefix = BUILD / "openssl"
    script = ROOT / "tools" / "build_openssl.sh"
    run("sh", script, prefix, CC=str(zig), RAPIDJWS_OPENSSL_TARBALL=str(tarball_in(BUILD)))
    raw = fresh(BUILD / "raw")
    fresh(WHEELS)
    run(sys.executable, "-m", "build", "--outdir", raw, ROOT, RAPIDJWS_OPENSSL_PREFIX=str(prefix), CC="gcc",
        LDSHARED=f"{zig} -shared", CFLAGS=os.environ.get("CFLAGS", "") + " -g0")  # fmt: skip
    (sdist,), (wheel,) = raw.glob("*.tar.gz"), raw.glob("*.whl")
    run(BIN / "auditwheel", "repair", "--strip", "--only-plat", "--plat", plat(MACHINE),
        "--wheel-dir", WHEELS, wheel, PATH=path_with(BIN))  # fmt: skip
    shutil.copy2(sdist, WHEELS)
    (repaired,) = WHEELS.glob("*.whl")
    return WHEELS / sdist.name, repaired


def foreign_libcrypto() -> Path:
    """Compile the libcrypto that finds every signature good, for environments without a compiler."""
    made = BUILD / "libforeign.so"
    run("gcc", "-shared", "-fPIC", "-o", made, ROOT / "tests" / "native" / "foreign_libcrypto.c")
    return made


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


def audit(wheel: Path, machine: str) -> None:
    """Check tag, size, ABI, contents and symbols of a repaired wheel."""
    if not wheel.name.endswith(f"-cp310-abi3-{plat(machine)}.whl"):
        raise SystemExit(f"{wheel.name} is no cp310-abi3 wheel for {plat(machine)}")
    if wheel.stat().st_size > WHEEL_MAX_BYTES:
        raise SystemExit(f"{wheel.name} has {wheel.stat().st_size} bytes, allowed are {WHEEL_MAX_BYTES}")
    print(run(BIN / "abi3audit", "--strict", "--summary", wheel).strip())
    print(run(BIN / "check-wheel-contents", wheel).strip())
    unpacked = BUILD / f"unpacked-{machine}"
    shutil.rmtree(unpacked, ignore_errors=True)
    shutil.unpack_archive(wheel, unpacked, "zip")
    (module,) = (unpacked / "rapidjws").glob("_rapidjws*.so")
    if list(unpacked.rglob("*.libs")):
        raise SystemExit("auditwheel copied a library into the wheel: libcrypto was to be inside the module")
    faults = symbol_faults(run("nm", "-D", module))
    if faults:
        raise SystemExit(f"{module.name}: {', '.join(faults[:10])}")
    print(f"{module.name}: exports its init function only, {module.stat().st_size} bytes")


def suite_of(trial: Trial) -> str:
    """Word what came of the whole suite, where it ran."""
    if not trial.whole:
        return "-"
    return f"{trial.passed} passed" + (f", {trial.failed} failed" if trial.failed else "")


def rows(trials: list[Trial], crossed: Crossed | None) -> list[str]:
    """Word one row an interpreter."""
    made = [
        f"| {one.python} | {suite_of(one)} | {one.conformance} passed | "
        f"{one.import_ms['package']:.0f} ms | {one.import_ms['engine']:.0f} ms |"
        for one in trials
    ]
    if crossed is not None:
        made.append(f"| {crossed.python} aarch64, emulated | - | {crossed.conformance} passed | - | - |")
    return made


def install_section(wheel: Path, trials: list[Trial], crossed: Crossed | None) -> str:
    """Word what the documentation says of installing, from what was measured."""
    sizes = [f"`{wheel.name}`, {wheel.stat().st_size / 2**20:.1f} MiB"]
    drivers = ""
    if crossed is not None:
        sizes.append(f"`{crossed.wheel.name}`, {crossed.wheel.stat().st_size / 2**20:.1f} MiB")
        drivers = (
            f"The aarch64 wheel is cross-compiled; emulated, {crossed.drivers} tests of its C modules pass."
        )
    text = [
        f"The wheel has its own OpenSSL {pin()['version']}, linked statically and hidden, ML-DSA included,",
        "and needs no compiler. Built from the sdist, rapidjws links the system's libcrypto (3.0 or later);",
        "`rapidjws version` says which one is in use.",
        "",
        "Written by `make wheels`, on Linux: " + " and ".join(sizes) + ".",
        "In each CPython below, in a clean environment without a compiler, the demo ran, and every",
        "third-party ML-DSA vector went through the core itself. Milliseconds are CPU time, with the core's",
        "dependencies only.",
        *([drivers] if drivers else []),
        "",
        "| CPython | suite on the wheel | conformance | `import rapidjws` | `from rapidjws import Engine` |",
        "| --- | --- | --- | --- | --- |",
        *rows(trials, crossed),
    ]
    return "\n".join(text)


def rewrite_page(section: str) -> None:
    """Put the section between the page's markers."""
    page = ROOT / PAGE
    text = page.read_text("utf-8")
    pattern = re.compile(f"({re.escape(MARKERS[0])}\n).*?({re.escape(MARKERS[1])})", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{PAGE} lacks the markers {MARKERS}")
    page.write_text(pattern.sub(lambda found: f"{found[1]}{section}\n{found[2]}", text), "utf-8")


def release_faults(version: str) -> list[str]:
    """List what stands between good wheels and a release."""
    faults = []
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    if not re.search(rf"^## \[{re.escape(version)}\]", changelog, re.MULTILINE):
        faults.append(f"CHANGELOG.md has no section [{version}]")
    changed = [line for line in run("git", "status", "--porcelain").splitlines() if line[3:] != PAGE]
    if changed:
        faults.append("the checkout has changes that are not committed")
    try:
        newer = newer_release()
    except (OSError, subprocess.CalledProcessError) as fault:
        faults.append(f"whether OpenSSL {pin()['version']} is the newest of its line cannot be told: {fault}")
    else:
        if newer:
            faults.append(f"OpenSSL {newer} is out: read its fixes, and pin it in tools/build_openssl.sh")
    return faults


def release_check(published: list[Path]) -> int:
    """Print what a release would publish and what stands in its way; give the number of faults."""
    version = published[-1].name.split("-")[1]
    faults = release_faults(version)
    print("\n".join(f"NOT READY: {fault}" for fault in faults))
    print(run(sys.executable, "-m", "pytest", "-q", "tests/unit/test_wheel_plan.py").strip())
    print(f"a release of {version} would publish, besides the other platforms' wheels:")
    for path in published:
        print(f"  {hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size} bytes")
    print("with the bill of materials wheelhouse/sbom.cdx.json, and an attestation of each file")
    return len(faults)


def try_one(wheel: Path, minor: str, python: Path, settings: dict[str, str], *, whole: bool) -> Trial:
    """Try the wheel on one interpreter, and say what came of it."""
    trial = try_wheel(wheel, python, BUILD / f"try-{minor}", whole=whole, settings=settings)
    times = ", ".join(f"{name} {taken:.1f} ms" for name, taken in trial.import_ms.items())
    said = "; ".join(trial.faults) or "ok"
    print(f"CPython {trial.python}: {said}; {trial.passed} passed, {trial.failed} failed, "
          f"{trial.conformance} of conformance passed; import: {times}", flush=True)  # fmt: skip
    return trial


def try_all(wheel: Path, crossed: Path | None) -> tuple[list[Trial], Crossed | None]:
    """Try the wheels everywhere, some at a time: the whole suite on the oldest, conformance on all."""
    found = interpreters()
    settings = {"RAPIDJWS_FOREIGN_LIBCRYPTO": str(foreign_libcrypto())}
    oldest = min(found, key=_number)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        elsewhere = None if crossed is None else pool.submit(try_crossed, crossed)
        trials = [
            pool.submit(try_one, wheel, minor, python, settings, whole=minor == oldest)
            for minor, python in found.items()
        ]
        return [trial.result() for trial in trials], None if elsewhere is None else elsewhere.result()


def _number(minor: str) -> int:
    return int(minor.partition(".")[2])


def write_down() -> None:
    """Write the page's section from the record of the last run; not where a trial proved nothing."""
    record = json.loads(RECORD.read_text("utf-8"))
    trials = [Trial(**{**one, "faults": tuple(one["faults"])}) for one in record["trials"]]
    if not Path(vectors()).is_dir():
        print(f"{PAGE} is left as it was: without third-party vectors (make vectors) ML-DSA is not proven")
        return
    if not trials or not all(trial.proven for trial in trials):
        raise SystemExit(f"{PAGE} is left as it was: not every interpreter proved the wheel")
    there = record.get("crossed")
    crossed = None if there is None else Crossed(**{**there, "wheel": WHEELS / there["wheel"], "faults": ()})
    rewrite_page(install_section(WHEELS / record["wheel"], trials, crossed))


def main() -> int:
    """Build, audit, try, write down; with --write only the last."""
    if "--write" in sys.argv:
        write_down()
        return 0
    sdist, wheel = build()
    audit(wheel, MACHINE)
    elsewhere = cross(sdist)
    if elsewhere is not None:
        audit(elsewhere, "aarch64")
    published = [sdist, wheel, *([elsewhere] if elsewhere else [])]
    print(run(BIN / "twine", "check", "--strict", *published).strip())
    (WHEELS / "sbom.cdx.json").write_text(json.dumps(bill(WHEELS), indent=1) + "\n", "utf-8")
    trials, crossed = try_all(wheel, elsewhere)
    faults = [f"{trial.python}: {fault}" for trial in trials for fault in trial.faults]
    faults += [
        f"{trial.python}: `import rapidjws` takes more than {IMPORT_MAX_MS:.0f} ms"
        for trial in trials
        if trial.import_ms["package"] > IMPORT_MAX_MS
    ]
    if crossed is not None:
        faults += crossed.faults
    print("\n".join(faults))
    record: dict[str, object] = {"wheel": wheel.name, "trials": [asdict(one) for one in trials]}
    if crossed is not None and not crossed.faults:
        record["crossed"] = {**asdict(crossed), "wheel": crossed.wheel.name}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    write_down()
    if "--release-check" in sys.argv:
        return 1 if release_check(published) or faults or not trials else 0
    return 0 if trials and not faults else 1


if __name__ == "__main__":
    sys.exit(main())
