"""The codes of commands that ask a running service, and the page that lists them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rapidjws.cli.admin_client import FAILURES, AdminFailed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


@pytest.mark.source_tree
def test_K_every_code_is_on_the_page() -> None:
    """What an operator reads on a terminal can be looked up."""
    assert set(re.findall(r"^\| `(admin_\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)) == set(FAILURES)


@pytest.mark.parametrize("code", sorted(FAILURES))
def test_K_a_failure_names_its_code_first(code: str) -> None:
    """A failure begins with its code, and says what was found, and where."""
    failed = AdminFailed(code, "unix:/a.sock", "status 7")
    assert str(failed).startswith(f"{code}: ")
    assert str(failed).endswith("found status 7 (unix:/a.sock)")
    assert failed.as_dict() == {"error": code, "address": "unix:/a.sock", "detail": "status 7"}
