"""What a JWK Set's publisher should mend before a partner meets it (RFC 7517, RFC 8725 s.3).

Errors are what a strict verifier refuses; warnings are what makes rotation or selection fail in practice. It
never shows key bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from rapidjws.errors import RapidJWSError
from rapidjws.jose import limits
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet

Level = Literal["error", "warning", "note"]

RSA_ADVISED_BITS: Final = 3072
"""Below this a note is given: enough until 2030 by most guides."""

KEYS_ADVISED: Final = 10
"""More published keys than this slow every partner's fetch."""

_NAME_MAX_CHARS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found in a JWK Set.

    Attributes:
        level: ``"error"``: a strict verifier refuses it; ``"warning"``: it fails in practice; ``"note"``.
        place: Where: ``"keys[2].kid"``.
        code: A stable word.
        text: One sentence.
    """

    level: Level
    place: str
    code: str
    text: str

    def as_dict(self) -> dict[str, str]:
        """Return the finding as flat values."""
        return {"level": self.level, "place": self.place, "code": self.code, "text": self.text}


def lint_jwks(data: bytes | str | dict[str, Any]) -> tuple[Finding, ...]:
    """Check a JWK Set for publication.

    Args:
        data: JSON text in UTF-8, or the object already parsed.

    Returns:
        The findings, errors first; empty when there is nothing to mend.
    """
    try:
        keys = JWKSet.from_json(data, fetched=True, max_keys=limits.JWKS_STATIC_MAX_KEYS)
    except RapidJWSError as refused:
        return (Finding(level="error", place="keys", code=refused.code, text=str(refused)),)
    found = [_of_skipped(skipped.code, skipped.index, str(skipped.error)) for skipped in keys.skipped]
    found += _nulls(data)
    for key in keys:
        found += _of_key(key)
    found += _of_set(keys)
    order: dict[Level, int] = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(found, key=lambda finding: order[finding.level]))


def _of_skipped(code: str, index: int, text: str) -> Finding:
    level: Level = "warning" if code in ("key_unsupported", "key_use_mismatch") else "error"
    return Finding(level=level, place=f"keys[{index}]", code=code, text=text)


def _nulls(data: bytes | str | dict[str, Any]) -> list[Finding]:
    """Return each member that is null: a strict verifier refuses the key (RFC 7517 s.4)."""
    value = data if isinstance(data, dict) else json.loads(data)  # JWKSet.from_json has read it
    text = "null is no value of a JWK member: leave the member out"
    return [
        Finding(level="error", place=f"keys[{index}].{name[:_NAME_MAX_CHARS]}", code="null_member", text=text)
        for index, entry in enumerate(value["keys"])
        if isinstance(entry, dict)
        for name, item in entry.items()
        if item is None
    ]


def _of_key(key: JWK) -> list[Finding]:
    """Return what is unwise about a key that can be used."""
    place = f"key {key.kid!r}" if key.kid is not None else "a key without kid"
    found = []
    if key.kid is None:
        text = "without kid a verifier must guess the key, and rotation breaks tokens"
        found.append(Finding(level="warning", place=place, code="missing_kid", text=text))
    if key.alg is None:
        text = f"without alg the key serves {', '.join(key.algorithms)}; name the one that is used"
        found.append(Finding(level="warning", place=place, code="missing_alg", text=text))
    if key.use is None and key.key_ops is None:
        text = "neither use nor key_ops says that this is a signature key"
        found.append(Finding(level="note", place=place, code="missing_use", text=text))
    if key.kty == "RSA":
        bits = int.from_bytes(key.material[0], "big").bit_length()
        if bits < RSA_ADVISED_BITS:
            text = f"{bits} bits; new RSA keys should have {RSA_ADVISED_BITS} or more"
            found.append(Finding(level="note", place=place, code="rsa_size", text=text))
    return found


def _of_set(keys: JWKSet) -> list[Finding]:
    """Return what is unwise about the set as a whole."""
    found = []
    if not len(keys):
        text = "no key of the set can be used"
        found.append(Finding(level="error", place="keys", code="no_usable_key", text=text))
    if len(keys) > KEYS_ADVISED:
        text = f"{len(keys)} keys; partners fetch them all, more than {KEYS_ADVISED} are rarely needed"
        found.append(Finding(level="warning", place="keys", code="many_keys", text=text))
    kids = [key.kid for key in keys if key.kid is not None]
    for kid in dict.fromkeys(one for one in kids if kids.count(one) > 1):
        text = f"{kids.count(kid)} keys have this kid; verifiers that do not tell them apart by alg use none"
        found.append(Finding(level="warning", place=f"key {kid!r}", code="shared_kid", text=text))
    prints: dict[str, str | None] = {}
    for key in keys:
        thumbprint = key.thumbprint()
        if thumbprint in prints:
            text = f"the same key as {prints[thumbprint]!r}"
            found.append(Finding(level="warning", place=f"key {key.kid!r}", code="same_key_twice", text=text))
        prints[thumbprint] = key.kid
    return found
