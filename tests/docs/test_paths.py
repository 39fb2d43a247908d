"""ARCHITECTURE.md and CONTRIBUTING.md name what is there: paths, tests, make targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from layers import LAYERS

pytestmark = pytest.mark.source_tree

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md")
SUFFIXES = (".py", ".pyi", ".c", ".h", ".md", ".toml", ".json", "/")


def named_in(page: str) -> set[str]:
    """Return what stands between backticks."""
    return set(re.findall(r"`([^`\n]+)`", (ROOT / page).read_text("utf-8")))


def words_of(page: str) -> set[str]:
    """Return the single words of what stands between backticks."""
    return {word for name in named_in(page) for word in name.split()}


def is_there(path: str, beside: set[str]) -> bool:
    """Return whether a path exists below the checkout, the package, or a folder that the page names."""
    places = [ROOT, ROOT / "src" / "rapidjws", *(ROOT / "src" / "rapidjws" / folder for folder in beside)]
    return any((place / path).exists() for place in places)


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    """Each file and folder that the page names is there."""
    words = {word for word in words_of(page) if "::" not in word and not word.startswith((".venv", "-"))}
    folders = {word for word in words if word.endswith("/")}
    paths = {word for word in words if word.endswith(SUFFIXES)}
    assert len(paths) > 15
    assert {path for path in paths if not is_there(path, folders)} == set()


def test_tests_exist() -> None:
    """Each test that stands for an invariant is a function of the file it is said to be in."""
    tests = {word for word in words_of("ARCHITECTURE.md") if "::" in word}
    assert len(tests) >= 20
    missing = []
    for test in tests:
        path, _, name = test.partition("::")
        text = (ROOT / path).read_text("utf-8") if (ROOT / path).is_file() else ""
        if re.search(rf"^(async )?def {name}\(", text, re.MULTILINE) is None:
            missing.append(test)
    assert missing == []


def test_every_invariant_has_its_row() -> None:
    """The table has the twenty invariants in their order."""
    rows = re.findall(r"^\| (\d+) \| ", (ROOT / "ARCHITECTURE.md").read_text("utf-8"), re.MULTILINE)
    assert rows == [str(number) for number in range(1, 21)]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md"])
def test_targets_exist(page: str) -> None:
    """Each `make` target that a page names is one."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {word for name in named_in(page) for word in re.findall(r"^make ([a-z-]+)$", name)}
    assert named
    assert named - targets == set()


def test_layers_are_those_that_are_held() -> None:
    """The table of layers has the rows of the layering test, in their order; all codes are in its first."""
    held = [set(row) for row in LAYERS]
    ground = [row for row in held if any(name.endswith("_codes") or name == "errors" for name in row)]
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("## The way of a token")[0]
    table = text.partition("| layer | packages |")[2]
    cells = [line.split("|")[2] for line in table.splitlines() if line.startswith("| ") and "`" in line]
    shown = [re.findall(r"`(\w+)(?:/|\.py)`", cell) for cell in cells]
    assert all(len(row) == len(set(row)) for row in shown)
    assert [set(row) for row in shown] == [set().union(*ground), *held[len(ground) :]]


def defined() -> set[str]:
    """Return every name that the package defines: functions, classes, constants, attributes."""
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py*"):
        if path.suffix in {".py", ".pyi"}:
            text = path.read_text("utf-8")
            found |= set(re.findall(r"^\s*(?:async )?(?:def|class) (\w+)", text, re.MULTILINE))
            found |= set(re.findall(r"^\s*(?:self\.)?(\w+)\s*(?::[^=\n]+)?(?:=|$)", text, re.MULTILINE))
            found |= set(re.findall(r"^\s*(\w+): ", text, re.MULTILINE))
    return found


ELSEWHERE = {
    "Protocol": "typing's",
    "aio": "grpc's",
    "deny": "a value of a decision's outcome",
    "indeterminate": "a value of a decision's outcome",
    "rapidjws": "the package and the command",
}
"""Names that are no definitions of the package, and whose they are."""


@pytest.mark.parametrize("page", PAGES)
def test_names_are_defined(page: str) -> None:
    """Each function, class, constant and attribute that the page names is defined in the package."""
    known = defined()
    names = {name for name in named_in(page) if re.fullmatch(r"[A-Za-z_][\w.]*(?:\(\))?", name)}
    names = {name.removesuffix("()") for name in names if not name.endswith(SUFFIXES)}
    parts = {part for name in names for part in name.removeprefix("rapidjws.").split(".")}
    folders = {path.name for path in (ROOT / "src" / "rapidjws").rglob("*") if path.is_dir()}
    assert len(parts) > 5
    assert parts - known - folders - ELSEWHERE.keys() == set()


def test_every_recipe_names_its_test() -> None:
    """Each recipe of CONTRIBUTING.md names a test that fails where a step of it is left out."""
    recipes = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("\n### Add ")[1:]
    assert len(recipes) >= 7
    missing = [one.splitlines()[0] for one in recipes if not re.search(r"`tests/[\w/.]+", one)]
    assert missing == []
