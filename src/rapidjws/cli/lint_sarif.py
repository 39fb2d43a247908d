"""Findings as SARIF 2.1.0, the form in which CI systems show what is wrong at its line (OASIS, 2020)."""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from rapidjws._version import __version__
from rapidjws.cli.lint_rows import FAILS, ROWS, SPECIFICATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.cli.lint_rows import Finding

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
VERSION: Final = "2.1.0"
_NUMBER: Final = {row.name: number for number, row in enumerate(ROWS)}


def sarif_of(
    findings: list[Finding], path: PurePath, line_of: Callable[[tuple[str | int, ...]], int | None]
) -> dict[str, Any]:
    """Return a log of one run: each requirement as a rule, each that fails as a result.

    Args:
        findings: What came of each requirement.
        path: The configuration.
        line_of: Returns the line of a setting, or None.
    """
    uri = path.as_uri() if path.is_absolute() else quote(path.as_posix())  # SARIF 2.1.0 s.3.4.3
    results = [_result(one, uri, line_of(one.setting)) for one in findings if one.status == FAILS]
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {"driver": {"name": "rapidjws", "version": __version__, "rules": _rules()}},
                "columnKind": "unicodeCodePoints",
                "artifacts": [{"location": {"uri": uri}}],
                "results": results,
            }
        ],
    }


def _rules() -> list[dict[str, Any]]:
    return [
        {
            "id": row.name,
            "shortDescription": {"text": f"{SPECIFICATIONS[row.source]} s.{row.section}: {row.asks}"},
            "help": {"text": f"Mend it by {row.mend}."},
            "defaultConfiguration": {"level": row.level},
        }
        for row in ROWS
    ]


def _result(one: Finding, uri: str, line: int | None) -> dict[str, Any]:
    row = one.row
    where = f"{row.name}\n{'.'.join(map(str, one.setting))}"
    return {
        "ruleId": row.name,
        "ruleIndex": _NUMBER[row.name],
        "level": one.level,
        "message": {
            "text": f"{SPECIFICATIONS[row.source]} s.{row.section} asks: {row.asks}. "
            f"Found: {one.found}. Setting: {row.mend}."
        },
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri, "index": 0},
                    "region": {"startLine": line or 1},
                }
            }
        ],
        "partialFingerprints": {"setting/v1": hashlib.sha256(where.encode()).hexdigest()},
    }
