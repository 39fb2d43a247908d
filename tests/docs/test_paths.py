"""ARCHITECTURE.md and CONTRIBUTING.md name what is there: paths, tests, make targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
    """Every package of the layering test is in the table of layers."""
    layering = (ROOT / "tests" / "unit" / "test_layering.py").read_text("utf-8")
    rows = layering.partition("LAYERS")[2].partition("\n)")[0]
    packages = {
        name
        for name in re.findall(r'"(\w+)"', rows)
        if (ROOT / "src" / "rapidjws" / name / "__init__.py").is_file()
    }
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("## The way of a token")[0]
    assert {name for name in packages if f"`{name}/`" not in text} == set()
