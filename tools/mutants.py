"""Apply careless changes to the code one at a time, and show that the tests named for each notice it.

    python tools/mutants.py [--area NAME]... [--id PART]... [--jobs N] [--list FOLDER] [--fresh] [--check]

A list (``tests/mutants/<area>.toml``) holds tables ``[[mutant]]`` with ``id``, ``file``, ``find`` (a text
that occurs exactly once in the file), ``replace``, and either ``tests`` (pytest node ids or files, one of
which must fail) or ``equivalent`` (why no test can notice). Every mutant is made in a copy of the tree; a
change under ``native/`` is compiled there. Before the mutants, the named tests must pass without them.

An interrupted run goes on where it stopped: ``build/mutants/answers.jsonl`` keeps every change that was
noticed, for as long as the entry, the changed file (for C: all of ``native/``) and the named tests stay as
they were. ``--fresh`` tries all of them again; ``--check`` only shows whether the lists fit the code.

Exit status: 0 when at least 97 % are noticed, 1 when fewer are, 2 when a list does not fit the code.
The answers are written to ``build/mutants/report.json``.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import functools
import hashlib
import json
import os
import queue
import sys
from collections.abc import Iterable
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from mutant_copies import FOLDER, ROOT, Copy, Mutant, Outcome, failed_node

LISTS = ROOT / "tests" / "mutants"
ANSWERS = FOLDER / "answers.jsonl"
NOTICED_SHARE = 0.97


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


def digest_of(words: Iterable[str], paths: Iterable[Path]) -> str:
    """Give one digest over words and the contents of files and folders."""
    hashed = hashlib.sha256()
    for word in words:
        hashed.update(word.encode() + b"\0")
    for path in paths:
        for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if one.suffix in {".py", ".c", ".h", ".toml"} and one.is_file():
                hashed.update(str(one.relative_to(ROOT)).encode() + b"\0" + one.read_bytes() + b"\0")
    return hashed.hexdigest()


class Answers:
    """What earlier runs found out, by a digest of all that an answer depends on: a line each in a file."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        self._path = path
        self._tree = digest_of((), [ROOT / name for name in ("src", "native", "tests")])
        if fresh:
            path.unlink(missing_ok=True)
        self._seconds: dict[str, float] = {}
        for line in path.read_text("utf-8").splitlines() if path.exists() else ():
            try:
                row = json.loads(line)
                self._seconds[row["key"]] = float(row["seconds"])
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a run that was killed

    def _add(self, key: str, seconds: float, about: str) -> None:
        self._seconds[key] = seconds
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "seconds": round(seconds, 1), "about": about}) + "\n")

    @staticmethod
    @functools.cache  # as the files are when the run begins, like the copies
    def _key(mutant: Mutant) -> str:
        words = (mutant.file, mutant.find, mutant.replace, *mutant.tests)
        tests = sorted({node.partition("::")[0] for node in mutant.tests})
        changed = ROOT / ("native" if mutant.native else mutant.file)
        return digest_of(words, [changed, *(ROOT / name for name in tests)])

    def noticed_s(self, mutant: Mutant) -> float | None:
        """Give the seconds it took to notice a mutant before, or None when it has to be tried."""
        return self._seconds.get(self._key(mutant))

    def add_noticed(self, outcome: Outcome) -> None:
        """Keep that a mutant was noticed; what survived is tried again each time."""
        if outcome.verdict == "noticed":
            about = f"{outcome.mutant.id}: {outcome.detail or 'ended at once, or out of time'}"
            self._add(self._key(outcome.mutant), outcome.seconds, about)

    def has_passed(self, node: str) -> bool:
        """Tell whether a test passed on exactly this tree."""
        return digest_of((node, self._tree), ()) in self._seconds

    def add_passed(self, nodes: Iterable[str]) -> None:
        """Keep that tests passed on this tree."""
        for node in nodes:
            self._add(digest_of((node, self._tree), ()), 0.0, node)


