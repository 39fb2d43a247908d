"""The slots of all issuers end to end, and which one answers for a header (RFC 7515 s.6)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from rapidjws import _native
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rapidjws.jose.jws import Header
    from rapidjws.verify.key_table import IssuerKeys, PreparedKey


class KeyTable:
    """Lay the slots of all issuers end to end and find the one for a header.

    Args:
        issuers: The prepared keys of each issuer, in the engine's order.

    Attributes:
        slots: Every prepared key; the position is the slot number of the core.
        issuer_of: Slot number -> issuer number.
        any_kid: The issuers whose keys answer for any kid.
    """

    __slots__ = ("_by_kid", "_numbers", "_packed", "any_kid", "issuer_of", "issuers", "offsets", "slots")

    def __init__(self, issuers: Sequence[IssuerKeys]) -> None:
        self.issuers = tuple(issuers)
        slots: list[PreparedKey] = []
        offsets: list[int] = []
        issuer_of: list[int] = []
        self._by_kid: dict[str | None, tuple[int, ...]] = {}
        for number, keys in enumerate(issuers):
            offsets.append(len(slots))
            slots += keys.prepared
            issuer_of += [number] * len(keys.prepared)
            if not self._by_kid:
                self._by_kid = dict.fromkeys(keys.kids, (number,))
                continue
            for kid in keys.kids:
                known = self._by_kid.get(kid)
                self._by_kid[kid] = (number,) if known is None else (*known, number)
        self._numbers: dict[PreparedKey, int] | None = None
        self._packed: bytes | None = None
        self.slots = tuple(slots)
        self.offsets = tuple(offsets)
        self.issuer_of = tuple(issuer_of)
        self.any_kid = tuple(number for number, keys in enumerate(issuers) if keys.answers_any_kid)

    @property
    def numbers(self) -> Mapping[PreparedKey, int]:
        """Return the slot number of each key; made when first asked for."""
        if self._numbers is None:
            self._numbers = {key: number for number, key in enumerate(self.slots)}
        return self._numbers

    def pack(self, tables: Mapping[PreparedKey, _native.NativePrecomputed]) -> bytes:
        """Return the slots as the core reads them, with the tables of much-used keys."""
        if self._packed is None:
            self._packed = b"".join(keys.pack(number) for number, keys in enumerate(self.issuers))
        if not tables:
            return self._packed
        layout, numbers = struct.Struct(_native.SLOT_FORMAT), self.numbers
        octets = bytearray(self._packed)
        for key, table in tables.items():
            number = numbers.get(key)
            if number is not None and key.native is not None:
                slot = (key.native.address, table.address, key.number, self.issuer_of[number])
                layout.pack_into(octets, number * layout.size, *slot)
        return bytes(octets)

    def issuers_with(self, kid: str | None) -> tuple[int, ...]:
        """Return the numbers of the issuers that have a key with this kid (None: a key without one).

        Where none has, those whose keys answer for any kid.
        """
        return self._by_kid.get(kid, () if kid is None else self.any_kid)

    def choose(self, header: Header, issuer: int, *, require_kid: bool) -> int:
        """Choose the one slot of an issuer that answers for a header.

        Args:
            header: A parsed JOSE Header.
            issuer: The issuer's number.
            require_kid: Whether a header without kid is refused.

        Returns:
            The slot number.

        Raises:
            TokenRefused: ``algorithm_not_allowed``, ``missing_kid``, ``unknown_kid``, ``key_alg_mismatch``,
                ``no_suitable_key``, ``ambiguous_key``.
        """
        keys = self.issuers[issuer]
        if header.alg not in keys.algorithms:
            raise error_for(
                "algorithm_not_allowed", "header.alg", expected=keys.algorithms, actual=header.alg
            )
        if header.kid is None:
            if require_kid:
                raise error_for("missing_kid", "header.kid")
            fitting = keys.without_kid(header)
        else:
            fitting = keys.named(header.kid, header.alg)
        if len(fitting) != 1:  # trying one after the other would let a token choose its key
            raise error_for("ambiguous_key", "header.kid", expected="one key", actual=len(fitting))
        return self.offsets[issuer] + fitting[0]
