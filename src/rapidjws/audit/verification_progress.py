"""What an interrupted verification of a trail had done, in a file: a line a piece."""

from __future__ import annotations

import os
import threading
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws._version import __version__
from rapidjws.audit.bundle_check import Finding, TreePart
from rapidjws.audit.record_results import RecordResults, Wanted
from rapidjws.audit.trail_reader import TrailReader
from rapidjws.errors import error_for

FILE_MAX_BYTES: Final = 1 << 30
_PIECES: Final = 1 << 32


class SavedPieces:
    """The pieces that a verification of a trail has done, in a file that its next run reads.

    The file says what was found then: whoever can write it can forge a report, as with the report itself.

    Args:
        path: The file; it is made where it is not there.
    """

    @checked
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._writing = threading.Lock()

    @checked
    def pieces(self, reader: TrailReader, wanted: Wanted) -> dict[int, tuple[TreePart, RecordResults]]:
        """Return what is done: the number of each piece -> what it found.

        Raises:
            ConfigurationError: ``configuration_invalid``: the file is another run's, or no such.
            OSError: It cannot be read or written.
        """
        note = reader.checkpoint
        head = {"origin": note.origin, "root": note.root.hex(), "size": note.size, "wanted": asdict(wanted),
                "engine": __version__}  # fmt: skip
        try:
            octets = _files.read_trusted(self._path, FILE_MAX_BYTES)
        except FileNotFoundError:
            _files.append_line(self._path, orjson.dumps(head))
            return {}
        lines = octets.split(b"\n")
        if _parsed(lines[0]) != head:
            raise error_for(
                "configuration_invalid", str(self._path), "what a run of the same command has left", "another"
            )
        found = {}
        for line in lines[1:]:
            row = _parsed(line)  # a line that was cut off is done again
            if row is not None:
                found[int(row["piece"])] = _piece(row)
        return found

    @checked
    def keep(self, number: int, part: TreePart, results: RecordResults) -> None:
        """Keep what a piece found.

        Raises:
            ConfigurationError: ``configuration_invalid``.
            OSError: It cannot be written.
        """
        if not 0 <= number < _PIECES:
            raise error_for("configuration_invalid", "number", "a piece of a trail", number)
        row = {
            "piece": number,
            "of_records": part.of_records.hex(),
            "of_tiles": part.of_tiles.hex(),
            "records_tail": part.records_tail.hex(),
            "tiles_tail": part.tiles_tail.hex(),
            "doubtful": part.doubtful,
            "tree_findings": [one.as_dict() for one in part.findings],
            **{name: getattr(results, name) for name in _PLAIN},
            "not_verified_again": dict(results.not_verified_again),
            "findings": [one.as_dict() for one in results.findings],
        }
        with self._writing:
            _files.append_line(self._path, orjson.dumps(row))

    def forget(self) -> None:
        """Remove the file of a verification that ended."""
        with self._writing:
            _files.remove(self._path)


_PLAIN: Final = ("records", "agreed", "lost", "first_us", "last_us")


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _piece(row: dict[str, Any]) -> tuple[TreePart, RecordResults]:
    part = TreePart(
        of_records=bytearray.fromhex(row["of_records"]),
        of_tiles=bytearray.fromhex(row["of_tiles"]),
        records_tail=bytes.fromhex(row["records_tail"]),
        tiles_tail=bytes.fromhex(row["tiles_tail"]),
        doubtful=[(record, offset) for record, offset in row["doubtful"]],
        findings=[Finding(**one) for one in row["tree_findings"]],
    )
    results = RecordResults(
        not_verified_again=Counter(row["not_verified_again"]),
        findings=[Finding(**one) for one in row["findings"]],
        **{name: row[name] for name in _PLAIN},
    )
    return part, results
