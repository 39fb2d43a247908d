"""The short way of a General JSON Serialization whose protected headers all verified before.

It only accepts. Whatever is not plain (an unknown header, a member more, a signature that fails, signers that
differ) is left to the long way, which knows the reasons. What it never does: refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws import _native
from rapidjws.jws.parsed_jws import JWSSignature, parse_text
from rapidjws.jws.signature_checks import SignatureCheck, results_of
from rapidjws.verify.result import VerifiedJSON

if TYPE_CHECKING:
    from rapidjws.jws.signatures import SignaturePolicy
    from rapidjws.verify.pipeline import Snapshot
    from rapidjws.verify.result import SignatureResult
    from rapidjws.verify.rules import KnownHeader


def verify_known_headers(
    snapshot: Snapshot, octets: bytes, policy: SignaturePolicy, max_signatures: int
) -> VerifiedJSON | None:
    """Accept a General JSON Serialization in which everything is plain and good.

    Args:
        snapshot: Keys, and the headers that verified before.
        octets: The text.
        policy: Which signatures must be good: here all of them are.
        max_signatures: Most signatures.

    Returns:
        The result, or None: the long way decides.
    """
    found = snapshot.native.verify_known(snapshot.known, octets, max_signatures)
    if found is None:
        return None
    rows, verdicts, payload = found
    if not rows:
        return None
    if verdicts is not None and len(verdicts) != len(rows):  # none of them stands for another signature's
        return None
    for verdict in verdicts or ():
        snapshot.note_table_due(verdict)
        if verdict & 0xFF != _native.OK:
            return None
    if policy.kind not in ("all", "any"):  # these are met where every signature is good
        slots = snapshot.slots
        if not policy.is_met([slots[row.slot][0] for row in rows], len(rows)):
            return None
    return _accept(snapshot, rows, octets, payload)


def _accept(snapshot: Snapshot, rows: list[KnownHeader], octets: bytes, payload: bytes) -> VerifiedJSON:
    def results() -> tuple[SignatureResult, ...]:
        entries = parse_text(octets, max_bytes=len(octets))["signatures"]
        found = []
        for row, entry in zip(rows, entries, strict=True):
            check = SignatureCheck(JWSSignature(entry["protected"], None, entry["signature"], ""))
            check.slot, check.header, check.is_good = row.slot, row.header, True
            found.append(check)
        return results_of(snapshot, found, accepted=True)

    verified = VerifiedJSON()
    verified._key, verified.issuer = snapshot.slots[rows[0].slot]
    verified._header = rows[0].header.raw
    verified._payload = payload
    verified._claims = None
    verified._results = results
    return verified
