"""A limit on the nesting of TOML and JSON texts, checked before a parser sees them.

A TOML parser takes time that grows with the square of the parts of a dotted key. This pass takes time that
grows with the text only.
"""

from __future__ import annotations

import re
from typing import Final

NESTING_MAX: Final = 16
"""Most brackets that are open at once, and most parts of a dotted key; a configuration needs five."""

_MARK: Final = re.compile(r"""\"\"\"|'''|["'#\[\]{}.\n=,]""")
_ENDS: Final = {
    '"': re.compile(r'["\n]|\\.', re.DOTALL),
    '"""': re.compile(r'"{3,5}|\\.', re.DOTALL),  # up to two quotes before the end belong to the string
}


def too_deep(text: str, *, is_json: bool) -> int | None:
    """Return the line, from 1 on, on which a text is nested deeper than NESTING_MAX, or None.

    Args:
        text: The text, which need not be well-formed.
        is_json: Whether it is JSON rather than TOML.
    """
    depth = dots = at = 0
    while (found := _MARK.search(text, at)) is not None:
        mark, at = found[0], found.end()
        if mark in "[{":
            depth += 1
            dots = 0
        elif mark in "]}":
            depth = max(0, depth - 1)
            dots = 0
        elif mark == ".":
            dots += 1
        elif mark in "\n=,":
            dots = 0
        elif is_json and mark != '"' and mark != '"""':
            continue  # no strings or comments of JSON
        else:
            at = _end_of(text, '"' if is_json else mark, found.start() + 1 if is_json else at)
        if depth > NESTING_MAX or dots >= NESTING_MAX:
            return text.count("\n", 0, at) + 1
    return None


def _end_of(text: str, mark: str, at: int) -> int:
    """Return where a string or comment that began before ``at`` ends; at the text's end where it does not."""
    if mark in _ENDS:
        for found in _ENDS[mark].finditer(text, at):
            if found[0] != "\n":
                if found[0][0] == "\\":
                    continue
                return found.end()
            return found.start()
        return len(text)
    end = text.find("\n" if mark == "#" else mark, at)
    if mark == "'":  # a literal string ends with its line
        line = text.find("\n", at, end if end >= 0 else len(text))
        end = line if line >= 0 else end
    if end < 0:
        return len(text)
    if mark == "#" or text[end] == "\n":
        return end
    end += len(mark)
    if mark == "'''":
        end += len(text[end : end + 2]) - len(text[end : end + 2].lstrip("'"))
    return end
