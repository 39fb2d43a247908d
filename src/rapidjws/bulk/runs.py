"""A run over Parquet files: parts that are written whole, and taken up where a run was interrupted."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files, _locks
from rapidjws._checks import checked, is_text, refused
from rapidjws.bulk.arrow import pa, parquet_module, pc
from rapidjws.bulk.reading import PLACE_MAX_CHARS, ahead, batches_of, check_footer, place_of, unreadable
from rapidjws.bulk.verifier import BulkVerifier
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PART_ROWS: Final = 1 << 18
"""About how many rows a part of the output has: whole row groups of the input."""

STATE: Final = "_run.json"
SUMMARY: Final = "_summary.json"
_LOCK: Final = "._run.lock"
_COUNTS: Final = b"rapidjws.counts"
_STATE_MAX_BYTES: Final = 64 << 20


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class BulkReport:
    """What a run came to.

    Attributes:
        rows: Tokens.
        counts: Tokens by code; ``ok`` for accepted ones.
        parts: Files written.
        resumed: Of these, the ones that an earlier run had written.
    """

    rows: int
    counts: dict[str, int] = field(default_factory=dict)
    parts: int = 0
    resumed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Row groups of one input file, and the file that they become."""

    source: str
    groups: tuple[int, ...]
    rows: int
    name: str


class _Input:
    """The Parquet files of a path, and where they lie."""

    def __init__(self, source: str) -> None:
        try:
            if "://" in source:
                self.filesystem, root = pa.fs.FileSystem.from_uri(source)
            else:
                self.filesystem, root = pa.fs.LocalFileSystem(), str(Path(source).absolute())
            found = self.filesystem.get_file_info(root)
            if found.type == pa.fs.FileType.Directory:
                inner = self.filesystem.get_file_info(pa.fs.FileSelector(root, recursive=True))
                infos = [one for one in inner if one.type == pa.fs.FileType.File and _is_data(one.path, root)]
            else:
                infos = [found] if found.type == pa.fs.FileType.File else []
        except (OSError, pa.ArrowException) as fault:
            words = str(fault).replace(source, _shown(source))
            authority = source.partition("://")[2].partition("/")[0]
            hidden = "@" in authority and authority.rpartition("@")[0] in words
            raise unreadable(_shown(source), ValueError(type(fault).__name__ if hidden else words)) from None
        if not infos:
            raise error_for(
                "configuration_invalid",
                place_of(_shown(source)),
                "a Parquet file, or a folder of such",
                "none",
            )
        infos.sort(key=lambda one: one.path)
        self.names = [_name_below(one.path, root) for one in infos]
        self.paths = [one.path for one in infos]
        self.prints = [[one.size, one.mtime_ns] for one in infos]

    def open(self, path: str) -> Any:
        """Return an open Parquet file."""
        try:
            return parquet_module().ParquetFile(
                path, filesystem=self.filesystem, pre_buffer=False, buffer_size=1 << 20
            )
        except (OSError, pa.ArrowException) as fault:
            raise unreadable(path, fault) from None


def _shown(source: str) -> str:
    """Return a source without what may hold a secret: user, password and query of a URI."""
    if "://" not in source:
        return source
    scheme, _, rest = source.partition("?")[0].partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def _is_data(path: str, root: str) -> bool:
    """Return whether a file below a folder is one of its data: no part of its name is hidden."""
    return path.endswith(".parquet") and not any(
        part.startswith(("_", ".")) for part in path[len(root) :].strip("/").split("/")
    )


def _name_below(path: str, root: str) -> str:
    """Return what the output of a file is named after."""
    below = path[len(root) :].strip("/") or path.rpartition("/")[2]
    return below.removesuffix(".parquet").replace("/", "--")


@checked
def verify_parquet(
    verifier: BulkVerifier,
    source: str,
    target: str | Path,
    *,
    settings: str = "",
    now: float | None = None,
    part_rows: int = PART_ROWS,
    progress: Callable[[int, int], object] | None = None,
) -> BulkReport:
    """Verify the tokens of Parquet files into a folder of Parquet files, with bounded memory.

    Each part is on the disk whole or not at all. An interrupted run goes on where it was, if inputs and
    settings are the same. Names that begin with ``_`` are the run's own.

    Args:
        verifier: What verifies.
        source: A Parquet file, a folder of them, or a URI that pyarrow knows (``s3://bucket/prefix``).
        target: A folder: a new one, an empty one, or that of the run to be taken up.
        settings: What identifies keys and rules, so that no run is taken up with others.
        now: The moment that the verifier was given, kept for :func:`moment_of`; None where it has none.
        part_rows: About how many rows a part has.
        progress: Called with rows done and rows in all after each batch.

    Returns:
        What it came to.

    Raises:
        ConfigurationError: ``configuration_invalid``: an unreadable file, or one with other columns (file and
            column are in the place), or a folder of something else.
        OSError: The target cannot be written.
    """
    if part_rows < 1:
        raise error_for("configuration_invalid", "part_rows", "1 or more", "less")
    if not is_text(str(target)):
        raise refused("target", "a path", target)
    given = _Input(source)
    parts = list(_parts(given, verifier, part_rows))
    folder = Path(target)
    state = {
        "format": 1,
        "inputs": dict(zip(given.names, given.prints, strict=True)),
        "settings": sha256(settings.encode()).hexdigest(),
        "now": now,
        "part_rows": part_rows,
    }
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _locks.locked(folder / _LOCK, wait=False):
            _take_up(folder, state)
            return _run(given, parts, folder, verifier, progress)
    except BlockingIOError:
        raise error_for(
            "configuration_invalid", place_of(str(folder)), "a folder of no other run", "one at work"
        ) from None


