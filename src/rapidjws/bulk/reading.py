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
            starts = [chunk.data_page_offset, chunk.dictionary_page_offset]
            at = min(one for one in starts if one is not None)
            return f"row group {group}, {chunk.path_in_schema[:16]}, octet {at}"
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
