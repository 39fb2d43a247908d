"""Conditions in the Common Expression Language (CEL); needs the extra ``cel``.

An expression sees ``claims``, ``header``, ``request`` (``method``, ``host``, ``path``), ``partner`` and
``now`` (a timestamp). It is parsed when it is loaded, and names, functions and constants are checked.
Its work is bounded there: short text, no macro within a macro, and no list of more than ``LIST_MAX`` items
where there is one.
Source: https://cel.dev, language definition.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked
from rapidjws.authz.facts import Unmet
from rapidjws.authz.request import header_text, is_field_name, method_of
from rapidjws.errors import error_for
from rapidjws.rollout.routes import route_of

try:
    import cel
except ImportError as missing:
    raise ImportError("expressions need: pip install 'rapidjws[cel]'") from missing

if TYPE_CHECKING:
    from rapidjws.authz.facts import Check, Facts

CHARS_MAX: Final = 2048
"""Longest expression, in characters."""

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
LIST_MAX: Final = 1024
"""Longest list in claims, where an expression goes through lists."""

VARIABLES: Final = frozenset({"claims", "header", "request", "partner", "now"})
MACROS: Final = frozenset({"all", "exists", "exists_one", "map", "filter"})
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
_SYNTAX: Final = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")
_UNAVAILABLE: Final = Unmet("policy_unavailable", "cel")
_REFUSED: Final = Unmet("policy_refused", "cel")


@checked(under="cel")
class Expression:
    """A condition as a CEL expression, which must be true.

    Args:
        source: ``'claims.tier == "gold" && "pay" in claims.roles'``. Headers are named one by one, as
            ``header["x-tenant"]`` or ``"x-tenant" in header``. A member that is not there makes it undecided:
            ask with ``has()`` first.

    Raises:
        ConfigurationError: ``configuration_invalid``, with line and column: a syntax error, a name or a
            function that there is not, a constant of another type, a macro within a macro.
    """

    __slots__ = (
        "_claims",
        "_has_macros",
        "_names",
        "_parts",
        "_program",
        "blocking",
        "header_fields",
        "reads_host",
        "reads_method",
        "source",
    )

    def __init__(self, source: str) -> None:
        self.source = source
        self.blocking = False
        if not 0 < len(source) <= CHARS_MAX or '"""' in source or "'''" in source:
            raise error_for("configuration_invalid", "cel", f"1 to {CHARS_MAX} characters, no triple quotes")
        self._has_macros = _check_tokens(source)
        try:
            self._program = cel.compile(source)
        except Exception as fault:
            found = _SYNTAX.search(str(fault))
            expected = "an expression" if found is None else f"line {found[1]}, column {found[2]}: {found[3]}"
            raise error_for("configuration_invalid", "cel", expected) from None
        self._names = frozenset(self._program.variables()) & VARIABLES
        self._claims, self._parts = _members(source, "claims"), _members(source, "request")
        self.header_fields = _header_fields(source)
        reads = "request" in self._names
        self.reads_method = reads and (self._parts is None or "method" in self._parts)
        self.reads_host = reads and (self._parts is None or "host" in self._parts)
        self._try()

    def _try(self) -> None:
        """Evaluate on a request that lacks everything: what fails otherwise than for that never works."""
        empty: dict[str, Any] = {
            "claims": {},
            "header": {},
            "request": {"method": "", "host": "", "path": ""},
            "partner": "",
            "now": datetime.fromtimestamp(0, timezone.utc),
        }
        try:
            found = self._program.execute({name: empty[name] for name in self._names})
        except KeyError:  # a member that is not there
            return
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as fault:  # the library's own panics are no Exception
            words = (str(fault).splitlines() or [type(fault).__name__])[0][:120]
            raise error_for("configuration_invalid", "cel", f"line 1, column 1: {words}") from None
        if not isinstance(found, bool):
            expected = "line 1, column 1: true or false as its value"
            raise error_for("configuration_invalid", "cel", expected, type(found).__name__)

    def check(self) -> Check:
        """Return the check of a request: whatever is not true refuses, and what fails is undecided."""
        names, fields, program = self._names, sorted(self.header_fields), self._program
        has_macros, wanted, parts = self._has_macros, self._claims, self._parts

        def check(facts: Facts) -> Unmet | None:
            values: dict[str, Any] = {}
            if "claims" in names:
                claims = values["claims"] = (  # each member costs: only those that are named
                    facts.claims
                    if wanted is None
                    else {name: facts.claims[name] for name in wanted if name in facts.claims}
                )
                if _is_out_of_bounds(claims, has_macros=has_macros):
                    return _UNAVAILABLE
            if "header" in names:
                sent = values["header"] = {}
                for field in fields:
                    given = facts.request.headers(field)
                    if given:
                        text = header_text(given)
                        if text is None:
                            return Unmet("ambiguous_request", f"request.header.{field.decode()}")
                        sent[field.decode()] = text
            if "request" in names:
                path = route_of(facts.path)
                if path is None:
                    return Unmet("ambiguous_request", "request.path")
                values["request"] = request = {"path": path}
                if parts is None or "method" in parts:
                    method = method_of(facts.request.method)
                    if method is None:  # "" would pass for any method that is not named
                        return Unmet("ambiguous_request", "request.method")
                    request["method"] = method
                if parts is None or "host" in parts:
                    host = facts.host()
                    if host is None:
                        return Unmet("ambiguous_request", "request.host")
                    request["host"] = host
            if "partner" in names:
                values["partner"] = facts.partner or ""
            if "now" in names:
                values["now"] = datetime.fromtimestamp(facts.now_s, timezone.utc)
            try:
                found = program.execute(values)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # the library's own panics are no Exception
                return _UNAVAILABLE
            if found is True:
                return None
            return _REFUSED if found is False else _UNAVAILABLE

        return check

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def _at(source: str, position: int) -> str:
    line = source.count("\n", 0, position) + 1
    return f"line {line}, column {position - source.rfind(chr(10), 0, position)}"


