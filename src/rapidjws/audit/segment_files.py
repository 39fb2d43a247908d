"""Records of a trail in Parquet: a file a segment, with statistics on time, issuer, partner and code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from rapidjws.audit.records import digest, parsed_record
from rapidjws.audit.tile_files import CONTENT_MAX_BYTES, ENTRY_MAX_BYTES
from rapidjws.bulk.arrow import pa, parquet_module
from rapidjws.errors import error_for

SEGMENT_RECORDS: Final = 1 << 16
"""Records of a segment: the last one of a trail may have fewer."""

ROW_GROUP: Final = 1 << 13
ORIGIN: Final = b"rapidjws.origin"
CONTENTS: Final = b"rapidjws.contents"
PARTIAL: Final = b"encrypted only"
SHOWN: Final = ("time", "issuer", "partner", "code")
_VALUE_MAX_BYTES: Final = {"index": 8, "time": 8, "entry": ENTRY_MAX_BYTES, "content": CONTENT_MAX_BYTES}
PAGES_BYTES: Final = 1 << 20
"""For what a column of a row group has beside its values."""

_STATISTICS: Final = ["index", *SHOWN]


def _schema() -> Any:
    fields = [
        ("index", pa.int64(), False),
        ("time", pa.timestamp("us", tz="UTC"), False),
        ("issuer", pa.string(), True),
        ("partner", pa.string(), True),
        ("code", pa.string(), True),
        ("entry", pa.binary(), False),
        ("content", pa.binary(), True),
    ]
    return pa.schema([pa.field(name, kind, nullable=null) for name, kind, null in fields])


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSegment:
    """Records in a row, with what is stored beside them.

    Attributes:
        first: The index of the first.
        entries: The records.
        contents: What is stored beside each; nothing where nothing is.
        is_partial: Whether contents in clear were left out.
    """

    first: int
    entries: list[bytes] = field(repr=False)
    contents: list[bytes] = field(repr=False)
    is_partial: bool = False


def segment_name(first: int, end: int, octets: bytes) -> str:
    """Return the name of a segment's file, with its digest, so that no bit of it changes unseen."""
    return f"segments/{first:016d}-{end:016d}.{digest(octets)}.parquet"


def _shown(segment: SealedSegment) -> dict[str, Any]:
    """Return the columns that repeat what records say."""
    records = [parsed_record(one, f"record {segment.first + at}") for at, one in enumerate(segment.entries)]
    return {
        "index": range(segment.first, segment.first + len(records)),
        "time": [one["time_us"] for one in records],
        **{name: [one.get(name) for one in records] for name in ("issuer", "partner", "code")},
    }


def segment_octets(segment: SealedSegment, origin: str) -> bytes:
    """Return a segment as a Parquet file, the same octets each time with the same pyarrow."""
    columns = {
        **_shown(segment),
        "entry": segment.entries,
        "content": [one or None for one in segment.contents],
    }
    schema = _schema()
    about = {ORIGIN: origin.encode(), CONTENTS: PARTIAL if segment.is_partial else b"all"}
    arrays = [pa.array(columns[one.name], one.type) for one in schema]
    table = pa.table(arrays, schema=schema.with_metadata(about))
    sink = pa.BufferOutputStream()
    parquet_module().write_table(
        table, sink, row_group_size=ROW_GROUP, compression="zstd", write_statistics=_STATISTICS,
        use_dictionary=["issuer", "partner", "code"], write_page_checksum=True,
    )  # fmt: skip
    return bytes(sink.getvalue())


