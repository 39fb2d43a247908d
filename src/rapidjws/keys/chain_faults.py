"""Why a chain in ``x5c`` is refused: the mistake that made it so, for people. It never accepts anything.

Source: RFC 7515 section 4.1.6; RFC 5280 sections 4.2.1 and 6.1.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography import x509

if TYPE_CHECKING:
    from rapidjws.keys.x5c_policy import X5CPolicy

_SHOWN_CHARS: Final = 80


class ChainFault(NamedTuple):
    """One mistake.

    Attributes:
        cause: The id of a cause of ``rapidjws.diagnose``.
        evidence: What it was seen by.
    """

    cause: str
    evidence: str


def chain_fault(
    x5c: Any, roots: Sequence[x509.Certificate], policy: X5CPolicy, at_s: float
) -> ChainFault | None:
    """Return the first mistake of a chain, or None where none of those known here is made.

    Args:
        x5c: The header's value.
        roots: The pinned roots.
        policy: The demands.
        at_s: When the chain must hold, seconds since the epoch.
    """
    if x5c is None:
        return ChainFault("chain_missing", "the protected header has no x5c")
    read = _read(x5c)
    if isinstance(read, ChainFault):
        return read
    return (
        _of_order(read)
        or _of_length(read, policy)
        or _of_dates(read, at_s)
        or _of_root(read, roots)
        or _of_authorities(read)
        or _of_profile(read, policy)
        or _of_leaf(read[0], policy)
    )


def _read(x5c: Any) -> list[x509.Certificate] | ChainFault:
    if not isinstance(x5c, list) or not x5c or not all(isinstance(one, str) for one in x5c):
        return ChainFault("chain_malformed", f"x5c is {type(x5c).__name__}, not an array of strings")
    found = []
    for number, text in enumerate(x5c):
        if "-----BEGIN" in text or "\n" in text:
            return ChainFault("chain_encoding", f"x5c[{number}] is PEM or has line breaks")
        if "-" in text or "_" in text or len(text) % 4:
            return ChainFault("chain_encoding", f"x5c[{number}] is base64url, or lacks its padding")
        try:
            found.append(
                x509.load_der_x509_certificate(base64.b64decode(text.encode("ascii"), validate=True))
            )
        except (ValueError, binascii.Error, x509.InvalidVersion):
            return ChainFault("chain_malformed", f"x5c[{number}] is no certificate in DER")
    return found


def _of_order(chain: list[x509.Certificate]) -> ChainFault | None:
    """Return that a certificate does not certify the one before it: another order, or a gap."""
    for number in range(1, len(chain)):
        below, above = chain[number - 1], chain[number]
        if below.issuer == above.subject:
            continue
        if any(below.issuer == other.subject for other in chain if other is not below):
            return ChainFault("chain_order", f"x5c[{number}] is not the one that certifies x5c[{number - 1}]")
        text = f"x5c[{number - 1}] was issued by {_name(below.issuer)}, which is not in x5c"
        return ChainFault("chain_incomplete", text)
    return None


def _of_length(chain: list[x509.Certificate], policy: X5CPolicy) -> ChainFault | None:
    exact = policy.chain_length
    if len(chain) > policy.longest or (exact is not None and len(chain) < exact - 1):
        due = f"{exact}" if exact is not None else f"at most {policy.longest}"
        return ChainFault("chain_length", f"{len(chain)} certificates in x5c; due from leaf to root: {due}")
    return None


def _of_dates(chain: list[x509.Certificate], at_s: float) -> ChainFault | None:
    at = datetime.fromtimestamp(max(0.0, at_s), timezone.utc)
    for number, one in enumerate(chain):
        if at > one.not_valid_after_utc:
            ended = one.not_valid_after_utc.isoformat()
            return ChainFault(
                "chain_expired", f"x5c[{number}] ended {ended}; it is judged at {at.isoformat()}"
            )
        if at < one.not_valid_before_utc:
            begins = one.not_valid_before_utc.isoformat()
            text = f"x5c[{number}] begins {begins}; it is judged at {at.isoformat()}"
            return ChainFault("chain_not_yet_valid", text)
    return None


def _of_root(chain: list[x509.Certificate], roots: Sequence[x509.Certificate]) -> ChainFault | None:
    """Return that the chain ends at no pinned root, or misses what leads there."""
    last = chain[-1]
    if any(one in roots for one in chain):
        return None
    if len(chain) == 1 and last.issuer == last.subject:
        return ChainFault(
            "chain_self_signed", f"the one certificate, {_name(last.subject)}, certifies itself"
        )
    for root in roots:
        if root.subject == last.issuer:
            try:
                last.verify_directly_issued_by(root)
            except Exception:
                text = f"a root {_name(root.subject)} is pinned, but its key did not certify the chain"
                return ChainFault("chain_other_root", text)
            return None
    pinned = ", ".join(_name(root.subject) for root in roots[:4])
    return ChainFault("chain_other_root", f"the chain ends at {_name(last.issuer)}; pinned: {pinned}")


def _of_authorities(chain: list[x509.Certificate]) -> ChainFault | None:
    for number, one in enumerate(chain[1:], 1):
        basic = _extension(one, x509.BasicConstraints)
        if basic is None or not basic.ca:
            return ChainFault("chain_no_authority", f"x5c[{number}] may not certify others")
    return None


def _of_profile(chain: list[x509.Certificate], policy: X5CPolicy) -> ChainFault | None:
    for number, (words, oids) in enumerate(
        (("the leaf", policy.leaf_oids), ("the one above it", policy.intermediate_oids))
    ):
        there = {one.oid.dotted_string for one in chain[number].extensions} if number < len(chain) else set()
        for oid in oids:
            if oid not in there:
                return ChainFault("chain_other_profile", f"{words} lacks the extension {oid}")
    return None


def _of_leaf(leaf: x509.Certificate, policy: X5CPolicy) -> ChainFault | None:
    basic, usage = _extension(leaf, x509.BasicConstraints), _extension(leaf, x509.KeyUsage)
    if basic is not None and basic.ca:
        return ChainFault("chain_leaf_usage", "the leaf is an authority")
    if usage is None and policy.key_usage_required:
        return ChainFault("chain_leaf_usage", "the leaf has no KeyUsage")
    if usage is not None and not any(getattr(usage, name) for name in policy.key_usages):
        return ChainFault("chain_leaf_usage", "the leaf's KeyUsage names no signatures")
    purposes = set(policy.extended_key_usages)
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    if purposes and not {one.dotted_string for one in extended or ()} & purposes:
        return ChainFault("chain_leaf_usage", f"the leaf names none of {', '.join(sorted(purposes))}")
    return None


def _extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def _name(name: x509.Name) -> str:
    """Return a distinguished name on one line, in ASCII."""
    return ascii(name.rfc4514_string())[:_SHOWN_CHARS]
