"""What the text of an expression in CEL may hold, so that its work is bounded when it is loaded.

No program of the library can be stopped, and it holds the interpreter: whatever would grow with the square of
what a token holds is refused here, or is given short lists. Source: https://cel.dev, language definition.
"""

from __future__ import annotations

import re
from typing import Final

from rapidjws.authz.request import is_field_name
from rapidjws.errors import error_for

VARIABLES: Final = frozenset({"claims", "header", "request", "partner", "now"})
MACROS: Final = frozenset({"all", "exists", "exists_one", "map", "filter"})
BUILDING: Final = frozenset({"map", "filter"})
"""Macros that make lists: the library copies what it has for each item."""

MACROS_MAX: Final = 8
LIST_MAX: Final = 1024
"""Longest list in claims, where macros look at one item after the other."""
LIST_MAX_SQUARED: Final = 128
"""The same where a macro looks at another variable for each item: ``x in claims.allowed``."""
LIST_MAX_BUILDING: Final = 64
"""The same where a macro makes a list."""

PATTERNS_MAX: Final = 2
PATTERN_MAX_CHARS: Final = 64
CLASSES_MAX: Final = 4
"""Most of the classes ``\\w``, ``\\d``, ``\\s`` in a pattern: each holds hundreds of ranges of Unicode."""

FUNCTIONS: Final = frozenset(
    {"contains", "startsWith", "endsWith", "matches", "size", "has", "int", "uint", "double", "string",
     "bool", "timestamp", "duration", "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek",
     "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds", "min", "max"}
)  # fmt: skip
"""Functions that an expression may call, beside operators and macros."""

