"""Scan texts with the json_scan driver and read its reports back; used by the tests of that source."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from native_drivers import compile_driver, run_driver

OK, TOO_LARGE, MALFORMED, DUPLICATE, TOO_DEEP, TOO_MANY, NO_MEMORY, BAD_ARGUMENT = 1, 3, 4, 5, 6, 7, 22, 24
OBJECT, ARRAY, STRING, INTEGER, DECIMAL, TRUE, FALSE, NULL = range(1, 9)
ANY_ROOT = 1
BUILDS = pytest.mark.parametrize(
    "build", [{}, {"portable": True}, {"sanitized": True}], ids=["plain", "portable", "sanitized"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One entry the scan wrote, as the text it points at."""

    name: bytes
    value: bytes
    value_type: int
    name_has_escape: bool
    value_has_escape: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the scan said of one text."""

    status: int
    fault: int
    root: int
    overflow: bool
    decimal: bool
    big: bool
    members: tuple[Member, ...]


def scan(
    texts: list[bytes],
    *,
    max_bytes: int = 1 << 24,
    max_depth: int = 512,
    max_members: int = 1 << 20,
    flags: int = ANY_ROOT,
    members_cap: int = 64,
    work_bytes: int = -1,
    build: dict[str, bool] | None = None,
) -> list[Report]:
    """Scan texts and read the reports back."""
    program = compile_driver("drive_json_scan", ("json_scan",), **(build or {}))
    numbers = (max_bytes, max_depth, max_members, flags, members_cap, work_bytes)
    printed = run_driver(program, "lines", *map(str, numbers), lines=[text.hex() or "-" for text in texts])
    reports = []
    for text, line in zip(texts, printed.splitlines(), strict=True):
        head, entries = line.split()[:6], line.split()[6:]
        status, fault, root, overflow, decimal, big = map(int, head)
        members = []
        for entry in entries:
            name_at, name_len, value_at, value_len, kind, name_escape, value_escape = map(
                int, entry.split(",")
            )
            members.append(
                Member(
                    name=text[name_at : name_at + name_len],
                    value=text[value_at : value_at + value_len],
                    value_type=kind,
                    name_has_escape=bool(name_escape),
                    value_has_escape=bool(value_escape),
                )
            )
        reports.append(
            Report(
                status=status,
                fault=fault,
                root=root,
                overflow=bool(overflow),
                decimal=bool(decimal),
                big=bool(big),
                members=tuple(members),
            )
        )
    return reports
