"""Requests that were recorded, to compare two versions of the rules on: JSON lines, or an audit trail."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rapidjws._authorization_codes import NOT_PERMITTED
from rapidjws._checks import is_number
from rapidjws._native import b64url_decode
from rapidjws.audit.records import DECISION, parsed_record
from rapidjws.audit.side_content import unpacked
from rapidjws.authz.request import HTTPRequest
from rapidjws.config.moments import moment_s
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rapidjws.audit.record_results import Wanted
    from rapidjws.audit.trail_reader import TrailReader

FIELDS: Final = frozenset({"id", "claims", "method", "path", "host", "headers", "partner", "at", "content"})
BUNDLE: Final = 256
SECOND_US: Final = 1_000_000
YEAR_10000_S: Final = 253_402_300_800
OK: Final = "ok"
_VERIFIED: Final = NOT_PERMITTED | {OK, "policy_unavailable"}
"""Codes of decisions on tokens that were verified: rules were asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """A request that somebody wrote down, or why it cannot be tried again.

    Attributes:
        name: Where it stands: a line's number, a record's index, or its own id.
        at_s: When it came, in seconds since the epoch.
        claims: Of its token, which was verified.
        partner: Whose it was, or None.
        request: What rules read of it.
        missing: What was not recorded of ``method``, ``host``, ``headers``.
        unreadable: Why it cannot be tried, or None.
    """

    name: str
    at_s: float = 0.0
    claims: dict[str, Any] = field(default_factory=dict, repr=False)
    partner: str | None = None
    request: HTTPRequest = field(default_factory=HTTPRequest)
    missing: frozenset[str] = frozenset()
    unreadable: str | None = None


def requests_in_lines(octets: bytes, place: str) -> Iterator[RecordedRequest]:
    """Yield the requests of JSON lines, each an object with the settings of ``authz.examples``.

    Args:
        octets: The file.
        place: Its name.

    Raises:
        ConfigurationError: ``configuration_invalid``: a line that is no such object.
    """
    for number, line in enumerate(octets.split(b"\n"), 1):
        if line.strip():
            try:
                yield _from_line(json.loads(line), str(number))
            except (ValueError, RecursionError):
                raise error_for("configuration_invalid", f"{place}:{number}", "a JSON object") from None
            except RapidJWSError as fault:
                expected = str(fault.expected or fault.code)
                raise error_for("configuration_invalid", f"{place}:{number}", expected) from None


def _from_line(found: Any, number: str) -> RecordedRequest:
    if not isinstance(found, dict) or not set(found) <= FIELDS:
        raise error_for("configuration_invalid", None, f"an object of {', '.join(sorted(FIELDS))}")
    claims, content, at = found.get("claims"), found.get("content"), found.get("at")
    if not isinstance(claims, dict):
        raise error_for("configuration_invalid", None, "claims: an object")
    texts = ("id", "path", "method", "host", "partner", "content")
    if not all(isinstance(found.get(name), (str, type(None))) for name in texts):
        raise error_for("configuration_invalid", None, f"{', '.join(texts)}: texts")
    headers, host = found.get("headers"), found.get("host")
    if isinstance(at, str):
        at_s = float(moment_s("at", at))
    elif at is not None and is_number(at) and 0 <= at < YEAR_10000_S:
        at_s = float(at)
    else:
        raise error_for("configuration_invalid", None, "at: when it came, a date or seconds since the epoch")
    named = {} if headers is None else headers
    has_host = host is not None or (isinstance(named, dict) and any(name.lower() == "host" for name in named))
    given = {"method": found.get("method") is not None, "host": has_host, "headers": headers is not None}
    return RecordedRequest(
        name=found.get("id") or number,
        at_s=at_s,
        claims=claims,
        partner=found.get("partner"),
        request=HTTPRequest(
            method=found.get("method") or "",
            path=found.get("path"),
            host=host,
            headers=headers,
            content=None if content is None else content.encode(),
        ),
        missing=frozenset(name for name, is_there in given.items() if not is_there),
    )


def requests_in_trail(reader: TrailReader, wanted: Wanted) -> Iterator[RecordedRequest]:
    """Yield the requests of an audit trail whose tokens were verified and are stored.

    A trail has the claims, the path, the partner and the time; method, host and headers it has not.

    Args:
        reader: The trail.
        wanted: Which records.

    Raises:
        ConfigurationError: ``audit_trail_invalid``.
    """
    for bundle in range((reader.size + BUNDLE - 1) // BUNDLE):
        entries = reader.entries(bundle)
        taken = [(at, parsed_record(one, f"record {bundle * BUNDLE + at}")) for at, one in enumerate(entries)]
        taken = [(at, row) for at, row in taken if row.get("kind") == DECISION and wanted.takes(row)]
        taken = [(at, row) for at, row in taken if row.get("code") in _VERIFIED]
        contents = reader.contents(bundle) if taken else []
        for at, row in taken:
            yield _from_record(row, contents[at], bundle * BUNDLE + at)


def _from_record(row: dict[str, Any], content: bytes, index: int) -> RecordedRequest:
    name = f"record {index}"
    token = unpacked(content, name).get("token")
    if token is None:
        return RecordedRequest(name=name, unreadable="no token stored")
    try:
        claims = json.loads(b64url_decode(token.split(b".")[1]) or b"")
    except (ValueError, IndexError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        return RecordedRequest(name=name, unreadable="no compact JWT")
    return RecordedRequest(
        name=name,
        at_s=row["time_us"] / SECOND_US,
        claims=claims,
        partner=row.get("partner"),
        request=HTTPRequest(path=row.get("route")),
        missing=frozenset({"method", "host", "headers"}),
    )
