"""One moment of keys, known headers and claims policies, as the core reads it."""

from __future__ import annotations

from rapidjws._native.core import HEADER_SEED, ffi, lib, made, runtime, verify_known
from rapidjws._native.policies import NativePolicy, PolicyArray

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence
    from typing import Any, Final

SLOT_FORMAT: Final = "@PPII"
"""How one slot is packed: key address, table address, algorithm number, issuer number."""


class NativeHeaders:
    """One header table.

    Args:
        max_entries: Most headers remembered.
    """

    __slots__ = ("handle",)

    def __init__(self, max_entries: int) -> None:
        cell = ffi.new("rj_headertable **")
        status = lib.rj_headertable_new(cell, max_entries, HEADER_SEED)
        self.handle = ffi.gc(made("header table", status, cell), lib.rj_headertable_free)

    def carry(self, before: NativeHeaders, with_issuer: array[int], alone: array[int]) -> int:
        """Take over headers of another table, see ``rj_headertable_carry``.

        Args:
            before: The other table.
            with_issuer: ``array("I")``: slot of before -> slot of now, or ``SLOT_NONE``.
            alone: The same for headers that are known without an issuer.

        Returns:
            How many there are.
        """
        maps = ffi.from_buffer("uint32_t[]", with_issuer), ffi.from_buffer("uint32_t[]", alone)
        return int(lib.rj_headertable_carry(self.handle, before.handle, *maps, len(alone)))


class NativeTables:
    """One native snapshot: a key table, a header table, the claims policies.

    Args:
        slots: Slots packed one behind the other in ``SLOT_FORMAT``.
        owners: Whatever owns the addresses in ``slots``; kept alive as long as this object.
        headers: The header table; shared only between snapshots whose slots and rules are the same.
        policies: Claims policies, one an issuer; None for opaque payloads.
        max_token_bytes: Largest token.
        max_json_depth: Deepest nesting of a claims set.
        max_json_members: Most members in one object of a claims set.
        precompute_threshold: Acceptances after which a key gets a table; 0 for never.
        accelerated: Whether the accelerated paths are used.
        before: A snapshot of the same slots: use is counted together; None begins at 0.
    """

    __slots__ = ("_address", "_keys", "_owners", "_policies", "handle", "headers")

    def __init__(
        self,
        slots: bytes,
        owners: object,
        headers: NativeHeaders,
        policies: Sequence[NativePolicy] | None,
        *,
        max_token_bytes: int,
        max_json_depth: int,
        max_json_members: int,
        precompute_threshold: int,
        accelerated: bool,
        before: NativeTables | None = None,
    ) -> None:
        keys = ffi.new("rj_keytable **")
        packed = ffi.from_buffer("rj_slot[]", slots)
        status = lib.rj_keytable_new(keys, packed, len(packed))
        self._keys = ffi.gc(made("key table", status, keys), lib.rj_keytable_free)
        if before is not None:
            made("key table", lib.rj_keytable_share_use(keys[0], before._keys), keys)
        self._owners = owners
        self._policies = None if policies is None else PolicyArray(policies)
        self.headers = headers
        self.handle = ffi.new("rj_snapshot *")
        self.handle.runtime = runtime
        self.handle.keys = self._keys
        self.handle.headers = headers.handle
        if self._policies is not None:
            self.handle.policies = self._policies.array
            self.handle.policies_len = self._policies.len
        self.handle.max_token_bytes = max_token_bytes
        self.handle.max_json_depth = max_json_depth
        self.handle.max_json_members = max_json_members
        self.handle.precompute_threshold = precompute_threshold
        self.handle.acceleration = accelerated
        self._address = int(ffi.cast("uintptr_t", self.handle))

    def use_counts(self, slots: array[int]) -> list[int]:
        """Return how often slots accepted.

        Args:
            slots: ``array("I")`` of slot numbers.
        """
        counts = ffi.new("uint32_t[]", len(slots))
        lib.rj_keytable_read_use(self._keys, counts, ffi.from_buffer("uint32_t[]", slots), len(slots))
        numbers: list[int] = ffi.unpack(counts, len(slots))
        return numbers

    def halve_use_counts(self) -> None:
        """Halve every use count."""
        lib.rj_keytable_age(self._keys)

    def cost_us(self, tokens: bytes, lens: Any) -> int:
        """Return about how many microseconds a batch would take; tokens end to end, and their lengths."""
        lens_c = ffi.from_buffer("uint32_t[]", lens)
        return int(lib.rj_batch_cost_us(self.handle, tokens, lens_c, len(lens)))

    def cost_of_one_us(self, token: bytes) -> int:
        """Return about how many microseconds one token would take."""
        return int(lib.rj_batch_cost_us(self.handle, token, (len(token),), 1))

    @property
    def address(self) -> int:
        """Return where the core's snapshot lies; it lives as long as this object."""
        return self._address

    def verify_known(
        self, known: dict[str, Any], octets: bytes, max_signatures: int
    ) -> tuple[list[Any], list[int] | None, bytes] | None:
        """Verify a General JSON Serialization whose protected headers are all known and tell the same.

        Args:
            known: Protected header in base64url -> ``KnownHeader``.
            octets: The text.
            max_signatures: Most signatures.

        Returns:
            What is known of each header; None where all verified with nothing else to do, else the verdicts;
            and the payload, to be trusted where the verdicts say so. None where not everything is plain.
        """
        found: tuple[list[Any], list[int] | None, bytes] | None
        found = verify_known(self._address, known, octets, max_signatures)
        return found

    def verify_signatures(self, octets: bytes, lens: Any, slots: Any) -> list[int]:
        """Verify the signatures of one JWS, see ``rj_signatures_verify``.

        Args:
            octets: Signing input and signature text in turn, nothing between them.
            lens: ``array("I")`` of their lengths in bytes.
            slots: ``array("I")`` of the slot of each signature.

        Returns:
            One verdict a signature.
        """
        count = len(slots)
        verdicts = ffi.new("uint64_t[]", count)
        lens_c = ffi.from_buffer("uint32_t[]", lens)
        slots_c = ffi.from_buffer("uint32_t[]", slots)
        lib.rj_signatures_verify(self.handle, verdicts, octets, lens_c, slots_c, count)
        numbers: list[int] = ffi.unpack(verdicts, count)
        return numbers
