"""The troubleshooting page is current, whole, and its pictures are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rapidjws.diagnose.causes import CAUSES
from rapidjws.errors import CODES

pytestmark = pytest.mark.source_tree

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"


def test_page_is_current() -> None:
    """What the tool would write is what stands there."""
    answer = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "troubleshooting.py"), "--check"], check=False
    )
    assert answer.returncode == 0, "run tools/troubleshooting.py"


def test_page_is_whole() -> None:
    """Every code has its entry and every cause its row."""
    text = PAGE.read_text("utf-8")
    assert set(re.findall(r"^### `(\w+)`$", text, re.MULTILINE)) == set(CODES)
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(CAUSES)


def test_pictures_are_there() -> None:
    """Each picture that the page shows is a PNG in the same folder."""
    names = re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGE.read_text("utf-8"))
    assert names
    for name in names:
        assert (PAGE.parent / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
