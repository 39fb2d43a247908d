"""One moment of an engine: keys, rules and limits as they stood; pipeline.py leads tokens through them.

A call takes one snapshot and keeps it to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import limits
from rapidjws.jose.json_text import json_octets, parser
from rapidjws.jose.jws import Header
from rapidjws.verify.key_selection import choose_any
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


class SnapshotState(_native.NativeSnapshot):
    """A key table with its rules, ready for the core.

    Args:
        table: The prepared keys.
        rules: One an issuer, in the table's order.
        precomputed: The tables of much-used keys.
        max_token_bytes: Largest token.
        max_header_bytes: Largest decoded protected header.
        table_due: Called with a key that is due for a table; returns at once.
        build_due_tables: Builds tables that are due, for a moment; never raises.
        verify_other_serialization: Verifies what is no plain compact token; None where it is none either.
        before: A snapshot of the same table and rules, to go on with: its generation, known headers and use
            counts; None begins a new generation.
        key_availability: Issuers without keys, revoked keys, keys awaited; None where none of these can be.
        post_checks: Checks verified tokens for revocation and replay; None where there is nothing to check.
        counters: Where accepted tokens are counted, or None.
    """

    __slots__ = (
        "_build_due_tables",
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
        "tries_keys",
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
        build_due_tables: Callable[[], None] | None = None,
        verify_other_serialization: Callable[[Any, bytes, int], VerifiedJWS | None] | None = None,
        before: SnapshotState | None = None,
        counters: VerdictCounters | None = None,
        key_availability: KeyAvailability | None = None,
        post_checks: PostCheck | None = None,
    ) -> None:
        self.generation: object = object() if before is None else before.generation
        self.newer: SnapshotState | None = None  # of the same generation, with other tables
        self._key_availability = key_availability
        self.post_checks = post_checks
        self.table = table
        self.rules = tuple(rules)
        self._table_due = table_due
        self._build_due_tables = build_due_tables
        self._verify_other_serialization = verify_other_serialization
        self.tables = tables = precomputed.tables
        if before is None:
            names = [rule.iss for rule in self.rules]
            self.slots: tuple[tuple[PreparedKey, str | None], ...] = tuple(
                zip(table.slots, map(names.__getitem__, table.issuer_of), strict=True)
            )
            self.issuers = numbers_of(self.rules)
            self.tries_keys = any(rule.try_keys for rule in self.rules)
            self.understood_crit = frozenset[str]().union(*(rule.crit for rule in self.rules))
            self.known: dict[str, KnownHeader] = {}
            self.counter_rows = None if counters is None else counters.rows(table, self.rules)
        else:
            self.slots, self.issuers, self.known = before.slots, before.issuers, before.known
            self.tries_keys = before.tries_keys
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
        result = (VerifiedCompact, self.slots, parser(), limits.CLOCK_FLOOR_S, post_checks is None)
        self.attach(self.native.address, *result, self.native, self.counter_rows)

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

    def slot_of(self, verified: VerifiedJWS) -> int:
        """Return the slot that a token was accepted by."""
        return self.table.numbers[verified._key]

    def note_table_due(self, verdict: int) -> None:
        """Pass on that a key is due for a table, where this verdict says so."""
        if verdict & _TABLE_DUE and self._table_due is not None:
            self._table_due(self.table.slots[verdict >> 9])

    def build_due_tables(self) -> None:
        """Build tables that are due on this thread, for a moment: for a batch with much to do."""
        if self._build_due_tables is not None:
            self._build_due_tables()

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

    @property
    def unavailable(self) -> Mapping[int, str]:
        """Return the numbers of the issuers that have no keys to be used, with the code."""
        return {} if self._key_availability is None else self._key_availability.unavailable

    @property
    def routes_by_iss(self) -> bool:
        """Return whether a kid that only one issuer has is not enough to know whose token it is."""
        return bool(self.table.any_kid) or (
            self._key_availability is not None and self._key_availability.routes_by_iss
        )

    def slot_for(self, header: Header) -> int:
        """Return the one slot that answers for a header where payloads are opaque, see ``choose_any``."""
        return choose_any(self.table, self.rules, self.issuers, header)
