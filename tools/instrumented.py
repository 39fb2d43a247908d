"""Run a part of the suite under ASan and UBSan, under TSan, or under valgrind's memcheck.

Usage: python tools/instrumented.py sanitize|tsan|memcheck FOLDER [pytest arguments]
FOLDER receives the build and the reports. The checkout's own build is left alone: an instrumented copy is
built beside it (memcheck needs none), and the run refuses to start when another copy would be imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
MODULE = "_rapidjws"
PYTHON_FAULTS = (
    "audit_faults",
    "audit_flips",
    "decision_faults",
    "gevent_after_fork",
    "interpreter_exit",
    "key_life_cycle_faults",
    "loops_and_stores",
    "partial_failure",
    "partial_failure_loop",
    "process_limit",
    "redirects",
    "replay_failovers",
    "replay_lifetimes",
    "revocation_failovers",
    "revocation_faults",
    "thread_starts",
    "thread_starts_asking",
    "thread_starts_attached",
    "thread_starts_audit",
    "thread_starts_issuing",
    "thread_starts_observed",
    "thread_starts_served",
)
PYTHON_PROCESSES = (
    "admin_questions",
    "audit_kills",
    "audit_remote_signers",
    "audit_service",
    "cloud_signers",
    "draining",
    "full_disk",
    "issue_serve",
    "issuing_announce",
    "issuing_paused",
    "issuing_redis",
    "kms_issuer",
    "kubernetes_issuer",
    "operator_lines",
    "random_kills",
    "ready_at_start",
    "remote_signer",
    "sidecar_signals",
    "oidc_opinions",
    "running_workers",
    "scenario_hsm",
    "scenarios",
    "sidecar_logs",
    "sidecar_loop",
    "signers",
    "signing_service",
    "start_refused",
    "status_page",
    "supervisor",
)


def marked(name: str) -> list[str]:
    """Give the test files that use a mark: to collect all others takes memcheck a quarter of an hour."""
    return [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if f"mark.{name}" in path.read_text("utf-8")
    ]


# What each instrument runs, as far as it is there: all native and vector tests; threads; a small part.
PARTS = {
    "sanitize": [
        *("tests/native", "tests/integration", "tests/conformance", "tests/faults"),
        "tests/bulk/test_bulk_verifier.py",  # columns that the core reads where they lie
        "tests/unit/test_plain_requests.py",  # requests that the core reads
        "tests/unit/test_check_request.py",  # Envoy's checks as well
        "tests/unit/test_registry_known.py",  # a registry's headers, while issuers come and go
        "tests/unit/test_carried_headers.py",  # headers that outlive a change of keys
        # the first measures memory, which ASan holds back; the second how long others wait beside a flood
        *("-k", "not table_swaps_while_two_threads and not client_that_does_not_read"),
        # files, stores, loops and processes: Python alone, which the suite itself holds
        *(f"--ignore=tests/faults/test_{name}.py" for name in PYTHON_FAULTS),
        *(f"--ignore=tests/integration/test_{name}.py" for name in PYTHON_PROCESSES),
    ],
    "tsan": [*marked("tsan"), "-m", "tsan"],
    "memcheck": [*marked("memcheck"), "-m", "memcheck"],
}

# Seconds, two to three times what each takes: what hangs ends its own step, not the time of all others.
LIMITS_S = {"sanitize": 1500, "tsan": 600, "memcheck": 600}
ENDED = (124, 137)


def build(folder: Path, sanitizers: str) -> Path:
    """Build the package into FOLDER/lib with these sanitizers; give that path."""
    library = folder / "lib"
    shutil.rmtree(library, ignore_errors=True)
    environment = {**os.environ, "RAPIDJWS_SANITIZE": sanitizers}
    command = [
        sys.executable,
        "setup.py",
        "--quiet",
        "build",
        f"--build-base={folder}",
        f"--build-lib={library}",
    ]
    subprocess.run([*command, "build_ext", "--force"], cwd=ROOT, env=environment, check=True)
    (module,) = (library / "rapidjws").glob(f"{MODULE}*.so")
    needed = {"": "PyInit_", "address,undefined": "__asan_", "thread": "__tsan_"}[sanitizers]
    symbols = subprocess.run(["nm", "-D", str(module)], capture_output=True, text=True, check=True).stdout
    if needed not in symbols:
        sys.exit(f"{module.name} was not built with {sanitizers}: no {needed} symbol in it")
    return library


def preload(library: str) -> str:
    """Give the path of a sanitizer's run-time library."""
    answer = subprocess.run(
        ["gcc", f"-print-file-name={library}"], capture_output=True, text=True, check=True
    )
    return str(Path(answer.stdout.strip()).resolve())


