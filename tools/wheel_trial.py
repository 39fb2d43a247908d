"""Try a wheel as a user would: a clean environment, no compiler on the path, suite, demo and start-up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMPORT_RUNS = 11
MINORS = range(10, 16)

FRESH_IMPORT = """
import time
begun = time.process_time()
import rapidjws
print((time.process_time() - begun) * 1000)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one interpreter.

    Attributes:
        python: Its version.
        closing_line: The last line of pytest.
        ok: True when the suite and the demo both passed.
        import_ms: CPU time of `import rapidjws` in a fresh process, core dependencies only, best of some.
    """

    python: str
    closing_line: str
    ok: bool
    import_ms: float


def version_of(python: Path) -> str | None:
    """Give the version of an ordinary CPython, or None where it does not start or is too old."""
    code = (
        "import sys; print('.'.join(map(str, sys.version_info[:3])) if sys.version_info >= (3, 10) else '')"
    )
    try:
        answer = subprocess.run(
            [str(python), "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def interpreters() -> dict[str, Path]:
    """Find one interpreter for each minor version: RAPIDJWS_PYTHONS, the path, then pyenv's."""
    named = [Path(word) for word in os.environ.get("RAPIDJWS_PYTHONS", "").split()]
    on_path = [Path(program) for minor in MINORS if (program := shutil.which(f"python3.{minor}"))]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found: dict[str, Path] = {}
    for python in [*named, *sorted(pyenv.glob("3.*/bin/python3")), *on_path, Path(sys.executable)]:
        version = version_of(python)
        if version:
            found.setdefault(version.rsplit(".", 1)[0], python)
    return dict(sorted(found.items(), key=lambda item: int(item[0].split(".")[1])))


def test_tree(folder: Path) -> Path:
    """Copy what the tests need, and no source of the package, into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("tests", "native"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy2(ROOT / name, folder / name)
    return folder


def vectors() -> str:
    """Give the absolute path of the third-party vectors, wherever the tests then run."""
    return os.environ.get("RAPIDJWS_VECTORS") or str((ROOT.parent / "shared" / "vectors").resolve())


def import_time_ms(python: Path, environment: dict[str, str]) -> float:
    """Give the best of some imports, each in a fresh process, in milliseconds of CPU."""
    command = [str(python), "-c", FRESH_IMPORT]
    runs = (subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            for _ in range(IMPORT_RUNS))  # fmt: skip
    return min(float(answer.stdout) for answer in runs)


def try_wheel(wheel: Path, python: Path, folder: Path) -> Trial:
    """Install the wheel into a fresh environment of this interpreter and run everything that a user could."""
    tree = test_tree(folder / "tree")
    venv = folder / "venv"
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([str(python), "-m", "venv", str(venv)], check=True)
    inside = venv / "bin" / "python"
    # only the environment's own programs: no compiler, no headers, nothing of the checkout
    environment = {
        "PATH": str(venv / "bin"),
        "HOME": str(folder),
        "RAPIDJWS_VECTORS": vectors(),
        "CI": "true",
    }
    passed_on = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
    pip = [str(inside), "-m", "pip", "--quiet", "--disable-pip-version-check"]

    def install(*what: str) -> None:
        subprocess.run([*pip, "install", *what], cwd=tree, env={**environment, **passed_on}, check=True)

    install("--upgrade", "pip>=25.1")
    install("--only-binary=:all:", str(wheel))
    import_ms = import_time_ms(inside, environment)
    install("--only-binary=:all:", f"{wheel}[cli]")
    install("--only-binary=:all:", "--group", "test")
    environment["RAPIDJWS_TEST_FROM"] = str(venv)

    def answer_of(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)

    calm = ["-p", "no:cacheprovider", "-m", "not long and not source_tree"]
    suite = answer_of(str(inside), "-m", "pytest", *calm)
    demo = answer_of(str(venv / "bin" / "rapidjws"), "demo")
    (folder / "pytest.log").write_text(suite.stdout + suite.stderr, "utf-8")
    (folder / "demo.log").write_text(demo.stdout + demo.stderr, "utf-8")
    closing = re.sub(r"=+", "", (suite.stdout.strip().splitlines() or ["nothing printed"])[-1]).strip()
    ok = suite.returncode == 0 and demo.returncode == 0
    return Trial(python=version_of(inside) or "?", closing_line=closing, ok=ok, import_ms=import_ms)
