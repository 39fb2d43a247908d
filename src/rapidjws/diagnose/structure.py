"""The structure section: parts, base64url, and what surrounds the token (RFC 7515 s.2, s.7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws.diagnose.lenient import PARTS
from rapidjws.jws.verifier import Verifier

if TYPE_CHECKING:
    from rapidjws.diagnose.case import Case

_FIRST: Final = (
    "not_text", "empty", "utf16", "encoded_token", "sd_jwt", "paseto", "encrypted_token", "dsse_envelope",
    "http_message_signature", "webhook_mac", "provider_token", "basic_credentials", "key_as_token",
    "html_page", "json_document", "json_broken", "saml_assertion", "bearer_prefix", "name_prefix",
    "text_around", "quoted", "doubled", "byte_order_mark", "escaped_newline", "percent_encoded",
    "line_breaks", "inner_whitespace", "outer_whitespace", "invisible_character", "typographic_character",
    "elided", "masked", "json_serialization", "member_misspelled", "opaque_token", "alg_none",
    "signature_missing", "wrong_parts", "empty_part", "trailing_separator", "cut_off", "standard_alphabet",
    "padding", "foreign_character", "trailing_bits",
)  # fmt: skip
"""Faults of shape, the telling ones first: a wrapped token is also padded, a quoted one has foreign marks."""


def examine(case: Case) -> None:
    """Note every fault of shape, and whether the token is good without them."""
    read, notes = case.read, case.notes
    if case.code == "too_large" and case.stage == "structure":
        size = len(read.text)
        notes.check("structure", "size", "fail", "the token is past the size limit", actual=size)
        notes.cause("structure", "too_large", 95, f"{size} characters")
    else:
        notes.check("structure", "size", "ok", "within the size limit", actual=len(read.text))
    faults = [fault for fault in read.faults if not (fault.id == "json_serialization" and _takes_json(case))]
    if read.is_json and not any(fault.id == "json_serialization" for fault in faults):
        text = f"JWS JSON Serialization, signatures: {read.signatures}"
        notes.check("structure", "serialization", "ok", text, actual=read.signatures)
    for fault in faults:
        notes.check("structure", fault.id, "fail", f"{fault.text}, at {fault.place}")
    if read.parts is None:
        notes.check("structure", "parts", "fail", "the token cannot be split into three parts")
    else:
        sizes = tuple(f"{name} {len(part)}" for name, part in zip(PARTS, read.parts, strict=True))
        if read.is_json or read.text.count(".") == 2:
            notes.check("structure", "parts", "ok", "three parts, lengths in characters", actual=sizes)
        else:
            notes.check("structure", "parts", "info", "parts as read, lengths in characters", actual=sizes)
    if not faults:
        notes.check("structure", "base64url", "ok", "strict, unpadded base64url")
        return
    if case.verdict is None:
        return
    mended_good = read.mended is not None and _accepts(case)
    ordered = sorted(faults, key=lambda fault: _FIRST.index(fault.id))
    for rank, fault in enumerate(ordered):
        weight = max(92 - rank, 90) if mended_good else max(80 - rank, 62)
        if case.stage != "structure" and not mended_good:
            weight = 35
        proof = "; without the faults of shape the token is accepted" if mended_good else ""
        notes.cause("structure", fault.id, weight, f"{fault.text}, at {fault.place}{proof}")


def _takes_json(case: Case) -> bool:
    """Say whether what gives the verdict takes JSON serializations as well."""
    return case.read.is_json and isinstance(case.subject.engine, Verifier)


def _accepts(case: Case) -> bool:
    """Say whether the engine accepts the mended token, which is dropped at once."""
    mended = case.read.mended
    if mended is None:
        return False
    detached = case.is_detached and case.body is not None and isinstance(case.subject.engine, Verifier)
    return case.subject.verdict(mended, case.now, case.body if detached else None) is None
