"""Batches of a Parquet file, the next one read meanwhile, and errors that name where a file is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws.bulk.arrow import pa
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

PLACE_MAX_CHARS: Final = 70
"""Longest path in an error: a message shows no more of a foreign text."""

BATCH_ROWS: Final = 1 << 14
"""Rows in memory at once on the way in; as many again where the next batch is read meanwhile."""


GROUP_ROWS_MAX: Final = 1 << 25
"""Most rows of a row group: writers make a million at most by default."""

COLUMN_MAX_BYTES: Final = 1 << 32
"""Most that a column of a row group unpacks to."""

GROUPS_MAX: Final = 1 << 17
"""Most row groups of a file."""


def check_footer(metadata: Any, path: str) -> None:
    """Refuse a file that says it unpacks to more than is read, before any of it is read.

    Raises:
        ConfigurationError: ``configuration_invalid``: names file, row group, column and offset.
    """
    place = place_of(path, PLACE_MAX_CHARS // 2)
    if metadata.num_row_groups > GROUPS_MAX:
        raise error_for(
            "configuration_invalid",
            f"{place}: footer",
            f"at most {GROUPS_MAX} row groups",
            metadata.num_row_groups,
        )
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if not 0 <= group.num_rows <= GROUP_ROWS_MAX:
            raise error_for("configuration_invalid", f"{place}: row group {number}{_offset(group)}",
                            f"at most {GROUP_ROWS_MAX} rows", group.num_rows)  # fmt: skip
        if 0 <= group.total_byte_size <= COLUMN_MAX_BYTES:
            continue
        for at in range(group.num_columns):
            chunk = group.column(at)
            if not 0 <= chunk.total_uncompressed_size <= COLUMN_MAX_BYTES:
                where = f"row group {number}, {chunk.path_in_schema[:16]}, octet {_start(chunk)}"
                raise error_for("configuration_invalid", f"{place}: {where}",
                                f"at most {COLUMN_MAX_BYTES} octets unpacked",
                                chunk.total_uncompressed_size)  # fmt: skip


def _offset(group: Any) -> str:
    return f", octet {_start(group.column(0))}" if group.num_columns else ""


def _start(chunk: Any) -> int:
    """Return where a column of a row group begins in its file."""
    starts = (chunk.data_page_offset, chunk.dictionary_page_offset)
    start: int = min(one for one in starts if one is not None)
    return start


def place_of(path: str, most: int = PLACE_MAX_CHARS) -> str:
    """Return a path as errors name it: the end of a long one, as that says more than its first folders."""
    return path if len(path) <= most else f"...{path[-most:]}"


def unreadable(place: str, fault: Exception) -> RapidJWSError:
    """Return the error of a file that Parquet cannot read."""
    words = str(fault).splitlines()[0][:200] if str(fault) else type(fault).__name__
    return error_for("configuration_invalid", place_of(place), "a readable Parquet file", words)


def batches_of(file: Any, path: str, groups: Sequence[int]) -> Iterator[Any]:
    """Yield the batches of some row groups.

    Args:
        file: The open Parquet file.
        path: Its path.
        groups: The row groups.

    Raises:
        ConfigurationError: ``configuration_invalid``: names file, row group, column and offset.
    """
    for group in groups:
        batches = file.iter_batches(BATCH_ROWS, row_groups=[group], use_threads=False)
        while True:
            try:
                batch = next(batches, None)
            except (OSError, pa.ArrowException) as fault:
                place = f"{place_of(path, PLACE_MAX_CHARS // 2)}: {_broken(file, group)}"
                raise unreadable(place, fault) from None
            if batch is None:
                break
            yield batch


def _broken(file: Any, group: int) -> str:
    """Return which column of a row group cannot be read, and where it lies in the file."""
    about = file.metadata.row_group(group)
    for number in range(about.num_columns):
        chunk = about.column(number)
        try:
            file.read_row_group(group, columns=[chunk.path_in_schema], use_threads=False)
        except (OSError, pa.ArrowException):
            return f"row group {group}, {chunk.path_in_schema[:16]}, octet {_start(chunk)}"
    return f"row group {group}"


def ahead(batches: Iterator[Any], *, is_ahead: bool) -> Generator[Any, None, None]:
    """Yield batches; a worker thread reads the next one while the caller works.

    Args:
        batches: What they come from.
        is_ahead: False to read each one when it is asked for.
    """
    task: Task[Any] | None = None
    try:
        while True:
            if task is None or task.take_back() is not None:
                task = None  # no thread has it, and none will: nothing is waited for
                batch = next(batches, None)
            else:
                batch = task.future.result()
                task = None
            if batch is None:
                return
            if is_ahead:
                task = Task(lambda: next(batches, None))
                submit(task)
            yield batch
    finally:
        if task is not None and task.take_back() is None:
            task.future.exception()  # until it has ended: it reads the file that the caller closes
