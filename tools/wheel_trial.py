"""Try a wheel as a user would: a clean environment, no compiler on the path, suite, demo and start-up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from pythons import version_of
from workbench import tested_tree, vectors

IMPORT_RUNS = 21
MLDSA_NATIVELY = {f"test_mldsa_natively[{level}]" for level in (44, 65, 87)}
IMPORTS = {"package": "import rapidjws", "engine": "from rapidjws import Engine, Issuer, Verifier"}

FRESH_IMPORT = """
import time
begun = time.process_time()
{statement}
print((time.process_time() - begun) * 1000)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one interpreter.

    Attributes:
        python: Its version.
        passed: Tests that passed.
        failed: Tests that did not, or could not be set up.
        conformance: Of these, those of third-party vectors and the register of known faults.
        whole: True where the whole suite ran, False where conformance and what is the wheel's alone.
        faults: What went wrong, in words; empty where all is well.
        import_ms: CPU time of each of IMPORTS in a fresh process, core dependencies only, best of some.
    """

    python: str
    passed: int
    failed: int
    conformance: int
    whole: bool
    faults: tuple[str, ...]
    import_ms: dict[str, float]

    @property
    def proven(self) -> bool:
        """Return True where all went well, but perhaps for tests of the whole suite."""
        return not self.faults or (self.whole and all(fault.startswith("suite:") for fault in self.faults))


def import_time_ms(python: Path, statement: str, environment: dict[str, str]) -> float:
    """Give the best of some imports, each in a fresh process, in milliseconds of CPU."""
    command = [str(python), "-c", FRESH_IMPORT.format(statement=statement)]
    runs = (subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            for _ in range(IMPORT_RUNS))  # fmt: skip
    return min(float(answer.stdout) for answer in runs)


def tests_in(report: Path) -> tuple[list[tuple[str, str]], int]:
    """Read a junit file: (module, test) of each test that passed, and how many failed."""
    if not report.exists():
        return [], 0
    cases = list(ElementTree.parse(report).iter("testcase"))
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    good = [case for case in cases if case not in bad and case.find("skipped") is None]
    return [(case.get("classname", ""), case.get("name", "")) for case in good], len(bad)


class Clean:
    """A clean environment of one interpreter with the wheel in it.

    Args:
        wheel: The wheel.
        python: The interpreter.
        folder: Where everything goes.
        settings: Further variables for what runs there.
    """

    def __init__(self, wheel: Path, python: Path, folder: Path, settings: dict[str, str]) -> None:
        self.wheel = wheel
        self.tree = tested_tree(folder / "tree")
        self.venv = folder / "venv"
        self.python = self.venv / "bin" / "python"
        shutil.rmtree(self.venv, ignore_errors=True)
        subprocess.run([str(python), "-m", "venv", "--without-pip", str(self.venv)], check=True)
        # only the environment's own programs: no compiler, no headers, nothing of the checkout
        self.environment = {
            "PATH": str(self.venv / "bin"),
            "HOME": str(folder),
            "RAPIDJWS_VECTORS": vectors(),
            "RAPIDJWS_TEST_FROM": str(self.venv),
            "CI": "true",
            **settings,
        }

    def install(self, *what: str) -> None:
        """Install into it; wheels only, as nothing can be compiled there."""
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", self.python]
        passed_on = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
        command = [*map(str, pip), "install", "--only-binary=:all:", *what]
        subprocess.run(command, cwd=self.tree, env={**self.environment, **passed_on}, check=True)

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command in the tree of tests."""
        words = [str(word) for word in command]
        return subprocess.run(
            words, cwd=self.tree, env=self.environment, capture_output=True, text=True, check=False
        )


def parts(*, whole: bool) -> list[str]:
    """Name the tests that run: all, or conformance and what only a wheel can show."""
    if whole:
        return []
    return ["tests/conformance", "tests/faults/test_two_libcryptos.py", "tests/unit/test_import_cost.py",
            "tests/unit/test_verifier.py", "tests/unit/test_engine_claims.py", "README.md"]  # fmt: skip


def try_wheel(
    wheel: Path, python: Path, folder: Path, *, whole: bool, settings: dict[str, str] | None = None
) -> Trial:
    """Install the wheel into a fresh environment of this interpreter and run what a user could.

    Args:
        wheel: The repaired wheel.
        python: The interpreter.
        folder: Where environment, tests and logs go.
        whole: Whether the whole suite runs.
        settings: Further variables for the tests.
    """
    clean = Clean(wheel, python, folder, settings or {})
    clean.install(str(wheel))
    import_ms = {
        name: import_time_ms(clean.python, code, clean.environment) for name, code in IMPORTS.items()
    }
    clean.install(f"{wheel}[cli]")
    clean.install("--group", "test")
    report = folder / "junit.xml"
    report.unlink(missing_ok=True)
    left_out = "not long and not source_tree and not gateways"
    calm = ["-p", "no:cacheprovider", "-m", left_out, f"--junitxml={report}"]
    suite = clean.run(clean.python, "-m", "pytest", *calm, *parts(whole=whole))
    demo = clean.run(clean.venv / "bin" / "rapidjws", "demo")
    (folder / "pytest.log").write_text(suite.stdout + suite.stderr, "utf-8")
    (folder / "demo.log").write_text(demo.stdout + demo.stderr, "utf-8")
    passed, failed = tests_in(report)
    closing = re.sub(r"=+", "", (suite.stdout.strip().splitlines() or ["nothing printed"])[-1]).strip()
    faults = [f"suite: {closing}"] if suite.returncode else []
    faults += ["the demo failed"] if demo.returncode else []
    unproven = MLDSA_NATIVELY - {name for _, name in passed}
    if not Path(vectors()).is_dir():
        print("without third-party vectors: ML-DSA is not proven on this wheel (make vectors)", flush=True)
        unproven = set()
    faults += [f"not run or not passed: {name}" for name in sorted(unproven)]
    return Trial(
        python=version_of(clean.python) or "?",
        passed=len(passed),
        failed=failed,
        conformance=sum(".conformance." in f".{module}" for module, _ in passed),
        whole=whole,
        faults=tuple(faults),
        import_ms=import_ms,
    )


if __name__ == "__main__":  # python tools/wheel_trial.py WHEEL PYTHON FOLDER: one interpreter, whole suite
    tried = try_wheel(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), whole=True)
    print(tried)
    sys.exit(bool(tried.faults))
