"""Whether the request body is, byte for byte, what was signed, or what a signed digest stands for."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from rapidjws.diagnose import variants
from rapidjws.diagnose.payload_diff import payload_diff

if TYPE_CHECKING:
    from rapidjws.diagnose.case import Case

_DIGESTS: Final = ("sha256", "sha384", "sha512", "sha1")
_CLAIMS_LOOKED_AT: Final = 64
_NAME_HINTS: Final = ("digest", "sha256", "sha-256", "sha384", "sha512", "hash")


def examine(case: Case) -> None:
    """Compare the payload, or a digest in it, with the body, where one was given."""
    payload = case.read.decoded[1]
    if case.body is None or payload is None:
        return
    if not payload:
        text = "the token is detached: the body was taken as its payload"
        case.notes.check("body", "detached", "info", text, actual=len(case.body))
        return
    if _by_digest(case, case.body):
        return
    diff = payload_diff(payload, case.body)
    if diff.equal:
        case.notes.check("body", "equal", "ok", "the body is the payload, byte for byte")
        return
    kinds = ", ".join(diff.kinds)
    case.notes.check("body", "equal", "fail", f"the body is not the payload: {kinds}", actual=diff.offset)
    weight = 89 if case.verdict is None or case.signed else 45
    case.notes.cause("body", "body_changed", weight, f"{kinds}, from byte {diff.offset} on")


def _by_digest(case: Case, body: bytes) -> bool:
    """Note a claim that holds a digest of the body, or of the body as it was before something changed it."""
    texts = list(_texts(case.claims or {}, ""))
    if not texts:
        return False
    trust = (
        "" if case.verdict is None or case.signed else "; the signature is not good, so this proves nothing"
    )
    for name, text in texts:
        if (digest := _digest_in(text, body)) is not None:
            words = f"{name} is the body's {digest}: the body is what was signed for{trust}"
            case.notes.check("body", "digest", "ok", words, actual=name)
            return True
    hinted = [(name, text) for name, text in texts if any(hint in name.lower() for hint in _NAME_HINTS)]
    hinted = [(name, text) for name, text in hinted if len(text) >= 40 and " " not in text]
    if not hinted:
        return False
    name = hinted[0][0]
    case.notes.check("body", "digest", "fail", f"{name} is no digest of this body", actual=name)
    weight = 88 if case.verdict is None or case.signed else 44
    for _, words, other in variants.payloads(body):
        if _digest_in(hinted[0][1], other) is not None:
            evidence = f"{name} is the digest of the body {words}"
            case.notes.cause("body", "body_digest_differs", 95 if weight == 88 else weight, evidence)
            return True
    case.notes.cause("body", "body_digest_differs", weight, f"{name} is no digest of this body")
    return True


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield the texts among the claims and one level below them, with their names."""
    for key, item in list(value.items())[:_CLAIMS_LOOKED_AT] if isinstance(value, dict) else ():
        place = f"{name}.{key}" if name else str(key)
        if isinstance(item, str):
            yield place[:80], item
        elif isinstance(item, dict) and not name:
            yield from _texts(item, place)


def _digest_in(text: str, body: bytes) -> str | None:
    """Return the digest whose value over the body a text holds, in hexadecimal or base64, or None."""
    plain = text.strip().strip(":").translate(str.maketrans("-_", "+/")).rstrip("=")
    for name in _DIGESTS:
        value = hashlib.new(name, body, usedforsecurity=False).digest()
        encoded = base64.b64encode(value).decode().rstrip("=")
        if text.lower().endswith(value.hex()) or plain.endswith(encoded):
            return name.upper().replace("SHA", "SHA-")
    return None