def moment_of(target: str | Path) -> float | None:
    """Return the moment of the checks of a run that was begun in a folder, or None."""
    try:
        found = json.loads(_files.read_trusted(Path(target) / STATE, _STATE_MAX_BYTES))
        moment: float | None = found["now"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return moment


def _parts(given: _Input, verifier: BulkVerifier, part_rows: int) -> Iterator[_Part]:
    """Yield the parts, in order, once every file's columns were looked at."""
    for path, name in zip(given.paths, given.names, strict=True):
        with given.open(path) as file:
            try:
                verifier.schema(file.schema_arrow)
            except RapidJWSError as fault:
                place = f"{place_of(path, PLACE_MAX_CHARS // 2)}: {fault.place}"
                raise error_for(fault.code, place, fault.expected, fault.actual) from None
            check_footer(file.metadata, path)
            sizes = [file.metadata.row_group(at).num_rows for at in range(file.metadata.num_row_groups)]
        groups: list[int] = []
        number = rows = 0
        for at, size in enumerate(sizes):
            groups.append(at)
            rows += size
            if rows >= part_rows or at == len(sizes) - 1:
                yield _Part(source=path, groups=tuple(groups), rows=rows, name=f"{name}-{number:05}.parquet")
                groups, number, rows = [], number + 1, 0


def _take_up(folder: Path, state: dict[str, Any]) -> None:
    """Make a folder a run's own, or see that it is that of this very run.

    Raises:
        ConfigurationError: ``configuration_invalid``: it is another's.
    """
    path = folder / STATE
    try:
        before = json.loads(_files.read_trusted(path, _STATE_MAX_BYTES))
    except FileNotFoundError:
        others = [one.name for one in folder.iterdir() if one.name != _LOCK]
        if others:
            raise error_for(
                "configuration_invalid",
                place_of(str(folder)),
                "an empty folder, or that of this run",
                "other files",
            ) from None
        _files.replace(path, json.dumps(state, indent=1).encode(), mode=0o644)
        return
    except (ValueError, RecursionError):
        before = None
    if before != state:
        differs = [name for name in state if not isinstance(before, dict) or before.get(name) != state[name]]
        found = f"a run with other {' and '.join(differs)}"
        raise error_for(
            "configuration_invalid", place_of(str(folder)), "an empty folder, or that of this run", found
        )
    _files.remove_leftovers(path)


def _run(
    given: _Input,
    parts: list[_Part],
    folder: Path,
    verifier: BulkVerifier,
    progress: Callable[[int, int], object] | None,
) -> BulkReport:
    """Verify the parts that are not there yet."""
    total, done, resumed = sum(part.rows for part in parts), 0, 0
    counts: Counter[str] = Counter()
    for part in parts:
        found = _counts_of(folder / part.name, part.rows)
        if found is None:
            _files.remove_leftovers(folder / part.name)
            found = _verify_part(given, part, folder, verifier, _shifted(progress, done, total))
        else:
            resumed += 1
        counts.update(found)
        done += part.rows
        if progress is not None:
            progress(done, total)
    report = BulkReport(rows=done, counts=dict(counts.most_common()), parts=len(parts), resumed=resumed)
    text = json.dumps({"rows": done, "counts": report.counts, "parts": len(parts)}, indent=1)
    _files.replace(folder / SUMMARY, text.encode(), mode=0o644)
    return report


def _shifted(
    progress: Callable[[int, int], object] | None, before: int, total: int
) -> Callable[[int], object]:
    """Return a listener of a part's rows, which adds those before it."""
    if progress is None:
        return lambda rows: None
    return lambda rows: progress(before + rows, total)


def _counts_of(path: Path, rows: int) -> dict[str, int] | None:
    """Return the counts of a part that is there whole, or None."""
    if not path.is_file():
        return None
    try:
        metadata = parquet_module().read_metadata(path)
        counts: dict[str, int] = json.loads((metadata.metadata or {})[_COUNTS])
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return None
    return counts if metadata.num_rows == rows == sum(counts.values()) else None


def _verify_part(
    given: _Input, part: _Part, folder: Path, verifier: BulkVerifier, progress: Callable[[int], object]
) -> dict[str, int]:
    """Verify one part; its file is written when all of it is there."""
    sink, counts, rows = pa.BufferOutputStream(), Counter[str](), 0
    with given.open(part.source) as file:
        schema = verifier.schema(file.schema_arrow).remove_metadata()
        with parquet_module().ParquetWriter(sink, schema, compression="zstd") as writer:
            ahead_of = ahead(batches_of(file, part.source, part.groups), is_ahead=verifier.workers > 1)
            with closing(ahead_of) as batches:
                for batch in batches:
                    found = verifier.verify_batch(batch).replace_schema_metadata(None)
                    writer.write_batch(found)
                    for one in pc.value_counts(found.column("code")).to_pylist():
                        counts[one["values"]] += one["counts"]
                    rows += batch.num_rows
                    progress(rows)
            if rows != part.rows:
                raise unreadable(part.source, ValueError(f"{part.rows} rows announced, {rows} found"))
            writer.add_key_value_metadata({_COUNTS: json.dumps(counts).encode()})
    _files.replace(folder / part.name, sink.getvalue().to_pybytes(), mode=0o644)
    return dict(counts)
