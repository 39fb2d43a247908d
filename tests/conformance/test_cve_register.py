"""Every row of the register of earlier faults has a test that carries its id."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
ROWS = 74
FETCHING = {
    "CVE-2026-48522",
    "CVE-2026-102267",
    "CVE-2026-48524",
    "CVE-2026-31837",
    "CVE-2026-82955",
}
"""Rows about getting keys over a network: the tests of that room answer them."""


@pytest.mark.source_tree
def test_every_row_is_answered(vectors: Path) -> None:
    """Each id stands in a test, but for those of the fetching room."""
    rows = json.loads((vectors / "cve_cases" / "cve_cases.json").read_text())
    ids = [row["id"] for row in rows]
    assert (len(ids), len(set(ids))) == (ROWS, ROWS)
    texts = "".join(path.read_text() for path in TESTS.rglob("test_cve_*.py") if path != Path(__file__))
    assert [row_id for row_id in ids if f'"{row_id}"' not in texts and row_id not in FETCHING] == []
