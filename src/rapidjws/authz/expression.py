"""Conditions in the Common Expression Language (CEL); needs the extra ``cel``.

An expression sees ``claims``, ``header``, ``request`` (``method``, ``host``, ``path``), ``partner`` and
``now`` (a timestamp). It is parsed when it is loaded, and names, functions and constants are checked.
Its work is bounded there (``expression_text``): short text, few macros and none within another, patterns that
are constants; and by the longest list in claims, which depends on what the macros do.
Source: https://cel.dev, language definition.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked
from rapidjws.authz.expression_flat import FlatExpression
from rapidjws.authz.expression_text import SYNTAX, VARIABLES, header_fields, list_max, members
from rapidjws.authz.facts import Unmet
from rapidjws.authz.request import header_text, method_of
from rapidjws.errors import error_for
from rapidjws.rollout.routes import route_of

try:
    import cel
except ImportError as missing:
    raise ImportError("expressions need: pip install 'rapidjws[cel]'") from missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rapidjws.authz.facts import Check, Facts

CHARS_MAX: Final = 2048
"""Longest expression, in characters."""

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
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
        "_fields",
        "_flat",
        "_flat_program",
        "_list_max",
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
        self._list_max = list_max(source)
        try:
            self._program = cel.compile(source)
        except Exception as fault:
            found = SYNTAX.search(str(fault))
            expected = "an expression" if found is None else f"line {found[1]}, column {found[2]}: {found[3]}"
            raise error_for("configuration_invalid", "cel", expected) from None
        self._names = frozenset(self._program.variables()) & VARIABLES
        self._claims, self._parts = members(source, "claims"), members(source, "request")
        self.header_fields = header_fields(source)
        reads = "request" in self._names
        self.reads_method = reads and (self._parts is None or "method" in self._parts)
        self.reads_host = reads and (self._parts is None or "host" in self._parts)
        self._try()
        whole = [name for name, of in (("claims", self._claims), ("request", self._parts)) if of is None]
        self._flat = FlatExpression(source, frozenset(whole))
        self._flat_program = cel.compile(self._flat.text)
        self._fields = tuple((field, field.decode()) for field in sorted(self.header_fields))

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
        names, program, read_claims = self._names, self._flat_program, self._read_claims
        read_header, read_request = self._read_header, self._read_request

        def check(facts: Facts) -> Unmet | None:
            values: dict[str, Any] = {}
            if "claims" in names and not read_claims(facts.claims, values):
                return _UNAVAILABLE
            if "header" in names:
                unclear = read_header(facts, values)
                if unclear is not None:
                    return unclear
            if "request" in names:
                unclear = read_request(facts, values)
                if unclear is not None:
                    return unclear
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

    def _read_claims(self, claims: Mapping[str, Any], values: dict[str, Any]) -> bool:
        """Add the claims that are named, or all; return whether they are within bounds."""
        if self._claims is None:
            values["claims"] = claims
            return not _is_out_of_bounds(claims, self._list_max)
        flat = self._flat
        for name, variable in flat.presence["claims"].items():
            values[variable] = name in claims
        for name, variable in flat.members["claims"].items():
            if name in claims:
                value = values[variable] = claims[name]
                if type(value) is not str and _is_out_of_bounds((value,), self._list_max):
                    return False
        return True

    def _read_header(self, facts: Facts, values: dict[str, Any]) -> Unmet | None:
        flat = self._flat
        members, presence = flat.members["header"], flat.presence["header"]
        sent: dict[str, str] = {}
        for field, name in self._fields:
            given = facts.request.headers(field)
            text = header_text(given) if given else None
            if given and text is None:
                return Unmet("ambiguous_request", f"request.header.{name}")
            if name in presence:
                values[presence[name]] = text is not None
            if text is not None:
                sent[name] = text
                if name in members:
                    values[members[name]] = text
        if flat.takes_header:
            values["header"] = sent
        return None

    def _read_request(self, facts: Facts, values: dict[str, Any]) -> Unmet | None:
        path, parts = route_of(facts.path), self._parts
        if path is None:
            return Unmet("ambiguous_request", "request.path")
        found = {"path": path}
        if parts is None or "method" in parts:
            method = method_of(facts.request.method)
            if method is None:  # "" would pass for any method that is not named
                return Unmet("ambiguous_request", "request.method")
            found["method"] = method
        if parts is None or "host" in parts:
            host = facts.host()
            if host is None:
                return Unmet("ambiguous_request", "request.host")
            found["host"] = host
        if parts is None:
            values["request"] = found
            return None
        for name, variable in self._flat.presence["request"].items():
            values[variable] = name in found
        for name, variable in self._flat.members["request"].items():
            if name in found:
                values[variable] = found[name]
        return None

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def _is_out_of_bounds(claims: Any, list_most: int | None) -> bool:
    """Return whether claims hold a number that CEL has no exact form of, or too many items for a macro."""
    waiting = [claims]
    while waiting:
        one = waiting.pop()
        if list_most is not None and len(one) > list_most:
            return True
        for value in one.values() if isinstance(one, dict) else one:
            kind = type(value)
            if kind is dict or kind is list:
                waiting.append(value)
            elif kind is int and not INT_MIN <= value <= INT_MAX:
                return True
    return False