def read_segment_file(octets: bytes, name: str, origin: str, first: int, end: int) -> SealedSegment:
    """Return the segment of a Parquet file; its records are not compared with any root here.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: no such file, cut off, other columns, another trail.
    """
    named = name.rpartition("/")[2].split(".")
    if len(named) == 3 and named[1] != digest(octets):
        place = f"{name}:0" if octets[:4] != b"PAR1" else f"{name}:{len(octets)}"
        raise error_for("audit_trail_invalid", place, "the digest of its name", digest(octets))
    if octets[:4] != b"PAR1" or octets[-4:] != b"PAR1":
        place = f"{name}:0" if octets[:4] != b"PAR1" else f"{name}:{len(octets)}"
        raise error_for("audit_trail_invalid", place, "a whole Parquet file", f"{len(octets)} octets")
    try:
        file = parquet_module().ParquetFile(pa.BufferReader(octets), page_checksum_verification=True)
        found = file.schema_arrow
        if not found.equals(_schema(), check_metadata=False):
            names = ", ".join(f"{one.name} {one.type}" for one in found)
            raise error_for("audit_trail_invalid", f"{name}:0", "the columns of a segment", names[:200])
        of = (found.metadata or {}).get(ORIGIN, b"").decode("utf-8", "replace")
        if of != origin:
            raise error_for("audit_trail_invalid", f"{name}:0", f"the log {origin}", of)
        _check_footer(file.metadata, name, end - first)
        reader = pa.BufferReader(octets)
        texts = {"read_dictionary": list(SHOWN[1:])}  # one text for many rows stays one in memory
        table = parquet_module().ParquetFile(reader, page_checksum_verification=True, **texts).read()
    except (pa.ArrowException, OSError, ValueError) as fault:
        words = str(fault).split("\n", 1)[0][:120]
        raise error_for("audit_trail_invalid", f"{name}:0", "a whole Parquet file", words) from None
    if table.column("index").to_pylist() != list(range(first, end)):
        raise error_for("audit_trail_invalid", f"{name}:0", f"records {first} to {end - 1}", "others")
    segment = SealedSegment(
        first=first,
        entries=table.column("entry").to_pylist(),
        contents=[one or b"" for one in table.column("content").to_pylist()],
        is_partial=(found.metadata or {}).get(CONTENTS) == PARTIAL,
    )
    for column, values in _shown(segment).items():
        if not _is_same(table.column(column), values):
            raise error_for("audit_trail_invalid", f"{name}:0", f"what the records say of {column}", "else")
    return segment


def _check_footer(metadata: Any, name: str, rows: int) -> None:
    """Refuse a file that says it unpacks to more than a segment has, before any of it is unpacked."""
    if metadata.num_rows != rows or rows > SEGMENT_RECORDS:
        place, most = f"{name}:0", min(rows, SEGMENT_RECORDS)
        raise error_for("audit_trail_invalid", place, f"{most} records", metadata.num_rows)
    if metadata.num_row_groups > rows:
        raise error_for("audit_trail_invalid", f"{name}:0", "row groups with rows", metadata.num_row_groups)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if not 0 < group.num_rows <= ROW_GROUP:
            raise error_for("audit_trail_invalid", f"{name}:{_start(group.column(0))}",
                            f"1 to {ROW_GROUP} rows in row group {number}", group.num_rows)  # fmt: skip
        for at in range(group.num_columns):
            chunk = group.column(at)
            column = chunk.path_in_schema
            most = group.num_rows * (_VALUE_MAX_BYTES.get(column, ENTRY_MAX_BYTES) + 8) + PAGES_BYTES
            place = f"{name}:{_start(chunk)}"
            if not 0 <= chunk.total_uncompressed_size <= most:
                raise error_for("audit_trail_invalid", place, f"at most {most} octets of {column} unpacked",
                                chunk.total_uncompressed_size)  # fmt: skip
            if column in _VALUE_MAX_BYTES and chunk.has_dictionary_page:  # one value would stand for many
                raise error_for("audit_trail_invalid", place, f"{column} without a dictionary", "one")


def _start(chunk: Any) -> int:
    """Return where a column of a row group begins in its file."""
    starts = (chunk.data_page_offset, chunk.dictionary_page_offset if chunk.has_dictionary_page else None)
    start: int = min(one for one in starts if one is not None)
    return start


def _is_same(found: Any, values: Any) -> bool:
    """Say whether a column has values; a text is looked at once, however often it stands there."""
    if pa.types.is_dictionary(found.type):
        wanted = set(values)
        if any(not wanted.issuperset(chunk.dictionary.to_pylist()) for chunk in found.chunks):
            return False
        found = found.cast(found.type.value_type)
    same: bool = found.combine_chunks().equals(pa.array(values, found.type))
    return same
