"""The way of a token: split, find_key, verify_signature, check_claims, post_checks, result.

The core takes these steps for almost every token, in native/core/token.c. What it leaves open is completed
here by the same steps: a header seen for the first time, an algorithm that libcrypto lacks, a claim that
needs the full checker, and the error for a refusal. The post checks (revocation, replay) of
``jwt/post_checks.py`` run in the engine, on what is accepted here.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.errors import RapidJWSError, UnknownKey, error_for
from rapidjws.jose import limits
from rapidjws.jose.claims import RULED, check_claims_at, refusal_by
from rapidjws.jose.jws import Header, parse_header
from rapidjws.jose.numeric_date import SECOND_NS
from rapidjws.verify.key_selection import choose, claimed_issuer, issuer_for, slots_to_try, unverified_issuer
from rapidjws.verify.refusals import (
    KEYS_ASKED,
    REFUSING_STATUSES,
    malformed,
    not_by_key,
    proven_issuer,
    with_issuer,
)
from rapidjws.verify.result import VerifiedCompact, VerifiedJWS
from rapidjws.verify.snapshot import SnapshotState, Token

if TYPE_CHECKING:
    from rapidjws.verify.key_availability import KeyAvailability
    from rapidjws.verify.key_table import PreparedKey

_REMEMBER_NOTHING: Final = 0
_OPEN: Final = (_native.HEADER_UNKNOWN, _native.MALFORMED_TOKEN)


class Snapshot(SnapshotState):
    """One moment of an engine, and the way of a token through it."""

    __slots__ = ()
    newer: Snapshot | None

    def latest(self) -> Snapshot:
        """Return the snapshot of the same generation (keys and rules) with the tables as they are now."""
        snapshot = self
        while snapshot.newer is not None:
            snapshot = snapshot.newer
        return snapshot

    def complete_or_raise(self, token: Token, result: Any, now_ns: int) -> VerifiedJWS:
        """Complete what the core left open about a token, as ``result_or_error``; the core calls this too.

        Raises:
            RapidJWSError: Why it is refused.
        """
        complete_or_raise = self.result_or_error(token, result, now_ns)
        if isinstance(complete_or_raise, RapidJWSError):
            raise complete_or_raise
        return complete_or_raise

    def result_or_error(self, token: Token, result: Any, now_ns: int) -> VerifiedJWS | RapidJWSError:
        """Complete what the core left open about a token.

        Args:
            token: The token.
            result: What ``verify_one`` gave for it: a verdict, or None for a token of another type.
            now_ns: Nanoseconds since the epoch.

        Returns:
            A VerifiedJWS, or the error that refuses the token; never raises for a bad token.
        """
        try:
            octets = token if type(token) is bytes else self.octets(token)
        except RapidJWSError as refused:
            return refused.with_traceback(None)
        if result is None:
            result = self.verify_one(octets, now_ns)
        if result.__class__ is VerifiedCompact:
            accepted: VerifiedJWS = result
            return accepted
        return self.complete_verdict(octets, result, now_ns)

    def complete_verdict(self, octets: bytes, verdict: int, now_ns: int) -> VerifiedJWS | RapidJWSError:
        """Turn the core's verdict on a token into a result, doing what the core left open.

        Returns:
            A VerifiedJWS, or the error that refuses the token; never raises for a bad token.
        """
        status = verdict & 0xFF
        self.note_table_due(verdict)
        if status == _native.OK:
            return self.accept(octets, verdict >> 9)
        try:
            if status in _OPEN and self._verify_other_serialization is not None:
                other = self._verify_other_serialization(self, octets, now_ns)
                if other is not None:
                    return other
            if status == _native.HEADER_UNKNOWN:
                return self._verify_new_header(octets, verdict >> 9, now_ns)
            if status == _native.CLAIMS_UNDECIDED:
                return self._check_claims(octets, verdict >> 9, now_ns)
            return self._refusal(octets, verdict, now_ns)
        except RapidJWSError as refused:
            self._attribute(refused, octets)
            return refused.with_traceback(None)

    def _attribute(self, refused: RapidJWSError, octets: bytes) -> None:
        """Say whose keys were asked, for counts; the payload is read where nobody read it yet and counts are
        kept."""
        if refused.claimed_issuer is not None:
            refused.claimed_issuer = refused.claimed_issuer or None
        elif self.counter_rows is not None and refused.issuer is None and refused.reason in KEYS_ASKED:
            refused.claimed_issuer = claimed_issuer(self, octets)

    def _verify_new_header(self, octets: bytes, header_len: int, now_ns: int) -> VerifiedJWS | RapidJWSError:
        """Take the steps for a header that the core has not met; a good signature makes it known."""
        header = self._split(octets[:header_len])
        around = self._key_availability
        if around is not None and around.chains:
            number = issuer_for(self, header, octets)[0]
            if number in around.chains:
                from rapidjws.verify.chains import verify_by_chain

                return verify_by_chain(self, around.chains[number], number, header, octets, now_ns)
        if self.tries_keys and header.kid is None:
            tried = self._try_keys(header, octets, now_ns)
            if tried is not None:
                return tried
        slot, iss = self._find_key(header, octets)
        verified = self._verify_signature(octets, slot, iss, now_ns)
        key = self.table.slots[slot]
        if isinstance(verified, VerifiedJWS):
            verified._header = header.raw
            if self._key_availability is not None and self._key_availability.awaited:
                self._key_availability.first_accepted(verified.issuer, key.jwk.kid)
        return verified

    def _try_keys(self, header: Header, octets: bytes, now_ns: int) -> VerifiedJWS | RapidJWSError | None:
        """Try each key that fits a header without kid, as its issuer asks; None where it is found as any."""
        try:
            number, _ = issuer_for(self, header, octets)
            slots = slots_to_try(self.table, self.rules[number], number, header)
        except UnknownKey as refused:
            if refused.code == "ambiguous_key":
                raise
            return None
        verdict = 0
        for slot in slots:
            if self.table.slots[slot].native is None:
                raise error_for("ambiguous_key", "header.kid", "a kid, as several keys fit")
            moment = divmod(now_ns, SECOND_NS)
            verdict = _native.token_verify_slot(
                self.handle, octets, len(octets), slot, *moment, b"", 0, _REMEMBER_NOTHING
            )
            if _native.STATUS_NAMES.get(verdict & 0xFF) != "signature_invalid":
                break
        return self.complete_verdict(octets, verdict, now_ns) if slots else None

    def verify_by_slot(self, octets: bytes, slot: int, now_ns: int) -> VerifiedJWS | RapidJWSError:
        """Verify by a slot that a chain led to, and remember the header."""
        iss = unverified_issuer(self, octets)[0] if len(self.rules) > 1 else None
        return self._verify_signature(octets, slot, iss, now_ns)

    @property
    def key_availability(self) -> KeyAvailability | None:
        """Return what stands around the keys."""
        return self._key_availability

    def _split(self, header_text: bytes) -> Header:
        """Decode and read the header that the core split off (split)."""
        if len(header_text) > limits.encoded_bytes(self.max_header_bytes):
            raise error_for(
                "too_large", "header", f"at most {self.max_header_bytes} bytes (max_header_bytes)"
            )
        header_octets = _native.b64url_decode(header_text)
        if header_octets is None:
            raise error_for("malformed_base64url", "header")
        header = parse_header(
            header_octets, understood_crit=self.understood_crit, max_bytes=self.max_header_bytes
        )
        if header.b64 is False:
            raise error_for("b64_unsupported", "header.b64")
        return header

    def _find_key(self, header: Header, octets: bytes) -> tuple[int, str | None]:
        """Return the slot that answers for a header, and the unverified ``iss`` that chose it (find_key)."""
        issuer: int | None = None
        try:
            if self.rules and self.rules[0].policy is None:
                slot, iss = self.slot_for(header), None
            else:
                issuer, iss = issuer_for(self, header, octets)
                slot = choose(self.table, self.rules, issuer, header)
        except RapidJWSError as refused:
            if issuer is not None:
                refused.claimed_issuer = self.rules[issuer].iss or ""
            if isinstance(refused, UnknownKey):
                raise self._explain(refused, header, octets) from None
            raise
        key = self.table.slots[slot]
        if self._key_availability is not None and key.jwk.kid is None and header.kid is not None:
            self._key_availability.check_kid(self.rules[self.table.issuer_of[slot]].iss, header.kid)
        return slot, iss

    def _verify_signature(
        self, octets: bytes, slot: int, iss: str | None, now_ns: int
    ) -> VerifiedJWS | RapidJWSError:
        """Verify by the slot that the header chose, claims included where the core can (verify_signature)."""
        key = self.table.slots[slot]
        if key.native is None:
            return self._verify_by_pyca(octets, key, slot, now_ns)
        remember = _native.REMEMBER_HEADER if iss is None else _native.REMEMBER_HEADER_AND_ISSUER
        iss_octets, moment = b"" if iss is None else iss.encode(), divmod(now_ns, SECOND_NS)
        verdict = _native.token_verify_slot(
            self.handle, octets, len(octets), slot, *moment, iss_octets, len(iss_octets), remember
        )
        if verdict & 0xFF == _native.HEADER_UNKNOWN:  # unreachable: the slot was given; never ask again
            raise error_for("internal_error", "snapshot.introduce")
        return self.complete_verdict(octets, verdict, now_ns)

    def _verify_by_pyca(self, octets: bytes, key: PreparedKey, slot: int, now_ns: int) -> VerifiedJWS:
        """Verify a signature whose algorithm the linked libcrypto lacks."""
        signing_input, _, signature_text = octets.rpartition(b".")
        signature = _native.b64url_decode(signature_text)
        if signature is None:
            raise error_for("malformed_base64url", "signature")
        if not key.verify(signing_input, signature):
            raise error_for("signature_invalid", "signature")
        return self._check_claims(octets, slot, now_ns)

    def _check_claims(self, octets: bytes, slot: int, now_ns: int) -> VerifiedJWS:
        """Check the claims of a token whose signature is good, in full, and accept it (check_claims)."""
        verified = self.accept(octets, slot)
        policy = self.rules[self.table.issuer_of[slot]].policy
        if policy is not None:
            with proven_issuer(verified.issuer):
                verified._claims = check_claims_at(
                    verified.payload, policy, now_ns, max_bytes=self.max_token_bytes
                )
        return verified

    def _refusal(self, octets: bytes, verdict: int, now_ns: int) -> RapidJWSError:
        """Find the words for a refusal by the core; whatever they are, it stays a refusal."""
        name = _native.STATUS_NAMES.get(verdict & 0xFF, "undecided")
        if name == "malformed_token":
            return malformed(octets)
        if name == "too_large":
            return self.too_large(len(octets))
        if name == "signature_invalid":
            self._note_bad_signature(verdict >> 9)
            return not_by_key(*self.slots[verdict >> 9])
        code = name if name in REFUSING_STATUSES else "internal_error"
        if code == "internal_error":
            return error_for(code, "core", actual=name)
        slot = verdict >> 9
        policy = self.rules[self.table.issuer_of[slot]].policy
        if policy is not None and code in RULED:  # the core scanned text and types
            payload = _native.b64url_decode(octets.split(b".", 2)[1])
            ruled = None if payload is None else refusal_by(code, payload, policy, now_ns)
            if ruled is not None:
                return with_issuer(ruled, self.slots[slot][1])
        try:
            self._check_claims(octets, slot, now_ns)
        except RapidJWSError as detailed:
            return detailed.with_traceback(None)
        return with_issuer(error_for(code, "claims"), self.slots[slot][1])

    def _note_bad_signature(self, slot: int) -> None:
        """Take note of a bad signature where the issuer's keys may be fetched once more."""
        around = self._key_availability
        if around is not None and around.unknown_kid is not None:
            (uses,) = self.native.use_counts(array("I", [slot]))
            key, iss = self.slots[slot]
            around.signature_failed(slot, uses, iss, key.jwk.kid)

    def _explain(self, refused: UnknownKey, header: Header, octets: bytes) -> RapidJWSError:
        """Return why there is no key for a header; where it is unknown only, the key source is notified."""
        if self._key_availability is None or refused.code not in ("unknown_kid", "no_suitable_key"):
            return refused
        number: int | None = 0
        if len(self.rules) != 1:
            claimed = refused.claimed_issuer
            number = unverified_issuer(self, octets)[1] if claimed is None else self.issuers.get(claimed)
        name = None if number is None else self.rules[number].iss
        if number is None or name is None:
            refused.claimed_issuer = ""  # nobody's
            return refused
        explained = self._key_availability.explain(refused, header, number, name)
        explained.claimed_issuer = name
        return explained

    def unverified_issuer_and_kid(self, octets: bytes) -> tuple[str | None, str | None]:
        """Return the ``iss`` and ``kid`` that an unverified token states; they only choose whom to ask."""
        octets = octets.replace(b"=", b"")  # padded or not: they name the same
        try:
            header = self._split(octets[: octets.index(b".")])
            if len(self.rules) == 1:
                return self.rules[0].iss, header.kid
            iss, number = unverified_issuer(self, octets)
        except (RapidJWSError, ValueError):
            return None, None
        return iss if number is None else self.rules[number].iss, header.kid
