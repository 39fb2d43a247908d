"""Runbooks: what to do when an alert fires, as Markdown that is part of the package.

An alert names its runbook. Every command of a runbook is run by a test against a service with that fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from rapidjws.errors import error_for

if TYPE_CHECKING:
    from importlib.abc import Traversable

SECTIONS: Final = ("Symptoms", "Variables", "Check", "Decide", "Act", "Verify", "Escalate", "After")
"""The sections of each runbook, in order."""

_BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """One runbook.

    Attributes:
        name: Its name, which alerts give.
        title: Its heading.
        text: All of it, Markdown.
    """

    name: str
    title: str
    text: str

    @property
    def sections(self) -> dict[str, str]:
        """Return heading -> text of each section, in order."""
        parts = re.split(r"^## (.+)$", self.text, flags=re.MULTILINE)[1:]
        return {head: text.strip() for head, text in zip(parts[::2], parts[1::2], strict=True)}

    def commands(self, section: str) -> list[str]:
        """Return the shell commands of a section, continued lines joined."""
        blocks = "".join(_BLOCK.findall(self.sections[section] + "\n"))
        return [line for line in blocks.replace("\\\n", " ").splitlines() if line.strip()]


def _folder() -> Traversable:
    return resources.files("rapidjws.observe") / "data" / "runbooks"


def runbook_names() -> list[str]:
    """Return the names of all runbooks, sorted."""
    return sorted(one.name.removesuffix(".md") for one in _folder().iterdir() if one.name.endswith(".md"))


def runbook(name: str) -> Runbook:
    """Return a runbook.

    Args:
        name: One of :func:`runbook_names`.

    Raises:
        ConfigurationError: ``configuration_invalid``: there is none of this name.
    """
    if name not in runbook_names():
        raise error_for("configuration_invalid", "runbook", "a name that `rapidjws runbook` lists", name)
    text = (_folder() / f"{name}.md").read_text("utf-8")
    return Runbook(name=name, title=text.partition("\n")[0].removeprefix("# "), text=text)