def run(mutants: list[Mutant], copies: list[Copy], answers: Answers) -> list[Outcome]:
    """Try every mutant that has no answer yet, one at a time in each copy."""
    done = {
        mutant.id: Outcome(mutant=mutant, verdict="noticed", detail="", seconds=seconds)
        for mutant in mutants
        if (seconds := answers.noticed_s(mutant)) is not None
    }
    left = [mutant for mutant in mutants if mutant.id not in done]
    if done:
        print(f"{len(done)} were noticed in an earlier run over the same code and tests", flush=True)
    free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    for copy in copies:
        free.put(copy)

    def attempt(mutant: Mutant) -> Outcome:
        copy = free.get()
        try:
            return copy.attempt(mutant)
        finally:
            free.put(copy)

    pool = concurrent.futures.ThreadPoolExecutor(len(copies))
    try:
        for future in concurrent.futures.as_completed([pool.submit(attempt, mutant) for mutant in left]):
            outcome = future.result()
            answers.add_noticed(outcome)
            mutant = outcome.mutant
            done[mutant.id] = outcome
            print(f"{outcome.verdict:9s} {outcome.seconds:6.1f} s  {mutant.area}: {mutant.id}", flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
    return [done[mutant.id] for mutant in mutants]


def baseline(mutants: list[Mutant], copy: Copy, answers: Answers) -> str:
    """Run all tests that are needed on an unchanged copy; give an empty text, or what failed."""
    needed = {node for mutant in mutants if answers.noticed_s(mutant) is None for node in mutant.tests}
    whole = {node for node in needed if "::" not in node}
    tests = sorted(
        node
        for node in needed
        if not answers.has_passed(node) and (node in whole or node.partition("::")[0] not in whole)
    )
    if not tests:
        return ""
    print(f"first {len(tests)} tests and files on the unchanged tree", flush=True)
    code, detail = copy.pytest(tests, 60 * 60, stop=False)
    failed = [node for line in detail.splitlines() if (node := failed_node(line))]
    if code == 1 and failed:  # once more alone: a busy machine is no fault of the tree
        code, detail = copy.pytest(failed, 60 * 60)
    if code:
        return f"the tests fail on the unchanged tree (pytest {code}):\n{detail}"
    answers.add_passed(tests)
    return ""


def summary(outcomes: list[Outcome], equivalent: list[Mutant]) -> float:
    """Print a line an area and what survived; give the share that was noticed."""
    by_area: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for outcome in outcomes:
        by_area[outcome.mutant.area][outcome.verdict] += 1
    excused = collections.Counter(mutant.area for mutant in equivalent)
    for area in sorted({*by_area, *excused}):
        counts = by_area[area]
        print(
            f"{area:16s} {counts['noticed']:4d} of {counts.total():4d} noticed, {excused[area]:2d} equivalent"
        )
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
    parser.add_argument("--fresh", action="store_true", help="use no answer of an earlier run")
    parser.add_argument("--check", action="store_true", help="only show whether the lists fit the code")
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
    if asked.check:
        print(f"{len(mutants)} entries fit the code, {len(equivalent)} of them equivalent")
        return 0
    answers = Answers(ANSWERS, fresh=asked.fresh)
    copies: list[Copy] = []
    try:
        copies += [Copy() for _ in range(max(1, asked.jobs))]
        failed = baseline(tried, copies[0], answers)
        if failed:
            print(failed, file=sys.stderr)
            return 2
        outcomes = run(tried, copies, answers)
    finally:
        for copy in copies:
            copy.remove()
    write_report(outcomes, equivalent)
    share = summary(outcomes, equivalent)
    broken = any(outcome.verdict == "broken" for outcome in outcomes)
    return 2 if broken else int(share < NOTICED_SHARE)


if __name__ == "__main__":
    raise SystemExit(main())
