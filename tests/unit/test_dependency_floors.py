"""Floors of dependencies: no version that this package admits has a public advisory, as far as listed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.source_tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
REVIEWED = "2026-11-29"
"""When advisories were last looked up for every dependency, those without a row included."""


class Advisory(NamedTuple):
    """A public advisory, the first version without it, and when it was published or looked up."""

    package: str
    fixed_in: str
    name: str
    date: str


ADVISORIES = (
    Advisory("orjson", "3.9.15", "CVE-2024-27454", "2024-02-26"),
    Advisory("orjson", "3.11.6", "CVE-2025-67221", "2026-01-22"),
    Advisory("cryptography", "44.0.1", "CVE-2024-12797", "2025-02-11"),
    Advisory("cryptography", "46.0.5", "CVE-2026-26007", "2026-02-10"),
    Advisory("cryptography", "46.0.6", "CVE-2026-34073", "2026-03-27"),
    Advisory("cryptography", "50.0.0", "CVE-2026-69247", "2026-08-03"),
    Advisory("starlette", "0.49.1", "CVE-2025-62727", "2025-10-28"),
    Advisory("starlette", "1.0.1", "CVE-2026-48710", "2026-05-27"),
    Advisory("starlette", "1.3.1", "CVE-2026-54283", "2026-08-04"),
    Advisory("django", "5.2.8", "CVE-2025-64459", "2025-11-05"),
    Advisory("djangorestframework", "3.15.2", "CVE-2024-21520", "2024-06-26"),
    Advisory("flask", "3.1.1", "CVE-2025-47278", "2025-05-13"),
    Advisory("litestar", "2.20.0", "CVE-2026-25479", "2026-02-09"),
    Advisory("fastapi", "0.109.1", "CVE-2024-24762", "2024-02-05"),
    Advisory("aiohttp", "3.13.4", "CVE-2026-34515", "2026-04-03"),
    Advisory("aiohttp", "3.14.1", "CVE-2026-54273", "2026-06-15"),
    Advisory("aiohttp", "3.14.3", "CVE-2026-69244", "2026-08-04"),
    Advisory("grpcio", "1.66.2", "CVE-2024-11407", "2024-11-26"),
    Advisory("redis", "4.5.4", "CVE-2023-28859", "2023-03-26"),
    Advisory("requests", "2.32.4", "CVE-2024-47081", "2025-06-09"),
    Advisory("pyarrow", "14.0.1", "CVE-2023-47248", "2023-11-09"),
    Advisory("rfc3161-client", "1.0.3", "CVE-2025-52556", "2025-06-21"),
    Advisory("httptools", "0.6.1", "CVE-2023-37276", "2023-07-19"),
)
NONE_KNOWN = {
    "common-expression-language",
    *(
        "azure-keyvault-keys",
        "boto3",
        "cedarpy",
        "google-cloud-kms",
        "hobofan-regorus",
        "hvac",
        "pyspark",
        "python-pkcs11",
    ),
    *("cffi", "hiredis", "httpcore2", "ngh2", "prometheus-client", "rich", "tomli", "typer", "uvloop"),
    *("opentelemetry-api", "opentelemetry-exporter-otlp-proto-http", "opentelemetry-sdk"),
}
"""Dependencies for which nothing public was found on the day of the review; httpcore2 brings h11 >= 0.16."""


def floors() -> dict[str, list[Any]]:
    """Return the lowest version of each dependency, wherever users ask for it."""
    from packaging.requirements import Requirement
    from packaging.version import Version

    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    asked = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    found: dict[str, list[Any]] = {}
    for text in asked:
        requirement = Requirement(text)
        if requirement.name == project["name"]:
            continue
        lowest = [Version(one.version) for one in requirement.specifier if one.operator in (">=", "==", "~=")]
        found.setdefault(requirement.name, []).append(max(lowest, default=Version("0")))
    return found


def test_S13_floors_stand_above_known_advisories() -> None:
    """No extra and no dependency admits a version that a listed advisory is about."""
    from packaging.version import Version

    found = floors()
    below = [
        f"{one.package} {floor}: {one.name} is fixed in {one.fixed_in}"
        for one in ADVISORIES
        for floor in found.get(one.package, ())
        if floor < Version(one.fixed_in)
    ]
    assert below == []


def test_S13_every_dependency_was_looked_up() -> None:
    """Each dependency has a row, or stands among those for which nothing is known; each row has a date."""
    known = {one.package for one in ADVISORIES} | NONE_KNOWN
    assert set(floors()) - known == set()
    assert NONE_KNOWN & {one.package for one in ADVISORIES} == set()
    assert all(one.date <= REVIEWED and len(one.date) == 10 for one in ADVISORIES)


def test_S13_a_framework_brings_no_older_part_of_itself() -> None:
    """FastAPI's floor alone would admit old versions of Starlette, so that has a floor of its own."""
    assert "starlette" in floors()
