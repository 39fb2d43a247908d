"""Every row of the register of earlier faults has a test that carries its id."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
ROWS = 74


@pytest.mark.source_tree
def test_every_row_is_answered(vectors: Path) -> None:
    """Each id stands in a test."""
    rows = json.loads((vectors / "cve_cases" / "cve_cases.json").read_text())
    ids = [row["id"] for row in rows]
    assert (len(ids), len(set(ids))) == (ROWS, ROWS)
    texts = "".join(path.read_text() for path in TESTS.rglob("test_cve_*.py") if path != Path(__file__))
    assert [row_id for row_id in ids if f'"{row_id}"' not in texts] == []
