"""Claims as typed columns: copied by the core as they lie, or read in Python where they need care."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.bulk.arrow import pa, pc
from rapidjws.errors import error_for
from rapidjws.jose.json_text import member_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rapidjws.verify.result import VerifiedJWS

TEXT_MAX_BYTES: Final = 8 << 20
"""Most octets of one claim that the core copies for one chunk; what is beyond is read in Python."""

_MICRO: Final = 1_000_000
_DATE_MIN_S: Final = -62_135_596_800
_DATE_MAX_S: Final = 253_402_300_799
_INT64: Final = range(-(2**63), 2**63)

_FORMS: Final = {
    "string": "string",
    "int64": "integer",
    "float64": "number",
    "bool": "boolean",
    "timestamp": "integer",
    "json": "json",
}
KINDS: Final = tuple(_FORMS)
"""What a claim's column can hold; ``json`` is the JSON text of any value, as it was signed."""


class ClaimColumn:
    """The column of one claim.

    Args:
        name: The claim.
        kind: One of ``KINDS``.
    """

    __slots__ = ("form", "kind", "name", "octets", "type")

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self.octets = name.encode()
        self.form = _native.CLAIM_FORMS[_FORMS[kind]]
        types = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(),
                 "timestamp": pa.timestamp("us", tz="UTC")}  # fmt: skip
        self.type: Any = types.get(kind, pa.string())

    def memory(self, count: int, token_bytes: int) -> _native.ClaimMemory:
        """Return memory for the values of so many tokens of so many octets together."""
        states = pa.allocate_buffer(max(1, count))
        if _FORMS[self.kind] == "integer":
            values = pa.allocate_buffer(8 * max(1, count))
            return _native.ClaimMemory(self.octets, self.form, states, values)
        offsets = pa.allocate_buffer(4 * (count + 1))
        text = pa.allocate_buffer(min(TEXT_MAX_BYTES, token_bytes * 3 // 4 + 8))
        return _native.ClaimMemory(self.octets, self.form, states, offsets, text)

    def values(self, memory: _native.ClaimMemory, count: int) -> Any:
        """Return what the core copied, as an array of this column's type."""
        states = pa.Array.from_buffers(pa.uint8(), count, [None, memory.states])
        copied = pc.equal(states, _native.CLAIM_COPIED).buffers()[1]
        if memory.text is None:
            numbers = pa.Array.from_buffers(pa.int64(), count, [copied, memory.values])
            if self.kind != "timestamp":
                return numbers
            dated = pc.and_(pc.greater_equal(numbers, _DATE_MIN_S), pc.less_equal(numbers, _DATE_MAX_S))
            micros = pc.multiply(pc.if_else(dated, numbers, None), _MICRO)
            return micros.cast(self.type)
        texts = pa.Array.from_buffers(pa.string(), count, [copied, memory.values, memory.text])
        return texts if self.kind in ("string", "json") else texts.cast(self.type)

    def value_of(self, verified: VerifiedJWS) -> Any:
        """Return a verified token's claim as this column holds it; None where it is absent or of another
        type."""
        value = verified.claims.get(self.name)
        if self.kind == "json":  # as it was signed, which is what the core copies
            return None if value is None else member_text(verified.payload, self.name)
        if self.kind == "string":
            return value if isinstance(value, str) else None
        if self.kind == "bool":
            return value if isinstance(value, bool) else None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        return self._number(value)

    def _number(self, value: int | float) -> Any:
        if self.kind == "float64":
            return float(value) if abs(value) < 1.8e308 else None
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if self.kind == "timestamp":
            return round(value * _MICRO) if _DATE_MIN_S <= value <= _DATE_MAX_S else None
        return int(value) if value == int(value) and int(value) in _INT64 else None

    def patched(self, values: Any, found: Mapping[int, Any]) -> Any:
        """Return the column with other values in some rows."""
        if not found:
            return values
        is_time = self.kind == "timestamp"
        plain = (values.cast(pa.int64()) if is_time else values).to_pylist()
        for row, value in found.items():
            plain[row] = value
        fresh = pa.array(plain, pa.int64() if is_time else self.type)
        return fresh.cast(self.type) if is_time else fresh


def checked_claims(claims: Mapping[str, str]) -> tuple[ClaimColumn, ...]:
    """Return the columns of the claims that are asked for.

    Raises:
        ConfigurationError: ``configuration_invalid``: a kind that is none of ``KINDS``.
    """
    for name, kind in claims.items():
        if kind not in KINDS:
            raise error_for(
                "configuration_invalid", f"claims.{name}", expected=" or ".join(KINDS), actual=kind
            )
    return tuple(ClaimColumn(name, kind) for name, kind in claims.items())
