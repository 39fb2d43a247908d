"""The chain in ``x5c``: which mistake made it no chain to a pinned root (RFC 7515 s.4.1.6, RFC 5280)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws.diagnose.case import json_object
from rapidjws.jws.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rapidjws.diagnose.case import Case

_WEIGHT: Final = 97
"""More than that its leaf made the signature, which every token with x5c has."""


def examine(case: Case) -> None:
    """Note why a chain was refused."""
    if case.code != "chain_refused":
        return
    claims = json_object(case.payload)
    found = [
        fault
        for source in _sources(case)
        if (fault := source.fault_of(case.header or {}, claims if isinstance(claims, dict) else {}, case.now))
    ]
    for name, evidence in dict.fromkeys(found):
        case.notes.check("header", "chain", "fail", evidence)
        case.notes.cause("header", name, _WEIGHT, evidence)


def _sources(case: Case) -> Iterator[Any]:
    """Yield the sources of chains of the issuer that refused, or of all."""
    engine = case.subject.engine
    if isinstance(engine, Verifier):
        found: list[Any] = [engine.chain_source]
    else:
        found = [] if engine is None else [issuer.keys for issuer in engine.issuers]
    yield from (one for one in found if callable(getattr(one, "fault_of", None)))
