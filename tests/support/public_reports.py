"""The public bug reports rebuilt as cases: where their folder is, and what diagnosis each is sent to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rapidjws.diagnose import diagnose
from rapidjws.diagnose.report import Report
from rapidjws.diagnose.subject import ExaminedEngine, ExaminedVerifier
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.issuer import Issuer

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = 24
ABSENT = "public reports absent: ../shared/cases/public_reports, or name it in RAPIDJWS_PUBLIC_REPORTS"


def folder() -> Path | None:
    """Return the folder of the reports, or None where it is absent."""
    named = os.environ.get("RAPIDJWS_PUBLIC_REPORTS")
    found = Path(named) if named else ROOT.parent / "shared" / "cases" / "public_reports"
    return found if found.is_dir() else None


def cases() -> dict[str, dict[str, Any]]:
    """Return every report by the number its name begins with and the rest of it; empty where absent."""
    found = folder()
    paths = [] if found is None else sorted(found.glob("*.json"))
    return {path.stem: json.loads(path.read_bytes()) for path in paths}


def judge(case: dict[str, Any], **options: Any) -> Any:
    """Return the engine or verifier that a report speaks of; its set as it stands where it is none."""
    given = case["input"]
    if "keys" not in given["jwks"]:
        return given["jwks"]
    keys = JWKSet.from_json(given["jwks"])
    if "issuer" in given:
        return ExaminedEngine(
            Issuer(given["issuer"], keys=keys, algorithms=given["alg"], audience=given["audience"], **options)
        )
    if "max_token_bytes" in given:
        options["max_token_bytes"] = given["max_token_bytes"]
    return ExaminedVerifier(keys, algorithms=given["alg"], crit=given.get("crit", ()), **options)


def report_on(case: dict[str, Any], **options: Any) -> Report:
    """Return the diagnosis of a report's token."""
    given = case["input"]
    body = given.get("body")
    return diagnose(
        given["token"],
        judge(case, **options),
        algorithms=given["alg"] if "keys" not in given["jwks"] else None,
        body=None if body is None else body.encode(),
        now=case["now"],
    )


def text_of(report: Report) -> str:
    """Return everything a report says, on one line."""
    return json.dumps(report.as_dict())
