"""Source rules on every tracked file: sizes, docstrings, no foreign data, no paths of anyone's machine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from source_files import ROOT, tracked, unignored

pytestmark = pytest.mark.source_tree

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
SIZED = {".py", ".c", ".h", ".inc", ".sh"}
MACHINE_PATH = re.compile(r"/" + r"(work|farm|root|home/[a-z]\w*|Users/[A-Za-z]\w*|tmp/wt)/")
FOREIGN_NAMES = re.compile(r"wycheproof|jsontestsuite|_p1363_test\.json|cve_cases\.json", re.IGNORECASE)


def functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a Python source."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def long_functions(text: str) -> list[str]:
    """List the functions above the limit."""
    sizes = ((node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions(text))
    return [f"{name} has {lines} lines" for name, lines in sizes if lines > MAX_FUNCTION_LINES]


def silent_tests(text: str) -> list[str]:
    """List the tests that do not say in a sentence what they hold."""
    tests = (node for node in functions(text) if node.name.startswith("test_"))
    return [node.name for node in tests if not (ast.get_docstring(node) or "").split("\n\n")[0].endswith(".")]


def machine_paths(text: str) -> list[str]:
    """List the paths of somebody's machine."""
    return [match.group() for match in MACHINE_PATH.finditer(text)]


def test_files_are_modules() -> None:
    """No source file passes the size of a module."""
    sizes = {str(path.relative_to(ROOT)): path.read_text("utf-8").count("\n") for path in tracked()
             if path.suffix in SIZED}  # fmt: skip
    assert {name: lines for name, lines in sizes.items() if lines > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    """No Python function passes the limit."""
    found = {str(path.relative_to(ROOT)): long_functions(path.read_text("utf-8")) for path in tracked()
             if path.suffix == ".py"}  # fmt: skip
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_tests_say_what_they_hold() -> None:
    """Every test has a sentence as docstring."""
    found = {str(path.relative_to(ROOT)): silent_tests(path.read_text("utf-8")) for path in tracked()
             if path.name.startswith("test_") and path.suffix == ".py"}  # fmt: skip
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_no_paths_of_a_machine() -> None:
    """No tracked text names a path of the machine it was written on."""
    found = {}
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data:
            found[str(path.relative_to(ROOT))] = machine_paths(data.decode("utf-8"))
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_no_foreign_data() -> None:
    """Third-party vectors are read in place, never copied into the repository."""
    names = [str(path.relative_to(ROOT)) for path in tracked() if path.suffix not in {".py", ".c", ".h"}]
    assert [name for name in names if FOREIGN_NAMES.search(name)] == []


def test_A9_files_are_listed_without_git() -> None:
    """Without git, the tree itself gives the same sources as version control does."""
    patterns = ROOT.joinpath(".gitignore").read_text("utf-8").split()
    assert {"__pycache__/", ".venv*/", "build/"} <= set(patterns)
    listed = {path for path in unignored(ROOT, patterns) if path.suffix in SIZED}
    assert {path for path in tracked() if path.suffix in SIZED} == listed
    assert len(listed) > 400


def test_A9_one_helper_asks_git() -> None:
    """No other test needs git, which a bare machine has not."""
    word = '"g' + 'it"'
    found = [path.name for path in sorted((ROOT / "tests").rglob("*.py")) if word in path.read_text("utf-8")]
    assert found == ["source_files.py"]


def test_checkers_see() -> None:
    """Each checker names its fault in a tiny bad sample and passes a good one."""
    body = "    x = 1\n" * MAX_FUNCTION_LINES
    assert long_functions(f"def f():\n{body}") == [f"f has {MAX_FUNCTION_LINES + 1} lines"]
    assert long_functions("def f():\n    return 1\n") == []
    assert silent_tests("def test_a():\n    assert True\n") == ["test_a"]
    assert silent_tests("def test_a():\n    'no stop'\n") == ["test_a"]
    assert silent_tests("async def test_a():\n    'A sentence.'\n\ndef helper(): ...") == []
    assert machine_paths("/" + "home/ann/x") != []
    assert machine_paths("https://example.org/" + "workshop/home") == []
    assert FOREIGN_NAMES.search("tests/data/Wyche" + "proof/ed25519_test.json")
