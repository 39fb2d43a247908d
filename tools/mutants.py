"""Apply careless changes to the code one at a time, and show that the tests named for each notice it.

    python tools/mutants.py [--area NAME]... [--id PART]... [--jobs N] [--list tests/mutants]

A list (``tests/mutants/<area>.toml``) holds tables ``[[mutant]]`` with ``id``, ``file``, ``find`` (a text
that occurs exactly once in the file), ``replace``, and either ``tests`` (pytest node ids or files, one of
which must fail) or ``equivalent`` (why no test can notice). Every mutant is made in a copy of the tree; a
change under ``native/`` is compiled there. Before the mutants, the named tests must pass without them.

Exit status: 0 when at least 97 % are noticed, 1 when fewer are, 2 when a list does not fit the code.
The answers are written to ``build/mutants/report.json``.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import os
import queue
import shutil
import subprocess
import sys
import time
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
LISTS = ROOT / "tests" / "mutants"
FOLDER = ROOT / "build" / "mutants"
COPIED = ("src", "native", "tests", "tools", "benchmarks", "examples", "docs", ".github")
NOTICED_SHARE = 0.97
TIMEOUT_S = 300.0
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


def read_lists(folder: Path) -> list[Mutant]:
    """Read every list of a folder.

    Raises:
        ValueError: when an entry has members that are not known, or lacks some.
    """
    mutants = []
    for path in sorted(folder.glob("*.toml")):
        for row in tomllib.loads(path.read_text("utf-8")).get("mutant", []):
            try:
                mutants.append(Mutant(**{**row, "area": path.stem, "tests": tuple(row.get("tests", ()))}))
            except TypeError as fault:
                raise ValueError(f"{path.name}: {row.get('id', 'an entry without id')}: {fault}") from None
    return mutants


def faults_of(mutant: Mutant, root: Path) -> list[str]:
    """List what does not fit between an entry and the tree."""
    path = root / mutant.file
    if not path.is_file():
        return [f"{mutant.id}: no file {mutant.file}"]
    faults = []
    count = path.read_text("utf-8").count(mutant.find)
    if count != 1:
        faults.append(f"{mutant.id}: the text to find occurs {count} times in {mutant.file}, expected once")
    if mutant.find == mutant.replace:
        faults.append(f"{mutant.id}: the change changes nothing")
    if bool(mutant.tests) == bool(mutant.equivalent):
        faults.append(f"{mutant.id}: expected either tests or the reason why no test can notice")
    for node in mutant.tests:
        name, _, rest = node.partition("::")
        function = rest.rpartition("::")[2].partition("[")[0]
        if not (root / name).exists():
            faults.append(f"{mutant.id}: no test file {name}")
        elif function and f"def {function}(" not in (root / name).read_text("utf-8"):
            faults.append(f"{mutant.id}: no test {function} in {name}")
    return faults


class Copy:
    """A copy of the tree in which one mutant at a time is made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
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

    def environment(self) -> dict[str, str]:
        """Give the environment in which the copy, and no other, is imported."""
        vectors = os.environ.get("RAPIDJWS_VECTORS", str(ROOT.parent / "shared" / "vectors"))
        return {
            **os.environ,
            "PYTHONPATH": str(self.folder / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
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

    def pytest(self, tests: list[str], timeout_s: float) -> tuple[int, str]:
        """Run tests until the first failure; give pytest's exit status (-1: out of time), last lines."""
        calm = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:benchmark", "-o", "addopts="]
        command = [sys.executable, "-m", "pytest", *calm, "--import-mode=importlib", *tests]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return -1, f"not done after {timeout_s:.0f} s"
        return done.returncode, "\n".join(done.stdout.splitlines()[-25:]) + done.stderr[-500:]

    def attempt(self, mutant: Mutant) -> Outcome:
        """Make a mutant, run its tests, and undo it."""
        path = self.folder / mutant.file
        text = path.read_text("utf-8")
        begun = time.monotonic()
        path.write_text(text.replace(mutant.find, mutant.replace), "utf-8")
        try:
            if mutant.native:
                compiled = self.compile()
                if compiled.returncode:
                    return Outcome(mutant=mutant, verdict="broken", detail=compiled.stderr[-800:], seconds=0)
            code, detail = self.pytest(list(mutant.tests), TIMEOUT_S)
        finally:
            path.write_text(text, "utf-8")
        verdict = {0: "survived", PYTEST_FAILED: "noticed", -1: "noticed"}.get(code)
        if (
            verdict is None
        ):  # an import that fails is noticed; a wrong node id is not; a crash has a signal's number
            noticed = code in (PYTEST_INTERRUPTED, PYTEST_INTERNAL) or code < 0
            verdict = "noticed" if noticed else "broken"
        kept = detail if verdict != "noticed" else ""
        return Outcome(mutant=mutant, verdict=verdict, detail=kept, seconds=time.monotonic() - begun)


def run(mutants: list[Mutant], jobs: int) -> list[Outcome]:
    """Try every mutant, in as many copies as there are jobs."""
    copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    for number in range(jobs):
        copies.put(Copy(FOLDER / f"copy{number}"))

    def attempt(mutant: Mutant) -> Outcome:
        copy = copies.get()
        try:
            outcome = copy.attempt(mutant)
            if mutant.native:
                restored = copy.compile()
                if restored.returncode:
                    raise RuntimeError(f"the unchanged tree does not compile: {restored.stderr[-800:]}")
        finally:
            copies.put(copy)
        print(f"{outcome.verdict:9s} {outcome.seconds:6.1f} s  {mutant.area}: {mutant.id}", flush=True)
        return outcome

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(attempt, mutants))


def baseline(mutants: list[Mutant]) -> str:
    """Run all named tests on an unchanged copy; give an empty text, or what failed."""
    tests = sorted({node for mutant in mutants for node in mutant.tests})
    if not tests:
        return ""
    copy = Copy(FOLDER / "unchanged")
    code, detail = copy.pytest(tests, 60 * 60)
    shutil.rmtree(copy.folder, ignore_errors=True)
    return "" if code == 0 else f"the tests fail on the unchanged tree (pytest {code}):\n{detail}"


def summary(outcomes: list[Outcome], equivalent: list[Mutant]) -> float:
    """Print a line an area and what survived; give the share that was noticed."""
    by_area: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for outcome in outcomes:
        by_area[outcome.mutant.area][outcome.verdict] += 1
    for area, counts in sorted(by_area.items()):
        print(f"{area:16s} {counts['noticed']:4d} of {counts.total():4d} noticed")
    for outcome in outcomes:
        if outcome.verdict != "noticed":
            print(f"\n{outcome.verdict}: {outcome.mutant.id} ({outcome.mutant.file})\n{outcome.detail}")
    noticed = sum(outcome.verdict == "noticed" for outcome in outcomes)
    share = noticed / len(outcomes) if outcomes else 0.0
    print(f"\n{noticed} of {len(outcomes)} noticed ({share:.1%}); {len(equivalent)} equivalent, with reasons")
    return share


def write_report(outcomes: list[Outcome], equivalent: list[Mutant]) -> None:
    """Write all answers as JSON."""
    rows = [
        {
            "id": one.mutant.id,
            "area": one.mutant.area,
            "verdict": one.verdict,
            "seconds": round(one.seconds, 1),
        }
        for one in outcomes
    ]
    rows += [
        {"id": one.id, "area": one.area, "verdict": "equivalent", "reason": one.equivalent}
        for one in equivalent
    ]
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "report.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--area", action="append", help="only this list (may be repeated)")
    parser.add_argument("--id", action="append", help="only ids that contain this text (may be repeated)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", type=Path, default=LISTS, help="the folder of the lists")
    asked = parser.parse_args()
    mutants = [
        mutant
        for mutant in read_lists(asked.list)
        if (not asked.area or mutant.area in asked.area)
        and (not asked.id or any(part in mutant.id for part in asked.id))
    ]
    faults = [fault for mutant in mutants for fault in faults_of(mutant, ROOT)]
    if faults or not mutants:
        print("\n".join(faults) or "no mutant fits the words given", file=sys.stderr)
        return 2
    equivalent = [mutant for mutant in mutants if mutant.equivalent]
    tried = [mutant for mutant in mutants if not mutant.equivalent]
    failed = baseline(tried)
    if failed:
        print(failed, file=sys.stderr)
        return 2
    outcomes = run(tried, asked.jobs)
    write_report(outcomes, equivalent)
    share = summary(outcomes, equivalent)
    broken = any(outcome.verdict == "broken" for outcome in outcomes)
    return 2 if broken else int(share < NOTICED_SHARE)


if __name__ == "__main__":
    raise SystemExit(main())
