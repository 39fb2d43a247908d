"""The build of the site: a warning of the builder or of griffe ends it with an error."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.source_tree

TOOL = Path(__file__).resolve().parents[2] / "tools" / "docs_site.py"


def test_what_a_build_warns_of_is_found_and_nothing_else() -> None:
    """Lines of griffe, which reads docstrings, and whatever is called a warning."""
    warnings = ["griffe: a.py:1: Parameter 'x' does not appear", "WARNING  a link leads nowhere"]
    output = "\n".join(["Build started", *warnings, "No issues found", "Build finished in 1s"])
    assert runpy.run_path(str(TOOL))["warned"](output) == warnings
