"""One moment of an engine: keys, rules and limits as they stood, and the way of a token through them.

A call takes one snapshot and keeps it to its end. The core decides almost every token; this file settles the
rest: a header seen for the first time, a claim that needs the full checker, an algorithm that libcrypto
lacks, and the words for a refusal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.errors import RapidJWSError, UnknownKey, error_for
from rapidjws.jose import limits
from rapidjws.jose.claims import RULED, check_claims_at, refusal_by
from rapidjws.jose.json_text import json_octets, loads_scanned
from rapidjws.jose.jws import Header, parse_header
from rapidjws.jose.numeric_date import SECOND_NS
from rapidjws.verify.key_selection import choose, choose_any, claimed_issuer, issuer_for, unverified_iss
from rapidjws.verify.refusals import (
    KEYS_ASKED,
    REFUSING_STATUSES,
    malformed,
    not_by_key,
    proven_issuer,
    with_issuer,
)
from rapidjws.verify.result import VerifiedCompact, VerifiedJWS
from rapidjws.verify.rules import KnownHeader, Rules, native_policies, numbers_of, payload_params

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rapidjws.verify.key_availability import KeyAvailability
    from rapidjws.verify.key_table import PreparedKey
    from rapidjws.verify.precomputed import PrecomputedKeys
    from rapidjws.verify.protocols import PostCheck
    from rapidjws.verify.slot_table import KeyTable
    from rapidjws.verify.verdict_counters import VerdictCounters

Token = str | bytes | bytearray | memoryview

_MIN_HEADERS: Final = 256
_OPEN: Final = (_native.HEADER_UNKNOWN, _native.MALFORMED_TOKEN)
_MAX_KNOWN: Final = 1024
"""Most headers of JSON serializations remembered; each stands for a good signature."""
_TABLE_DUE: Final = 0x100


class Snapshot(_native.NativeSnapshot):
    """A key table with its rules, ready for the core.

    Args:
        table: The prepared keys.
        rules: One an issuer, in the table's order.
        precomputed: The tables of much-used keys.
        max_token_bytes: Largest token.
        max_header_bytes: Largest decoded protected header.
        table_due: Called with a key that is due for a table; returns at once.
        verify_other_serialization: Verifies what is no plain compact token; None where it is none either.
        before: A snapshot of the same table and rules, to go on with: its generation, known headers and use
            counts; None begins a new generation.
        key_availability: Issuers without keys, revoked keys, keys awaited; None where none of these can be.
        post_checks: Checks verified tokens for revocation and replay; None where there is nothing to check.
        counters: Where accepted tokens are counted, or None.
    """

    __slots__ = (
        "_key_availability",
        "_table_due",
        "_verify_other_serialization",
        "counter_rows",
        "generation",
        "handle",
        "issuers",
        "known",
        "max_header_bytes",
        "max_token_bytes",
        "native",
        "newer",
        "post_checks",
        "rules",
        "slots",
        "table",
        "tables",
        "understood_crit",
    )

    def __init__(
        self,
        table: KeyTable,
        rules: Sequence[Rules],
        precomputed: PrecomputedKeys,
        *,
        max_token_bytes: int,
        max_header_bytes: int = limits.HEADER_MAX_BYTES,
        table_due: Callable[[PreparedKey], None] | None = None,
        verify_other_serialization: Callable[[Snapshot, bytes], VerifiedJWS | None] | None = None,
        before: Snapshot | None = None,
        counters: VerdictCounters | None = None,
        key_availability: KeyAvailability | None = None,
        post_checks: PostCheck | None = None,
    ) -> None:
        self.generation: object = object() if before is None else before.generation
        self.newer: Snapshot | None = None  # of the same generation, with other tables
        self._key_availability = key_availability
        self.post_checks = post_checks
        self.table = table
        self.rules = tuple(rules)
        self._table_due = table_due
        self._verify_other_serialization = verify_other_serialization
        self.tables = tables = precomputed.tables
        if before is None:
            names = [rule.iss for rule in self.rules]
            self.slots: tuple[tuple[PreparedKey, str | None], ...] = tuple(
                zip(table.slots, map(names.__getitem__, table.issuer_of), strict=True)
            )
            self.issuers = numbers_of(self.rules)
            self.understood_crit = frozenset[str]().union(*(rule.crit for rule in self.rules))
            self.known: dict[str, KnownHeader] = {}
            self.counter_rows = None if counters is None else counters.rows(table, self.rules)
        else:
            self.slots, self.issuers, self.known = before.slots, before.issuers, before.known
            self.understood_crit, self.counter_rows = before.understood_crit, before.counter_rows
        self.max_token_bytes = max_token_bytes
        self.max_header_bytes = max_header_bytes
        self.native: _native.NativeTables = _native.NativeTables(
            table.pack(tables),
            (table, tables),
            _native.NativeHeaders(max(_MIN_HEADERS, 4 * len(table.slots)))
            if before is None
            else before.native.headers,
            native_policies(self.rules),
            max_token_bytes=max_token_bytes,
            max_json_depth=limits.JSON_MAX_DEPTH,
            max_json_members=limits.CLAIMS_MAX_MEMBERS,
            precompute_threshold=precomputed.threshold if table_due is not None else 0,
            accelerated=precomputed.is_on,
            before=None if before is None else before.native,
        )
        self.handle: Any = self.native.handle
        result = (VerifiedCompact, self.slots, loads_scanned, limits.CLOCK_FLOOR_S, post_checks is None)
        self.attach(self.native.address, *result, self.native, self.counter_rows)

    def latest(self) -> Snapshot:
        """Return the snapshot of the same generation (keys and rules) with the tables as they are now."""
        snapshot = self
        while snapshot.newer is not None:
            snapshot = snapshot.newer
        return snapshot

    def octets(self, token: Token) -> bytes:
        """Return a token as bytes that nobody can change during the call.

        Raises:
            MalformedToken: ``too_large``; ``malformed_token``: a character outside of ASCII in a compact
                token, or neither text nor a buffer; ``malformed_json``: a lone surrogate.
        """
        if isinstance(token, str):
            if len(token) > self.max_token_bytes:
                raise self.too_large(len(token))
            try:
                return token.encode("ascii")
            except UnicodeEncodeError as fault:
                if self._verify_other_serialization is not None and token.lstrip()[:1] == "{":
                    return json_octets(token)
                place = f"token[{fault.start}]"
                raise error_for("malformed_token", place, expected="ASCII characters") from None
        if isinstance(token, bytes):
            return bytes(token)
        try:
            view = memoryview(token)
        except TypeError:
            found = type(token).__name__
            raise error_for("malformed_token", "token", expected="text or bytes", actual=found) from None
        if view.nbytes > self.max_token_bytes:
            raise self.too_large(view.nbytes)
        return view.tobytes()

    def too_large(self, size: int) -> RapidJWSError:
        """Return the error for a token past the limit."""
        return error_for("too_large", "token", expected=f"at most {self.max_token_bytes} bytes", actual=size)

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

    def slot_of(self, verified: VerifiedJWS) -> int:
        """Return the slot that a token was accepted by."""
        return self.table.numbers[verified._key]

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
                other = self._verify_other_serialization(self, octets)
                if other is not None:
                    return other
            if status == _native.HEADER_UNKNOWN:
                return self._verify_new_header(octets, verdict >> 9, now_ns)
            if status == _native.CLAIMS_UNDECIDED:
                return self._accept_with_claims(octets, verdict >> 9, now_ns)
            return self._refusal(octets, verdict, now_ns)
        except RapidJWSError as refused:
            if refused.issuer is None and refused.reason in KEYS_ASKED:
                refused.claimed_issuer = claimed_issuer(self, octets)
            return refused.with_traceback(None)

    def note_table_due(self, verdict: int) -> None:
        """Pass on that a key is due for a table, where this verdict says so."""
        if verdict & _TABLE_DUE and self._table_due is not None:
            self._table_due(self.table.slots[verdict >> 9])

    def remember(self, protected: str, slot: int, header: Header) -> None:
        """Remember a protected header, alone in its JOSE Header, whose signature was good by this slot."""
        if len(self.known) >= _MAX_KNOWN:
            self.known.clear()
        self.known[protected] = KnownHeader(slot, header, header.b64, payload_params(header.raw))

    def accept(self, token: bytes, slot: int) -> VerifiedJWS:
        """Make the result for a token that the core accepted by this slot."""
        verified = VerifiedCompact()
        verified._token = token
        verified._key, verified.issuer = self.slots[slot]
        return verified

    def _accept_with_claims(self, octets: bytes, slot: int, now_ns: int) -> VerifiedJWS:
        """Check the claims of a token whose signature is good, in full, and accept it."""
        verified = self.accept(octets, slot)
        policy = self.rules[self.table.issuer_of[slot]].policy
        if policy is not None:
            with proven_issuer(verified.issuer):
                verified._claims = check_claims_at(
                    verified.payload, policy, now_ns, max_bytes=self.max_token_bytes
                )
        return verified

    def _verify_new_header(self, octets: bytes, header_len: int, now_ns: int) -> VerifiedJWS | RapidJWSError:
        """Verify a token with header bytes the core has not met: parse, choose the slot, verify, remember."""
        header = self._parse_header(octets[:header_len])  # split by the core, decoded here and nowhere else
        try:
            if self.rules[0].policy is None:
                slot, iss = self.slot_for(header), None
            else:
                issuer, iss = issuer_for(self, header, octets)
                slot = choose(self.table, self.rules, issuer, header)
        except UnknownKey as refused:
            raise self._explain(refused, header, octets) from None
        key = self.table.slots[slot]
        if self._key_availability is not None and key.jwk.kid is None and header.kid is not None:
            self._key_availability.check_kid(self.rules[self.table.issuer_of[slot]].iss, header.kid)
        verified = self._verify_by_slot(octets, key, slot, iss, now_ns)
        if isinstance(verified, VerifiedJWS):
            verified._header = header.raw
        if (
            self._key_availability is not None
            and self._key_availability.awaited
            and isinstance(verified, VerifiedJWS)
        ):
            self._key_availability.first_accepted(verified.issuer, key.jwk.kid)
        return verified

    def _explain(self, refused: UnknownKey, header: Header, octets: bytes) -> RapidJWSError:
        """Return why there is no key for a header; where it is unknown only, the key source is notified."""
        if self._key_availability is None or refused.code not in ("unknown_kid", "no_suitable_key"):
            return refused
        iss = self.rules[0].iss if len(self.rules) == 1 else unverified_iss(octets, self.max_token_bytes)
        number = self.issuers.get(iss)
        if iss is None or number is None:
            return refused
        return self._key_availability.explain(refused, header, number, iss)

    @property
    def unavailable(self) -> Mapping[int, str]:
        """Return the numbers of the issuers that have no keys to be used, with the code."""
        return {} if self._key_availability is None else self._key_availability.unavailable

    def unverified_issuer_and_kid(self, octets: bytes) -> tuple[str | None, str | None]:
        """Return the ``iss`` and ``kid`` that an unverified token states; they only choose whom to ask."""
        try:
            header = self._parse_header(octets[: octets.index(b".")])
            iss = self.rules[0].iss if len(self.rules) == 1 else unverified_iss(octets, self.max_token_bytes)
        except (RapidJWSError, ValueError):
            return None, None
        return iss, header.kid

    def _verify_by_slot(
        self, octets: bytes, key: PreparedKey, slot: int, iss: str | None, now_ns: int
    ) -> VerifiedJWS | RapidJWSError:
        """Verify by the slot that a parsed header chose; a good signature makes the header known."""
        if key.native is None:
            return self._verify_foreign(octets, key, slot, now_ns)
        remember = _native.REMEMBER_HEADER if iss is None else _native.REMEMBER_HEADER_AND_ISSUER
        iss_octets, moment = b"" if iss is None else iss.encode(), divmod(now_ns, SECOND_NS)
        verdict = _native.token_verify_slot(
            self.handle, octets, len(octets), slot, *moment, iss_octets, len(iss_octets), remember
        )
        if verdict & 0xFF == _native.HEADER_UNKNOWN:  # unreachable: the slot was given; never ask again
            raise error_for("internal_error", "snapshot.introduce")
        return self.complete_verdict(octets, verdict, now_ns)

    def _parse_header(self, header_text: bytes) -> Header:
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

    @property
    def routes_by_iss(self) -> bool:
        """Return whether a kid that only one issuer has is not enough to know whose token it is."""
        return bool(self.table.any_kid) or (
            self._key_availability is not None and self._key_availability.routes_by_iss
        )

    def slot_for(self, header: Header) -> int:
        """Return the one slot that answers for a header where payloads are opaque, see ``choose_any``."""
        return choose_any(self.table, self.rules, self.issuers, header)

    def _verify_foreign(self, octets: bytes, key: PreparedKey, slot: int, now_ns: int) -> VerifiedJWS:
        signing_input, _, signature_text = octets.rpartition(b".")
        signature = _native.b64url_decode(signature_text)
        if signature is None:
            raise error_for("malformed_base64url", "signature")
        if not key.verify(signing_input, signature):
            raise error_for("signature_invalid", "signature")
        return self._accept_with_claims(octets, slot, now_ns)

    def _refusal(self, octets: bytes, verdict: int, now_ns: int) -> RapidJWSError:
        """Find the words for a refusal by the core; whatever they are, it stays a refusal."""
        name = _native.STATUS_NAMES.get(verdict & 0xFF, "undecided")
        if name == "malformed_token":
            return malformed(octets)
        if name == "too_large":
            return self.too_large(len(octets))
        if name == "signature_invalid":
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
            self._accept_with_claims(octets, slot, now_ns)
        except RapidJWSError as detailed:
            return detailed.with_traceback(None)
        return with_issuer(error_for(code, "claims"), self.slots[slot][1])
