"""The reference pages are current, and every public name is on one."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rapidjws.cli.app import COMMANDS, _built
from rapidjws.errors import CODES
from rapidjws.observe import METRICS

pytestmark = pytest.mark.source_tree

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"


def test_pages_are_current() -> None:
    """What the tool would write is what stands there."""
    command = [sys.executable, str(ROOT / "tools" / "reference.py"), "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("name", ["rapidjws", "rapidjws.keys", "rapidjws.signing", "rapidjws.testing"])
def test_every_exported_name_has_its_entry(name: str) -> None:
    """What a package exports is documented under that package's name."""
    module = importlib.import_module(name)
    text = "\n".join(page.read_text("utf-8") for page in FOLDER.glob("*.md"))
    documented = set(re.findall(r"^::: (\S+)$", text, re.MULTILINE))
    exported = {f"{name}.{each}" for each in module.__all__ if not each.startswith("_")}
    twice = {"rapidjws.diagnose"}  # the function's name, and its package's
    assert exported - documented <= twice
    assert {f"{place}.{place.rpartition('.')[2]}" for place in exported & twice} <= documented


def test_every_command_has_its_section() -> None:
    """Each command of the program is on the page of commands, with its options."""
    from rapidjws.cli.app import whole_app

    text = (FOLDER / "cli.md").read_text("utf-8")
    for command in whole_app().registered_commands:
        assert command.callback is not None
        assert f"## `rapidjws {command.name or command.callback.__name__}`" in text
    assert "| `--jwks` |" in text
    assert "| `--json` |" in text


def test_every_option_of_a_command_is_on_the_page() -> None:
    """What a command takes and nobody reads about is there by accident: ``--no-``, completion for a group."""
    page = (FOLDER / "cli.md").read_text("utf-8")
    parts = re.split(r"^## `rapidjws ([^`]+)`$", page, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    todo: list[tuple[str, Any]] = [(name, _built(name)) for name in COMMANDS]
    missing = []
    while todo:
        path, command = todo.pop()
        shown = set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", sections[path]))
        given = [name for one in command.params for name in (*one.opts, *one.secondary_opts)]
        missing += [f"{path} {name}" for name in given if name.startswith("-") and name not in shown]
        todo += [(f"{path} {name}", one) for name, one in getattr(command, "commands", {}).items()]
    assert missing == []


def test_codes_that_pages_name_exist() -> None:
    """What a page calls a code is one."""
    named = {
        code
        for page in (ROOT / "docs").rglob("*.md")
        for code in re.findall(r"\bcodes? `(\w+)`", page.read_text("utf-8"))
    }
    assert named - set(CODES) - {"ok"} == set()
    assert "expired" in named


def test_metrics_that_pages_name_exist() -> None:
    """What a page says of a metric is about one of the list."""
    named = {
        name
        for page in (ROOT / "docs").rglob("*.md")
        for name in re.findall(r"`(rapidjws_\w+)`", page.read_text("utf-8"))
    }
    assert len(named) >= 6
    assert named - set(METRICS) == set()
