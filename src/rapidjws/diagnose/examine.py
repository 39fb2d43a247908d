"""The examination of one token by every section, with the causes in order. A fault becomes a report."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.diagnose import body as body_section
from rapidjws.diagnose import chain, claims, header, key, lenient, signature, structure
from rapidjws.diagnose.case import Case, json_object
from rapidjws.diagnose.causes import cause
from rapidjws.diagnose.notes import Notes
from rapidjws.diagnose.report import Report
from rapidjws.diagnose.subject import Subject, make_subject
from rapidjws.diagnose.values import Cause, Section
from rapidjws.errors import RapidJWSError, SignaturesRefused, error_for
from rapidjws.jws.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_RELEVANT: Final[dict[Section, tuple[Section, ...]]] = {
    "structure": ("structure",),
    "header": ("header", "key", "signature", "structure"),
    "key": ("key", "header", "signature", "structure"),
    "signature": ("signature", "key", "body", "structure", "header"),
    "claims": ("claims", "header", "structure"),
}
_SIGNATURE_PLACE: Final = re.compile(r"signatures\[(\d{1,6})\]")
_LATER: Final = 50
"""What a cause loses when it belongs to a section where the engine did not refuse."""


def examine(
    token: Any,
    using: Any,
    *,
    algorithms: Iterable[str] | None = None,
    body: bytes | None = None,
    now: float | None = None,
    fresh: Any = None,
    also: Mapping[str, Any] | None = None,
    cache_age_s: float | None = None,
    show_token: bool = False,
) -> Report:
    """Diagnose a token; see :func:`rapidjws.diagnose`."""
    moment = time.time() if now is None else now
    read = lenient.read(token)
    head = json_object(read.decoded[0])
    kid = head.get("kid") if isinstance(head, dict) else None
    subject = make_subject(
        using,
        algorithms=algorithms,
        fresh=fresh,
        also=also,
        cache_age_s=cache_age_s,
        kid=kid if isinstance(kid, str) else None,
    )
    verdict = _verdict(subject, token, read, now, body)
    index = _refused_signature(verdict) if read.signatures > 1 else 0
    if index:
        read = lenient.read(token, index)
    case = Case(
        subject=subject,
        notes=Notes(),
        read=read,
        verdict=verdict,
        now=moment,
        is_clock=now is None,
        body=body,
    )
    for section in (structure, header, chain, key, signature, claims, body_section):
        try:
            section.examine(case)
        except Exception as fault:  # a check that fails must not hide what the others found
            name = section.__name__.rpartition(".")[2]
            text = f"the checks of {name} could not be made ({type(fault).__name__})"
            case.notes.check("structure", f"{name}_checks", "skip", text)
    shown = _shown(token) if show_token else _redacted(read)
    return _report(case, shown)


def _refused_signature(verdict: RapidJWSError | None) -> int:
    """Return the number of the first refused signature of a General JSON Serialization, or 0."""
    if isinstance(verdict, SignaturesRefused):
        return next((number for number, one in enumerate(verdict.signatures) if one.verdict == "refused"), 0)
    named = None if verdict is None else _SIGNATURE_PLACE.match(verdict.place or "")
    return 0 if named is None else int(named[1])


def _verdict(
    subject: Subject, token: Any, read: lenient.Lenient, now: float | None, body: bytes | None
) -> RapidJWSError | None:
    """Return what the engine or verifier says, with the body as payload of a detached token."""
    takes_payload = isinstance(subject.engine, Verifier)
    whole = read.parts is not None and not read.parts[1] and all(
        fault.id == "json_serialization" and takes_payload for fault in read.faults
    )  # fmt: skip
    if body is None or not whole:
        return subject.verdict(token, now)
    if takes_payload:
        return subject.verdict(token, now, body)
    return subject.verdict(_with_body(token, read, body), now)


def _with_body(token: Any, read: lenient.Lenient, body: bytes) -> Any:
    """Return a detached token with the body as its payload (RFC 7515 appendix F)."""
    if read.parts is None or read.is_unencoded:
        return token
    first, _, last = read.parts
    return f"{first}.{_native.b64url_encode(body).decode()}.{last}"


def _report(case: Case, token: str) -> Report:
    """Put the notes into a report."""
    verdict = case.verdict
    return Report(
        code=None if verdict is None else verdict.code,
        place=None if verdict is None else verdict.place,
        message="" if verdict is None else str(verdict),
        checks=tuple(case.notes.checks),
        causes=_ranked(case),
        token=token,
        now=case.now,
    )


def _ranked(case: Case) -> tuple[Cause, ...]:
    """Return each cause once, the most probable first; always one where the engine refuses."""
    stage = case.stage
    if stage is None:
        return tuple(item for part, item in case.notes.found if part == "body")
    if case.code in key.NO_KEYS_YET:
        found = [item for part, item in case.notes.found if part == "key"]  # nothing else was judged
        if found:
            return tuple(sorted(found, key=lambda item: -item.weight))
    relevant = _RELEVANT.get(stage, (stage,))
    if stage == "header" and case.verdict is not None and case.verdict.reason == "malformed":
        relevant = ("header", "structure")
    best: dict[str, tuple[int, int, Cause]] = {}
    for order, (section, item) in enumerate(case.notes.found):
        score = item.weight if section in relevant else item.weight - _LATER
        if item.id not in best or best[item.id][0] < score:
            best[item.id] = (score, -order, item)
    ranked = [item for _, _, item in sorted(best.values(), key=lambda entry: entry[:2], reverse=True)]
    if case.verdict is not None and not any(score >= 0 for score, _, _ in best.values()):
        ranked.insert(0, cause(case.verdict.code, 50, str(case.verdict)))
    return tuple(ranked)


def _redacted(read: lenient.Lenient) -> str:
    """Return the token's outline: nothing of it that anybody could use."""
    if read.parts is None:
        return f"<{len(read.text)} characters>"
    names = zip(lenient.PARTS, read.parts, strict=True)
    return ".".join(f"<{name}: {len(part)} characters>" for name, part in names)


def _shown(token: Any) -> str:
    """Return the token as text."""
    if isinstance(token, str):
        return token
    return bytes(token).decode("utf-8", "replace") if isinstance(token, (bytes, bytearray)) else repr(token)


def broken(fault: Exception) -> Report:
    """Return the report of a diagnosis that failed as a whole."""
    error = fault if isinstance(fault, RapidJWSError) else error_for("internal_error", "diagnose")
    return Report(
        code=error.code,
        place=error.place,
        message=str(error),
        checks=(),
        causes=(cause(error.code, 50, type(fault).__name__),),
        token="<not read>",
        now=time.time(),
    )


__all__ = ["Subject", "broken", "examine"]
