"""The lists of careless changes fit the code, and their runner tells noticed from unnoticed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.source_tree

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "tools").is_dir():
    pytest.skip("the tools are not in this tree", allow_module_level=True)
sys.path.insert(0, str(ROOT / "tools"))

import mutants  # noqa: E402  tools/ is no package

NUMBER_OF_MUTANTS = 250


def test_lists_fit_the_code() -> None:
    """Every entry's text occurs once in its file, its tests exist, and no id occurs twice."""
    listed = mutants.read_lists(mutants.LISTS)
    assert [fault for mutant in listed for fault in mutants.faults_of(mutant, ROOT)] == []
    ids = [mutant.id for mutant in listed]
    assert sorted(set(ids)) == sorted(ids)
    assert len([mutant for mutant in listed if mutant.tests]) >= NUMBER_OF_MUTANTS


def test_named_cases_exist(request: pytest.FixtureRequest) -> None:
    """Every case that a list names is among the cases of its file, where this run collected that file."""
    asked = request.config
    if asked.getoption("keyword") or asked.getoption("lf", False) or any("::" in arg for arg in asked.args):
        pytest.skip("only chosen tests were collected")
    collected = {item.nodeid for item in request.session.items}
    files = {node.partition("::")[0] for node in collected}
    named = {node for mutant in mutants.read_lists(mutants.LISTS) for node in mutant.tests if "[" in node}
    assert [node for node in sorted(named - collected) if node.partition("::")[0] in files] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": "src/rapidjws/none.py"}, "no file"),
        ({"find": "no such text"}, "occurs 0 times"),
        ({"find": "return"}, "times in"),
        ({"replace": "return frozenset()"}, "changes nothing"),
        ({"tests": ("tests/unit/test_none.py",)}, "no test file"),
        ({"tests": ("tests/unit/test_mutants.py::test_none",)}, "no test test_none"),
        ({"tests": ()}, "expected either"),
        ({"equivalent": "a reason"}, "expected either"),
    ],
)
def test_entry_that_does_not_fit(change: dict[str, object], words: str) -> None:
    """Each way in which an entry may not fit the tree is named."""
    entry = {"id": "x", "area": "x", "file": "src/rapidjws/jose/scopes.py", "find": "return frozenset()",
             "replace": "return None", "tests": ("tests/unit/test_mutants.py",)}  # fmt: skip
    assert mutants.faults_of(mutants.Mutant(**entry), ROOT) == []
    (fault,) = mutants.faults_of(mutants.Mutant(**{**entry, **change}), ROOT)
    assert words in fault


def small_tree(folder: Path, test: str) -> Path:
    """Make a tree of one function, one test, and a list of one mutant; give the runner's copy in it."""
    for name in ("tools", "src", "tests/mutants"):
        (folder / name).mkdir(parents=True)
    for name in ("mutants.py", "mutant_copies.py"):
        text = (ROOT / "tools" / name).read_text("utf-8")
        text, count = re.subn(
            r"\nPRELOADED = \(\n.*?\n\)\n", '\nPRELOADED = ("pytest",)\n', text, flags=re.DOTALL
        )
        assert count == (name == "mutant_copies.py")  # one test needs none of them, and each costs a start
        (folder / "tools" / name).write_text(text, "utf-8")
    (folder / "src" / "least.py").write_text("def least(a, b):\n    return a if a < b else b\n")
    (folder / "tests" / "test_least.py").write_text(test)
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (folder / "tests" / "mutants" / "small.toml").write_text(
        '[[mutant]]\nid = "swapped"\nfile = "src/least.py"\nfind = "a < b"\nreplace = "a > b"\n'
        'tests = ["tests/test_least.py"]\n'
    )
    return folder / "tools" / "mutants.py"


@pytest.mark.parametrize(
    ("call", "status", "verdict"),
    [
        ("assert least(1, 2) == 1", 0, "noticed"),
        ("assert least(1, 1) == 1", 1, "survived"),
        ("assert least(1, 2) == 2", 2, None),
    ],
)
def test_runner_tells_noticed_from_survived(
    tmp_path: Path, call: str, status: int, verdict: str | None
) -> None:
    """A change is noticed when a named test fails; a test that fails on the unchanged tree stops the run."""
    runner = small_tree(tmp_path, f"from least import least\n\n\ndef test_least():\n    {call}\n")
    done = subprocess.run(
        [sys.executable, str(runner), "--jobs", "1"], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    report = tmp_path / "build" / "mutants" / "report.json"
    assert ([row["verdict"] for row in json.loads(report.read_text())] if verdict else report.exists()) == (
        [verdict] if verdict else False
    )
    assert "a < b" in (tmp_path / "src" / "least.py").read_text()


def test_runner_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """What was noticed is not tried again until its test or code changes; ``--fresh`` tries all."""
    runner = small_tree(
        tmp_path, "from least import least\n\n\ndef test_it():\n    assert least(1, 2) == 1\n"
    )

    def lines(*words: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, str(runner), *words], capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 of 1 noticed (100.0%)" in done.stdout
        return [line for line in done.stdout.splitlines() if "small: swapped" in line]

    assert len(lines()) == 1
    assert lines() == []
    assert len(lines("--fresh")) == 1
    code = tmp_path / "src" / "least.py"
    code.write_text(code.read_text() + "\n")
    assert len(lines()) == 1
    with (tmp_path / "build" / "mutants" / "answers.jsonl").open("a") as file:
        file.write('{"key": "half a li')
    assert lines() == []
    test = tmp_path / "tests" / "test_least.py"
    test.write_text("from least import least\n\n\ndef test_it():\n    assert least(2, 1) == 1\n")
    assert len(lines()) == 1


def test_check_runs_nothing(tmp_path: Path) -> None:
    """``--check`` tells whether the lists fit, and makes no copy."""
    runner = small_tree(tmp_path, "")
    command = [sys.executable, str(runner), "--check"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    (tmp_path / "src" / "least.py").write_text("least = min\n")
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 2
    assert not (tmp_path / "build").exists()
