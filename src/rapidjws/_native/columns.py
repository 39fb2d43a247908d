"""A column of tokens as Apache Arrow lays it out, and the claims that are copied out of it."""

from __future__ import annotations

from rapidjws._native.core import ffi, lib

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from rapidjws._native.snapshots import NativeTables

CLAIM_COPIED: Final[int] = lib.RJ_CLAIM_COPIED
CLAIM_LEFT: Final[int] = lib.RJ_CLAIM_LEFT
CLAIM_FORMS: Final[dict[str, int]] = {
    "string": lib.RJ_CLAIM_STRING,
    "integer": lib.RJ_CLAIM_INTEGER,
    "number": lib.RJ_CLAIM_NUMBER,
    "boolean": lib.RJ_CLAIM_BOOLEAN,
    "json": lib.RJ_CLAIM_JSON,
}


class TokenColumn:
    """Tokens that lie one behind the other.

    Args:
        data: A buffer with their octets, or None where there are none.
        offsets: A buffer of signed integers in native byte order, one more than tokens from ``first``.
        offset_bytes: 4 or 8: of each offset.
        first: Which offset is the first token's.
        rows: How many tokens.
        times_ns: A buffer of int64, the moment of each token's check from 0 on; None for one moment for all.
    """

    __slots__ = ("data", "first", "offset_bytes", "offsets", "rows", "times_ns")

    def __init__(
        self, data: Any, offsets: Any, offset_bytes: int, first: int, rows: int, times_ns: Any = None
    ) -> None:
        self.data, self.offsets, self.offset_bytes = data, offsets, offset_bytes
        self.first, self.rows, self.times_ns = first, rows, times_ns


class ClaimMemory:
    """Where the values of one claim go; all buffers can be written to.

    Args:
        name: The claim's name, in UTF-8.
        form: A value of ``CLAIM_FORMS``.
        states: One octet a token: ``CLAIM_COPIED``, ``CLAIM_LEFT`` to the caller, or 0 for none.
        values: For ``integer`` an int64 a token; else int32 offsets, one more than there are tokens.
        text: Where the text goes; None for ``integer``.
    """

    __slots__ = ("form", "name", "states", "text", "values")

    def __init__(self, name: bytes, form: int, states: Any, values: Any, text: Any = None) -> None:
        self.name, self.form, self.states = name, form, states
        self.values, self.text = values, text


def verify_column(
    tables: NativeTables, column: TokenColumn, verdicts: Any, claims: Sequence[ClaimMemory], now_ns: int
) -> None:
    """Verify a column of tokens outside the GIL.

    Args:
        tables: Keys, rules and limits.
        column: The tokens; nobody may change their memory during the call.
        verdicts: A buffer of a uint64 a token, for the verdicts.
        claims: Where claims go.
        now_ns: The moment, in nanoseconds since the epoch, where the column has no times.
    """
    data = b"" if column.data is None else column.data
    octets = ffi.from_buffer("uint8_t[]", data)
    if column.first < 0 or column.offset_bytes not in (4, 8):
        raise ValueError("not a column of tokens")
    offsets = ffi.from_buffer("uint8_t[]", column.offsets)
    times = None if column.times_ns is None else ffi.from_buffer("int64_t[]", column.times_ns)
    found = ffi.from_buffer("uint64_t[]", verdicts, require_writable=True)
    if (
        len(offsets) < (column.first + column.rows + 1) * column.offset_bytes
        or (times is not None and len(times) < column.rows)
        or len(found) < column.rows
    ):
        raise ValueError("a buffer of a column is too short")
    native = ffi.new("rj_column *")
    native.data, native.data_bytes = octets, len(octets)
    native.offsets = ffi.cast("const void *", offsets + column.first * column.offset_bytes)
    native.offset_bytes, native.len = column.offset_bytes, column.rows
    if times is not None:
        native.times_ns = times
    kept: list[Any] = []
    wanted = ffi.new("rj_column_claim[]", max(1, len(claims)))
    for cell, claim in zip(wanted, claims, strict=False):
        kept += _fill(cell, claim, column.rows)
    second, rest = divmod(now_ns, 1_000_000_000)
    lib.rj_column_verify(tables.handle, found, wanted, len(claims), native, second, rest)
    del kept


def _fill(cell: Any, claim: ClaimMemory, count: int) -> list[Any]:
    """Fill one claim's structure; returns what must live as long as it is used."""
    name = ffi.from_buffer("uint8_t[]", claim.name)
    states = ffi.from_buffer("uint8_t[]", claim.states, require_writable=True)
    is_integer = claim.form == lib.RJ_CLAIM_INTEGER
    kind = "int64_t[]" if is_integer else "int32_t[]"
    values = ffi.from_buffer(kind, claim.values, require_writable=True)
    if len(states) < count or len(values) < count + (not is_integer):
        raise ValueError("a buffer of a claim is too short")
    cell.name.ptr, cell.name.len = name, len(name)
    cell.form, cell.states = claim.form, states
    if is_integer:
        cell.integers = values
        return [name, states, values]
    text = ffi.from_buffer("uint8_t[]", claim.text, require_writable=True)
    if len(text) >= 2**31:
        raise ValueError("the text of a claim is too long")
    cell.offsets, cell.text, cell.text_bytes = values, text, len(text)
    return [name, states, values, text]
