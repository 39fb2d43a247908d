"""Copies of the tree in which one careless change at a time is made, compiled and tested (see mutants.py)."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "mutants"
MODULE = "src/rapidjws/_rapidjws.abi3.so"
COPIED = ("src", "native", "tests", "tools", "benchmarks", "examples", "docs", ".github")
TIMEOUT_S = 300.0
UNUSED_PLUGINS = ("cacheprovider", "benchmark", "xdist", "faker", "anyio", "platformdirs")
PRELOADED = (
    *("pytest", "_pytest.assertion.rewrite", "_pytest.doctest", "_pytest.faulthandler", "_pytest.junitxml"),
    *("_pytest.pytester", "_hypothesis_pytestplugin", "hypothesis.strategies", "pytest_timeout", "asyncio"),
    *("cryptography.x509", "cryptography.hazmat.primitives.asymmetric.rsa", "cffi", "typer", "rich.console"),
)
"""Imported once a copy, not once a mutant. Nothing of rapidjws or of the tests: those change."""
PYTEST_FAILED, PYTEST_INTERRUPTED, PYTEST_INTERNAL = 1, 2, 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One careless change, and the tests that must notice it."""

    id: str
    area: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...] = ()
    equivalent: str = ""

    @property
    def native(self) -> bool:
        """Tell whether the compiled module changes."""
        return self.file.startswith("native/")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the tests made of one mutant: ``noticed``, ``survived`` or ``broken`` (the list is wrong)."""

    mutant: Mutant
    verdict: str
    detail: str
    seconds: float


def _first_failed(text: str) -> str:
    """Give the test that failed, from pytest's last lines."""
    return next((node for line in text.splitlines() if (node := failed_node(line))), "")


def failed_node(line: str) -> str:
    """Give the test that a line of pytest's summary names as failed, or nothing."""
    kind, _, rest = line.partition(" ")
    node = rest.split(" - ")[0].strip()
    return node if kind in {"FAILED", "ERROR"} and node.startswith("tests/") else ""


def serve() -> None:
    """Run pytest in a fork for each line of standard input; answer with its process and its exit status."""
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.flush()
        child = os.fork()
        if not child:
            os.setsid()
            _run_forked(Path(asked["file"]), asked["options"])
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run_forked(file: Path, options: list[str]) -> None:
    """Run pytest with its output in a file, and end this process."""
    import pytest

    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for old, new in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(old, new)
    sys.exit(int(pytest.main(options)))


class Copy:
    """A copy of the tree in which one mutant at a time is made."""

    def __init__(self) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.folder = folder = Path(tempfile.mkdtemp(prefix="copy-", dir=FOLDER))
        ignored = shutil.ignore_patterns("__pycache__", ".cache", "results", "node_modules")
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for path in ROOT.iterdir():
            if path.is_file():
                shutil.copy2(path, folder / path.name)
        for name in ("partners", "gateways"):
            if (ROOT / "build" / name).exists():
                (folder / "build").mkdir(exist_ok=True)
                (folder / "build" / name).symlink_to((ROOT / "build" / name).resolve())
        self._written = 0
        self._server: subprocess.Popen[str] | None = None
        self._module = (folder / MODULE).read_bytes() if (folder / MODULE).is_file() else None

    def remove(self) -> None:
        """End what runs the tests, and remove the folder."""
        if self._server is not None and self._server.stdin is not None:
            self._server.stdin.close()
            self._server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, path: Path, text: str) -> None:
        """Write a file with a time of its own: bytecode is kept by the second of its source."""
        self._written += 1
        path.write_text(text, "utf-8")
        at_s = time.time() + self._written * 2
        os.utime(path, (at_s, at_s))

    def restore_module(self) -> None:
        """Put the compiled module of the unchanged tree back."""
        if self._module is not None:
            module = self.folder / MODULE
            module.unlink(missing_ok=True)  # another inode: a process left over may still have mapped the old
            module.write_bytes(self._module)

    def environment(self) -> dict[str, str]:
        """Give the environment in which the copy, and no other, is imported."""
        vectors = os.environ.get("RAPIDJWS_VECTORS", str(ROOT.parent / "shared" / "vectors"))
        return {
            **os.environ,
            "PYTHONPATH": str(self.folder / "src"),
            "PYTHONDONTWRITEBYTECODE": "",  # pytest rewrites every file again where it may not keep them
            "RAPIDJWS_TEST_FROM": str(self.folder / "src"),
            "RAPIDJWS_VECTORS": vectors,
            "RAPIDJWS_CASES": os.environ.get("RAPIDJWS_CASES", str(ROOT.parent / "shared" / "cases")),
        }

    def compile(self) -> subprocess.CompletedProcess[str]:
        """Compile the module of the copy."""
        command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "--force"]
        environment = self.environment()
        if shutil.which("ccache"):  # for setuptools alone: the tests take CC as the name of one program
            environment |= {"CC": "ccache gcc", "CCACHE_BASEDIR": str(self.folder), "CCACHE_NOHASHDIR": "1"}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def pytest(self, tests: list[str], timeout_s: float, *, stop: bool = True) -> tuple[int, str]:
        """Run tests, until the first failure; give pytest's exit status (-1: out of time), last lines."""
        if self._server is None or self._server.poll() is not None:
            path = f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r})"
            self._server = subprocess.Popen(
                [sys.executable, "-c", f"{path}; import mutant_copies; mutant_copies.serve()"],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        said = self.folder / "pytest.txt"
        unused = [f"-pno:{name}" for name in UNUSED_PLUGINS]  # some take longer to import than a test to run
        options = [
            "-q",
            *["-x"][: int(stop)],
            *unused,
            "-o",
            "addopts=",
            "-m",
            "not long",
            "--import-mode=importlib",
        ]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning", *tests]  # of what is preloaded
        print(json.dumps({"file": str(said), "options": options}), file=self._server.stdin, flush=True)
        number = int(self._server.stdout.readline())
        late = threading.Event()

        def end() -> None:
            late.set()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(number, signal.SIGKILL)

        timer = threading.Timer(timeout_s, end)
        timer.start()
        code = int(self._server.stdout.readline())
        timer.cancel()
        if late.is_set():
            return -1, f"not done after {timeout_s:.0f} s"
        return code, "\n".join(said.read_text("utf-8", "replace").splitlines()[-25:])

    def attempt(self, mutant: Mutant) -> Outcome:
        """Make a mutant, run its tests, and undo it."""
        path = self.folder / mutant.file
        text = path.read_text("utf-8")
        begun = time.monotonic()
        self._write(path, text.replace(mutant.find, mutant.replace))
        try:
            if mutant.native:
                compiled = self.compile()
                if compiled.returncode:
                    return Outcome(mutant=mutant, verdict="broken", detail=compiled.stderr[-800:], seconds=0)
            code, detail = self.pytest(list(mutant.tests), TIMEOUT_S)
        finally:
            self._write(path, text)
            if mutant.native:
                self.restore_module()
        verdict = {0: "survived", PYTEST_FAILED: "noticed", -1: "noticed"}.get(code)
        if verdict is None:
            # an import that fails is noticed; a wrong node id is not; a crash has a signal's number
            noticed = code in (PYTEST_INTERRUPTED, PYTEST_INTERNAL) or code < 0
            verdict = "noticed" if noticed else "broken"
        kept = detail if verdict != "noticed" else _first_failed(detail)
        return Outcome(mutant=mutant, verdict=verdict, detail=kept, seconds=time.monotonic() - begun)
