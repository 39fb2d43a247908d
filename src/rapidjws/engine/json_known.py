"""The short way of a General JSON Serialization whose protected headers all verified before.

It only accepts. Whatever is not plain (an unknown header, a member more, a signature that fails, signers that
differ) is left to the long way, which knows the reasons. What it never does: refuse.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from rapidjws import _native
from rapidjws.engine.candidates import Candidate, results_of
from rapidjws.engine.json_form import Part
from rapidjws.engine.result import AcceptedForm

if TYPE_CHECKING:
    from rapidjws.engine.rules import Known
    from rapidjws.engine.signatures import SignaturePolicy, SignatureResult
    from rapidjws.engine.snapshot import Snapshot


def verify_known(
    snapshot: Snapshot, members: dict[str, Any], policy: SignaturePolicy, max_signatures: int
) -> AcceptedForm | None:
    """Accept a General JSON Serialization in which everything is plain and good.

    Args:
        snapshot: Keys, and the headers that verified before.
        members: The parsed text, scanned for equal names before.
        policy: Which signatures must be good: here all of them are.
        max_signatures: Most signatures.

    Returns:
        The result, or None: the long way decides.
    """
    try:
        payload_text, entries = members["payload"], members["signatures"]
        tail = "." + payload_text
        if len(members) != 2 or len(entries) > max_signatures:
            return None
        rows, texts, lens = _gather(snapshot.known, entries, tail)
        octets = "".join(texts).encode("ascii")
    except (AttributeError, KeyError, TypeError, ValueError):  # not of the plain shape, or not ASCII
        return None
    if not rows or any(row.told != rows[0].told for row in rows):
        return None
    verdicts = snapshot.native.verify_signatures(octets, lens, array("I", [row.slot for row in rows]))
    good = True
    for verdict in verdicts:
        if verdict & 0x1FF != 1:  # not RJ_OK, or something to do
            snapshot.note_earned(verdict)
            good = good and verdict & 0xFF == 1
    payload = _native.b64url_decode(payload_text.encode("ascii")) if good else None
    if payload is None or not policy.is_met([snapshot.slots[row.slot][0] for row in rows], len(rows)):
        return None
    return _accept(snapshot, rows, entries, payload)


def _gather(
    known: dict[str | None, Known], entries: list[dict[str, str]], tail: str
) -> tuple[list[Known], list[str], array[int]]:
    """Return what is known of each header, and the texts and lengths that the core takes.

    Raises:
        KeyError: An unknown header, or a missing member.
        TypeError: A member of another type.
        ValueError: A member more, or an unencoded payload.
    """
    rows = []
    texts: list[str] = []
    lens = array("I")
    tail_chars = len(tail)
    for entry in entries:
        protected = entry["protected"]
        signature = entry["signature"]
        row = known[protected]
        if len(entry) != 2 or not row.is_encoded:
            raise ValueError
        rows.append(row)
        texts += (protected, tail, signature)
        lens.extend((len(protected) + tail_chars, len(signature)))
    return rows, texts, lens


def _accept(
    snapshot: Snapshot, rows: list[Known], entries: list[dict[str, str]], payload: bytes
) -> AcceptedForm:
    def results() -> tuple[SignatureResult, ...]:
        found = []
        for row, entry in zip(rows, entries, strict=True):
            candidate = Candidate(Part(entry["protected"], None, entry["signature"], ""))
            candidate.slot, candidate.header, candidate.is_good = row.slot, row.header, True
            found.append(candidate)
        return results_of(snapshot, found, accepted=True)

    verified = AcceptedForm()
    verified._key, verified.issuer = snapshot.slots[rows[0].slot]
    verified._header = rows[0].header.raw
    verified._payload = payload
    verified._claims = None
    verified._results = results
    return verified
