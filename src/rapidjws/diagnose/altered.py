"""A header or claim that was changed after signing: put right one way at a time, until the signature fits.

A trial explains; it never makes a token good.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.diagnose import trial
from rapidjws.jose.jwa import ALGORITHM_TABLE

if TYPE_CHECKING:
    from rapidjws.diagnose.case import Case
    from rapidjws.diagnose.subject import KnownKey

_STRING: Final = rb'(\s*:\s*)"(?:[^"\\]|\\.)*"'
_ORDERS: Final = ("alg kid typ", "alg typ kid", "typ alg kid", "kid typ alg", "kid alg typ", "typ kid alg")
_TYPES: Final = ("JWT", "at+jwt", None)
_KEYS_TRIED: Final = 8
_SUSPECT: Final = frozenset(
    "malformed_header malformed_json malformed_base64url malformed_token unsupported_algorithm unknown_kid"
    " no_suitable_key ambiguous_key algorithm_not_allowed key_alg_mismatch crit_unsupported crit_malformed"
    " signature_invalid duplicate_member unknown_issuer".split()
)


def search(case: Case) -> tuple[str, str] | None:
    """Return the cause and words where the signature fits an unaltered header or iss, or None."""
    header, _, signature = case.read.decoded
    if case.code not in _SUSPECT or not signature or case.read.parts is None or case.read.unprotected:
        return None
    rest = case.signing_input.partition(b".")[2]
    for known, alg in _signers(case, len(signature)):
        for other in _headers(header or b"", known.jwk.kid, alg):
            octets = _native.b64url_encode(other) + b"." + rest
            if trial.verifies(case.notes, known.jwk, alg, octets, signature):
                return (
                    "header_altered",
                    f"with alg {alg}, kid and typ put right it verifies under {known.name}",
                )
    return None


def with_kid_of(case: Case, known: KnownKey, alg: str) -> tuple[str, str] | None:
    """Return the cause and words where the signature fits the header with the kid of a key in its place."""
    header, _, signature = case.read.decoded
    kid = case.member("kid")
    if not header or not signature or known.jwk.kid in (None, kid) or "kid" in case.read.unprotected:
        return None
    other = _replaced(header, "kid", str(known.jwk.kid))
    octets = _native.b64url_encode(other) + b"." + case.signing_input.partition(b".")[2]
    if other == header or not trial.verifies(case.notes, known.jwk, alg, octets, signature):
        return None
    return "header_altered", f"with kid {known.jwk.kid!r} put right it verifies under {known.name}"


def _replaced(header: bytes, name: str, value: str) -> bytes:
    """Return a header's octets with another text for a member."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    pattern = b'("' + name.encode() + b'")' + _STRING
    return re.sub(pattern, lambda match: match[1] + match[2] + text, header)


def _signers(case: Case, signature_bytes: int) -> Iterator[tuple[KnownKey, str]]:
    """Yield the keys in use, each with the allowed algorithms that make signatures of this size."""
    allowed = case.subject.allowed
    own = [known for known in case.subject.of("in use") if case.owns(known)]
    own.sort(key=lambda known: known not in case.targets)  # a kid that is nearly the header's first
    for known in own[:_KEYS_TRIED]:
        for alg in known.jwk.algorithms:
            size = ALGORITHM_TABLE[alg].signature_bytes
            if alg in allowed and size in (None, signature_bytes):
                yield known, alg


def _headers(header: bytes, kid: str | None, alg: str) -> Iterator[bytes]:
    """Yield the header with alg and kid put right, then the usual headers of a key; never itself."""
    seen = {header}
    changes = {"alg": alg} if kid is None else {"alg": alg, "kid": kid}
    for names in (("kid",), ("alg",), ("kid", "alg")):
        other = header
        for name in names:
            if name in changes:
                other = _replaced(other, name, changes[name])
        if other not in seen:
            seen.add(other)
            yield other
    for typ in _TYPES:
        members = changes if typ is None else {**changes, "typ": typ}
        for order in _ORDERS:
            named = {name: members[name] for name in order.split() if name in members}
            other = json.dumps(named, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
            if other not in seen:
                seen.add(other)
                yield other
