"""Where a setting stands in a TOML or JSON text: line numbers for messages. Never reads values.

The texts were read by a real parser before; this only counts lines, and says None when it cannot tell.
"""

from __future__ import annotations

import re
from typing import Final

_TABLE: Final = re.compile(r"^\s*(\[\[?)\s*([\w\-.\"' ]+?)\s*\]\]?\s*(?:#.*)?$")
_PAIR: Final = re.compile(r"""^\s*(?:"([^"\\]*)"|'([^']*)'|([\w\-.\"']+))\s*=""")
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')

Path = tuple["str | int", ...]


def line_of(text: str, path: Path, *, is_json: bool) -> int | None:
    """Return the line, from 1 on, on which a setting stands, or that of the table it is missing from."""
    lines = _json_lines(text) if is_json else _toml_lines(text)
    if path and isinstance(path[0], str):  # "server.body": a section within another one
        path = (*path[0].split("."), *path[1:])
    for size in range(len(path), 0, -1):
        if path[:size] in lines:
            return lines[path[:size]]
    return None


def _toml_lines(text: str) -> dict[Path, int]:
    lines: dict[Path, int] = {}
    counts: dict[str, int] = {}
    here: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        table = _TABLE.match(line)
        if table is not None:
            names = [name.strip().strip("\"'") for name in table[2].split(".")]
            if table[1] == "[[":
                counts[table[2]] = counts.get(table[2], -1) + 1
                here = (*names, counts[table[2]])
            else:
                here = _inside(names, counts)
            lines.setdefault(here, number)
            continue
        pair = _PAIR.match(line)
        if pair is not None:
            quoted = pair[1] if pair[1] is not None else pair[2]
            names = [name.strip("\"'") for name in pair[3].split(".")] if quoted is None else [quoted]
            lines.setdefault((*here, *names), number)
    return lines


def _inside(names: list[str], counts: dict[str, int]) -> Path:
    """Return a table's path; within an array of tables it belongs to the last one."""
    path: Path = ()
    for size, name in enumerate(names, 1):
        path = (*path, name)
        array = ".".join(names[:size])
        if array in counts and size < len(names):
            path = (*path, counts[array])
    return path


def _json_lines(text: str) -> dict[Path, int]:
    """Walk the tokens of a text that is known to be JSON."""
    lines: dict[Path, int] = {}
    path: list[str | int] = []
    kinds: list[str] = []
    wants_name = False
    number, counted = 1, 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        number += text.count("\n", counted, match.start())
        counted = match.start()
        if token in "{[":
            kinds.append(token)
            path.append(0 if token == "[" else "")
            wants_name = token == "{"
            if token == "[":
                lines.setdefault(tuple(path), number)
        elif token in "}]":
            kinds.pop()
            path.pop()
        elif token == ",":
            wants_name = kinds[-1] == "{"
            last = path[-1]
            if isinstance(last, int):
                path[-1] = last + 1
                lines.setdefault(tuple(path), number)
        elif wants_name:
            path[-1] = token[1:-1]
            lines.setdefault(tuple(path), number)
            wants_name = False
    return lines