def _refuse(source: str, position: int, words: str) -> None:
    raise error_for("configuration_invalid", "cel", f"{_at(source, position)}: {words}")


def _check_tokens(source: str) -> bool:
    """Refuse names and functions that there are not, and macros in macros; return whether there are any."""
    tokens = [(found[0], found.start()) for found in _TOKEN.finditer(source)]
    texts = [text for text, _ in tokens]
    bound: set[str] = set()
    for at, text in enumerate(texts):  # a macro's first argument is its variable
        if text in MACROS and texts[at + 1 : at + 2] == ["("] and texts[at - 1] == ".":
            bound.update(texts[at + 2 : at + 3])
    inside: list[bool] = []
    has_macros = False
    for at, (text, position) in enumerate(tokens):
        before, after = (texts[at - 1] if at else ""), (texts[at + 1] if at + 1 < len(texts) else "")
        if text in "([{":
            is_macro = text == "(" and before in MACROS and at > 1 and texts[at - 2] == "."
            if is_macro and any(inside):
                _refuse(source, position, "no macro within a macro: its cost is not bounded")
            inside.append(is_macro)
            has_macros = has_macros or is_macro
        elif text in ")]}":
            inside = inside[:-1]
        elif re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", text) and text not in ("true", "false", "null", "in"):
            if after[:1] in ("'", '"') and source[position + len(text)] == after[0]:
                _refuse(source, position, "strings without a prefix")
            if after == "(":
                if text not in FUNCTIONS | MACROS:
                    _refuse(source, position, f"a function of {', '.join(sorted(FUNCTIONS | MACROS))}")
            elif before != "." and text not in VARIABLES | bound and not before.isdigit():
                _refuse(source, position, f"one of {', '.join(sorted(VARIABLES))}")
    return has_macros


def _header_fields(source: str) -> frozenset[bytes]:
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


def _members(source: str, variable: str) -> tuple[str, ...] | None:
    """Return the members of a variable that an expression names, or None where it takes it as a whole."""
    bare = _STRING.sub(lambda one: " " * len(one[0]), source)
    named = re.findall(rf"(?<![.\w]){variable}\s*\.\s*([A-Za-z_]\w*)\b(?!\s*\()", bare)
    whole = re.findall(rf"(?<![.\w]){variable}(?!\w)", bare)
    return tuple(dict.fromkeys(named)) if len(named) == len(whole) else None


def _is_out_of_bounds(claims: Any, *, has_macros: bool) -> bool:
    """Return whether claims hold a number that CEL has no exact form of, or too many items for a macro."""
    waiting = [claims]
    while waiting:
        one = waiting.pop()
        if has_macros and len(one) > LIST_MAX:
            return True
        for value in one.values() if isinstance(one, dict) else one:
            kind = type(value)
            if kind is dict or kind is list:
                waiting.append(value)
            elif kind is int and not INT_MIN <= value <= INT_MAX:
                return True
    return False