def run(mode: str, command: list[str], library: Path, extra: dict[str, str]) -> int:
    """Run a command with the instrumented copy before every other; give its exit code, 124 when ended."""
    environment = {**os.environ, "PYTHONPATH": str(library), "RAPIDJWS_TEST_FROM": str(library), **extra}
    print("+", *command, flush=True)
    limited = ["timeout", "--kill-after=30", str(LIMITS_S[mode]), *command]
    code = subprocess.run(
        limited, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False
    ).returncode
    if code in ENDED:
        print(f"{mode}: not finished in {LIMITS_S[mode]} s, ended")
    return code


def pytest_command(mode: str, more: list[str]) -> list[str]:
    """Give the pytest call of a mode, with the folders that exist."""
    parts = [part for part in PARTS[mode] if not part.startswith("tests/") or (ROOT / part).exists()]
    calm = ["-p", "no:cacheprovider", "-p", "no:benchmark", "--timeout=1200"]
    return [sys.executable, "-m", "pytest", *calm, *parts, *more]


def sanitize(folder: Path, more: list[str]) -> int:
    """Run under ASan and UBSan; the first report ends the run."""
    library = build(folder, "address,undefined")
    return run(
        "sanitize",
        pytest_command("sanitize", ["-n", "auto", "--dist", "loadgroup", *more]),
        library,
        {
            "LD_PRELOAD": preload("libasan.so"),
            # the interpreter never frees everything; leaks of ours are memcheck's and the drivers' matter
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:strict_string_checks=1",
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
            "PYTHONMALLOC": "malloc",  # every bytes object gets its own red zones
            "RAPIDJWS_FUZZ_SECONDS": os.environ.get("RAPIDJWS_FUZZ_SECONDS", "30"),
        },
    )


def tsan(folder: Path, more: list[str]) -> int:
    """Run under TSan; a report that touches our module fails the run, others are counted."""
    library = build(folder, "thread")
    reports = folder / "report"
    for old in folder.glob("report.*"):
        old.unlink()
    options = f"exitcode=0:report_signal_unsafe=0:history_size=4:log_path={reports}"
    # no address randomisation: the run-time library of gcc 12 cannot place its shadow under a wide one
    code = run("tsan", ["setarch", "-R", *pytest_command("tsan", more)], library,
               {"LD_PRELOAD": preload("libtsan.so"), "TSAN_OPTIONS": options})  # fmt: skip
    found = "".join(path.read_text("utf-8", "replace") for path in folder.glob("report.*"))
    blocks = [block for block in found.split("==================") if "WARNING: ThreadSanitizer" in block]
    ours = [block for block in blocks if MODULE in block]
    print(*ours[:5], sep="\n")
    print(f"tsan: {len(ours)} reports that touch {MODULE}, {len(blocks) - len(ours)} of others")
    return code or bool(ours)


def memcheck(folder: Path, more: list[str]) -> int:
    """Run the checkout's own build under memcheck; an error or a lost block below our module fails the run.

    Its scheduler has to be fair: by default threads that never wait can keep all others from running.
    """
    report = folder / "memcheck.xml"
    report.unlink(missing_ok=True)
    command = ["valgrind", "--quiet", "--fair-sched=try", "--leak-check=full", "--show-leak-kinds=definite",
               "--num-callers=40", "--xml=yes", f"--xml-file={report}",
               *pytest_command("memcheck", more)]  # fmt: skip
    code = run("memcheck", command, ROOT / "src", {"PYTHONMALLOC": "malloc"})
    if code in ENDED:
        return code  # the report has no end
    ours: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for error in ElementTree.parse(report).iter("error"):
        kind = error.findtext("kind", "?")
        frames = list(next(error.iter("stack")).iter("frame"))
        names = [frame.findtext("fn", "?") for frame in frames]
        # one block lost is kept for the process's life (the runtime is); a leak on a path loses one a call
        for_life = kind.startswith("Leak_") and error.findtext("xwhat/leakedblocks") == "1"
        if any(MODULE in frame.findtext("obj", "") for frame in frames) and not for_life:
            ours[kind] += 1
            print(kind, " <- ".join(names[:10]))
        else:
            others[kind] += 1
    print(f"memcheck: {ours.total()} errors with {MODULE} on the stack {dict(ours)}")
    print(f"memcheck: {others.total()} errors elsewhere {dict(others)}")
    return code or bool(ours)


def main() -> int:
    """Pick the instrument."""
    mode, folder = sys.argv[1], (ROOT / sys.argv[2]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return int({"sanitize": sanitize, "tsan": tsan, "memcheck": memcheck}[mode](folder, sys.argv[3:]))


if __name__ == "__main__":
    sys.exit(main())
