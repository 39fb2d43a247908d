"""Parquet files of segments that unpack to more than a segment has: refused before they are unpacked."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rapidjws import RapidJWSError
from rapidjws.audit import segment_files
from rapidjws.audit.records import RecordTemplate
from rapidjws.audit.segment_files import SealedSegment, read_segment_file

ORIGIN = "gate.example/audit"
NAME = "segments/x.parquet"
COUNT = 300


def segment() -> SealedSegment:
    """Return a segment."""
    row = RecordTemplate({"code": "ok", "kind": "decision", "issuer": "i", "partner": None})
    entries = [row.record(1_790_000_000_000_000 + at, token=None) for at in range(COUNT)]
    return SealedSegment(first=0, entries=entries, contents=[b""] * COUNT)


def written(given: dict[str, Any], **options: Any) -> bytes:
    """Return a segment's file with other columns' values, written in another way."""
    octets = segment_files.segment_octets(segment(), ORIGIN)
    table = pq.read_table(pa.BufferReader(octets))
    for name, values in given.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    sink = pa.BufferOutputStream()
    dictionary = {"use_dictionary": ["issuer", "partner", "code"]}
    pq.write_table(table, sink, compression="zstd", **(dictionary | options))
    return bytes(sink.getvalue())


def refused(octets: bytes, count: int = COUNT) -> RapidJWSError:
    """Return what the reader says, which takes little memory to say it."""
    tracemalloc.start()
    pool = pa.default_memory_pool()
    before = pool.max_memory()
    try:
        with pytest.raises(RapidJWSError) as found:
            read_segment_file(octets, NAME, ORIGIN, 0, count)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
        assert pool.max_memory() - before < 48 << 20
    finally:
        tracemalloc.stop()
    assert found.value.code == "audit_trail_invalid"
    assert str(found.value.place).startswith(f"{NAME}:")
    return found.value


def test_L_a_segment_is_read_as_it_was_written() -> None:
    """What is written is read again, and its statistics are compared."""
    octets = segment_files.segment_octets(segment(), ORIGIN)
    assert read_segment_file(octets, NAME, ORIGIN, 0, COUNT) == segment()
    assert "partner" in str(refused(written({"partner": ["other"] + [None] * (COUNT - 1)})).expected)


def test_L_a_column_that_unpacks_to_too_much_is_refused_by_the_footer() -> None:
    """An entry of many megabytes, small while it is packed, is refused with its column and offset."""
    bomb = [bytes(100 << 20)] + [b"{}"] * (COUNT - 1)
    found = refused(written({"entry": bomb}, use_dictionary=False))
    assert "octets of entry unpacked" in str(found.expected)
    assert int(str(found.place).rpartition(":")[2]) > 0


def test_L_one_value_that_stands_for_many_is_refused() -> None:
    """A dictionary for entries or contents is refused; one large text of an issuer is not multiplied."""
    large = [bytes(60_000)] * COUNT
    assert "without a dictionary" in str(
        refused(written({"entry": large}, use_dictionary=["entry"])).expected
    )
    text = ["x" * 200_000] * COUNT
    assert "issuer" in str(refused(written({"issuer": text}, use_dictionary=["issuer"])).expected)


def test_L_another_number_of_rows_or_row_groups_is_refused() -> None:
    """Rows beyond the segment's, row groups that are too large, and records beyond a segment are refused."""
    assert "records" in str(refused(written({}), COUNT - 1).expected)
    assert "records" in str(refused(written({}), COUNT + 1).expected)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segment_files, "ROW_GROUP", 100)
        assert "rows in row group 0" in str(refused(written({})).expected)
        patched.setattr(segment_files, "SEGMENT_RECORDS", 100)
        assert "100 records" in str(refused(written({})).expected)
