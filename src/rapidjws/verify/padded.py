"""Tokens whose parts carry base64 padding, as AWS load balancers send them: verified where that was chosen.

RFC 7515 section 2 forbids the padding, and the sender signed it: the signing input is what came, while
header, payload and signature are read without it. A token without padding is none of this file's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.verify.key_selection import issuer_for
from rapidjws.verify.refusals import not_by_key

if TYPE_CHECKING:
    from rapidjws.verify.pipeline import Snapshot
    from rapidjws.verify.result import VerifiedJWS

_PARTS: Final = 3
_PADDING_MAX: Final = 2


def unpadded(octets: bytes) -> bytes | None:
    """Return a compact token without its padding; None where it has none, or one that is wrong.

    Source: RFC 4648 section 3.2, 4: a padded part has a multiple of four characters.
    """
    parts = octets.split(b".", _PARTS)
    if b"=" not in octets or len(parts) != _PARTS:
        return None
    plain = []
    for part in parts:
        text = part.rstrip(b"=")
        count = len(part) - len(text)
        if b"=" in text or count > _PADDING_MAX or (count and len(part) % 4):
            return None
        plain.append(text)
    return b".".join(plain)


def verify_padded(snapshot: Snapshot, octets: bytes, now_ns: int) -> VerifiedJWS | None:
    """Verify a token with padding over the octets that came; None where it is none, or stays malformed.

    Raises:
        RapidJWSError: Why it is refused.
    """
    plain = unpadded(octets)
    if plain is None or len(octets) > snapshot.max_token_bytes:
        return None
    head, payload, signature_text = plain.split(b".")
    signature = _native.b64url_decode(signature_text)
    if signature is None or not signature or not head or _native.b64url_decode(payload) is None:
        return None
    header = snapshot._split(head)
    around = snapshot.key_availability
    if around is not None and around.chains and issuer_for(snapshot, header, plain)[0] in around.chains:
        return None  # certificates in headers come from elsewhere, without padding
    slot, _ = snapshot._find_key(header, plain)
    key = snapshot.table.slots[slot]
    if not key.verify(octets.rpartition(b".")[0], signature):
        raise not_by_key(*snapshot.slots[slot])
    return snapshot._check_claims(plain, slot, now_ns)
