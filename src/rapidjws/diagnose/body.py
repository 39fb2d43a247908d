"""The body room: whether the request body is, byte for byte, what was signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws.diagnose.payload_diff import payload_diff

if TYPE_CHECKING:
    from rapidjws.diagnose.case import Case


def examine(case: Case) -> None:
    """Compare the payload with the body, where one was given."""
    payload = case.read.decoded[1]
    if case.body is None or payload is None:
        return
    if not payload:
        text = "the token is detached: the body was taken as its payload"
        case.notes.check("body", "detached", "info", text, actual=len(case.body))
        return
    diff = payload_diff(payload, case.body)
    if diff.equal:
        case.notes.check("body", "equal", "ok", "the body is the payload, byte for byte")
        return
    kinds = ", ".join(diff.kinds)
    case.notes.check("body", "equal", "fail", f"the body is not the payload: {kinds}", actual=diff.offset)
    weight = 89 if case.verdict is None or case.signed else 45
    case.notes.cause("body", "body_changed", weight, f"{kinds}, from byte {diff.offset} on")