_STRING: Final = re.compile(r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""")
_TOKEN: Final = re.compile(rf"{_STRING.pattern}|[A-Za-z_][A-Za-z0-9_]*|\S")
_HEADER: Final = re.compile(
    rf"""\bheader\s*\[\s*({_STRING.pattern})\s*\]|({_STRING.pattern})\s+in\s+header\b"""
)
SYNTAX: Final = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")
_COSTLY: Final = re.compile(r"\\[pP]|\\[wWdDsS]\{|\[[^\]]*\\[wWdDsS][^\]]*\]\{|\)\{|\(\?|\{[0-9]*,?[0-9]{3,}")
"""What makes a pattern slow to read, which is done at each request: counted classes and groups, flags."""
_PLAIN_ESCAPES: Final = re.compile(r"(?:[^\\]|\\[\\\"'])*")
_CLASS: Final = re.compile(r"\\[wWdDsS]")


def _at(source: str, position: int) -> str:
    line = source.count("\n", 0, position) + 1
    return f"line {line}, column {position - source.rfind(chr(10), 0, position)}"


def _refuse(source: str, position: int, words: str) -> None:
    raise error_for("configuration_invalid", "cel", f"{_at(source, position)}: {words}")


def tokens_of(source: str) -> list[tuple[str, int]]:
    """Return the tokens of an expression, with where each begins."""
    return [(found[0], found.start()) for found in _TOKEN.finditer(source)]


def list_max(source: str) -> int | None:
    """Check what an expression names and does; return the longest list that it may be given.

    Args:
        source: The expression.

    Returns:
        Most items of a list, or None without a macro, where nothing goes through lists.

    Raises:
        ConfigurationError: ``configuration_invalid``, with line and column: a name or function that there is
            not, a macro within a macro, what costs too much.
    """
    tokens = tokens_of(source)
    texts = [text for text, _ in tokens]
    bound: set[str] = set()
    for at, text in enumerate(texts):  # a macro's first argument is its variable
        if text in MACROS and texts[at + 1 : at + 2] == ["("] and texts[at - 1] == ".":
            bound.update(texts[at + 2 : at + 3])
        if text == "/" and texts[at + 1 : at + 2] == ["/"]:
            _refuse(source, tokens[at][1], "no comments")
    inside: list[str] = []  # the macro of each bracket that is open, or ""
    used: list[str] = []
    most = LIST_MAX
    for at, (text, position) in enumerate(tokens):
        before, after = (texts[at - 1] if at else ""), (texts[at + 1] if at + 1 < len(texts) else "")
        if text in "([{":
            is_macro = text == "(" and before in MACROS and at > 1 and texts[at - 2] == "."
            if is_macro and any(inside):
                _refuse(source, position, "no macro within a macro: its cost is not bounded")
            inside.append(before if is_macro else "")
            used += [before] if is_macro else []
        elif text in ")]}":
            inside = inside[:-1]
        elif re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", text) and text not in ("true", "false", "null", "in"):
            if after[:1] in ("'", '"') and source[position + len(text)] == after[0]:
                _refuse(source, position, "strings without a prefix")
            if after == "(":
                if text not in FUNCTIONS | MACROS:
                    _refuse(source, position, f"a function of {', '.join(sorted(FUNCTIONS | MACROS))}")
                if text == "matches" and any(inside):
                    _refuse(source, position, "no matches within a macro: its cost is not bounded")
            elif before != "." and text not in VARIABLES | bound and not before.isdigit():
                _refuse(source, position, f"one of {', '.join(sorted(VARIABLES))}")
            elif before != "." and text in VARIABLES - bound and any(inside):
                most = min(most, LIST_MAX_SQUARED)
                if "map" in inside:
                    _refuse(source, position, "only its own variable within map: its cost is not bounded")
    if len(used) > MACROS_MAX:
        _refuse(source, 0, f"at most {MACROS_MAX} macros")
    _check_patterns(source, tokens)
    if not used:
        return None
    return LIST_MAX_BUILDING if not BUILDING.isdisjoint(used) else most


def _check_patterns(source: str, tokens: list[tuple[str, int]]) -> None:
    """Refuse patterns that are no constants, or slow to read: they are read at each request."""
    texts = [text for text, _ in tokens]
    places = [at for at, text in enumerate(texts) if text == "matches" and texts[at + 1 : at + 2] == ["("]]
    if len(places) > PATTERNS_MAX:
        _refuse(source, tokens[places[-1]][1], f"at most {PATTERNS_MAX} matches")
    for at in places:
        # x.matches("...") or matches(x, "..."): what stands before the bracket that ends it
        end = _closing(texts, at + 1)
        constant = texts[end - 1] if end > 0 else ""
        is_alone = texts[end - 2 : end - 1] in (["("], [","])
        if not (is_alone and _STRING.fullmatch(constant) and _PLAIN_ESCAPES.fullmatch(constant[1:-1])):
            _refuse(source, tokens[at][1], "a constant pattern, with no other escapes than \\\\")
        pattern = re.sub(r"\\(.)", r"\1", constant[1:-1])
        if (
            len(pattern) > PATTERN_MAX_CHARS
            or _COSTLY.search(pattern)
            or len(_CLASS.findall(pattern)) > CLASSES_MAX
        ):
            _refuse(source, tokens[at][1], f"a short pattern: {PATTERN_MAX_CHARS} characters, {CLASSES_MAX} "
                                           "classes, nothing counted but characters, up to 99")  # fmt: skip


def _closing(texts: list[str], opening: int) -> int:
    """Return where the bracket ends that is opened at a token, or -1."""
    depth = 0
    for at in range(opening, len(texts)):
        depth += (texts[at] in "([{") - (texts[at] in ")]}")
        if not depth:
            return at
    return -1


def header_fields(source: str) -> frozenset[bytes]:
    """Return the lower-case headers that an expression names; all of them must be constants."""
    found = [one[1] or one[2] for one in _HEADER.finditer(source)]
    bare = _STRING.sub(lambda one: " " * len(one[0]), source)
    if len(re.findall(r"(?<![.\w])header\b", bare)) != len(found):
        raise error_for(
            "configuration_invalid", "cel", 'line 1, column 1: headers by name, header["x-tenant"]'
        )
    names = [one[1:-1] for one in found]
    if not all(is_field_name(name) and name == name.lower() for name in names):
        raise error_for("configuration_invalid", "cel", "line 1, column 1: lower-case names of headers")
    return frozenset(name.encode("ascii") for name in names)


def members(source: str, variable: str) -> tuple[str, ...] | None:
    """Return the members of a variable that an expression names, or None where it takes it as a whole."""
    bare = _STRING.sub(lambda one: " " * len(one[0]), source)
    named = re.findall(rf"(?<![.\w]){variable}\s*\.\s*([A-Za-z_]\w*)\b(?!\s*\()", bare)
    whole = re.findall(rf"(?<![.\w]){variable}(?!\w)", bare)
    return tuple(dict.fromkeys(named)) if len(named) == len(whole) else None
