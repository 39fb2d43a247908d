"""Rules for the values of claims: what a claim must be, by name or by JSON Pointer (RFC 6901).

The core evaluates them where it can, without building an object; this module is the plain definition of what
they mean, and finds the words for a refusal.

Values are compared strictly: a string by its code points after JSON's escapes are undone, ``True`` is not
1, a string is no list of one. Numbers are equal where the numbers as written are: 1, 1.0 and 1e0 are one
number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import is_text
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.json_pointer import split_pointer

if TYPE_CHECKING:
    from rapidjws.jose.claim_pattern import Automaton

Value = str | int | float | bool
"""A value that a claim is compared with."""

RULES_MAX: Final = 64
"""Most rules of one issuer."""
VALUES_MAX: Final = 10_000
"""Most values of one rule."""


class NotChecked(Enum):
    """The written choice not to check something that is checked by default."""

    NOT_CHECKED = "not checked"

    def __repr__(self) -> str:
        return "NOT_CHECKED"


NOT_CHECKED: Final = NotChecked.NOT_CHECKED
"""The written choice not to check.

``Issuer(audience=NOT_CHECKED)``: ``aud`` may name anybody, for issuers that serve nobody else. As the rule of
a claim, beside a profile, it takes the profile's rule away: ``claims={"azp": NOT_CHECKED}``.
"""


class ClaimRule:
    """What a claim must be; one of the classes below."""

    __slots__ = ()


class ValuesRule(ClaimRule):
    """A rule that knows some values."""

    __slots__ = ("values",)
    values: tuple[Value, ...]

    def __init__(self, *values: Value) -> None:
        self.values = _checked_values(type(self).__name__, values)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _keys(other.values) == _keys(self.values)

    def __hash__(self) -> int:
        return hash((type(self), frozenset(_keys(self.values))))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.values))})"


class OneOf(ValuesRule):
    """A single value that equals one of these.

    Args:
        values: Strings, numbers, True or False; at least one.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ()


class Contains(ValuesRule):
    """A list that holds each of these values, and perhaps others; a single value is no list.

    Args:
        values: Strings, numbers, True or False; at least one.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ()


class ContainsAny(ValuesRule):
    """A list that holds at least one of these values.

    Args:
        values: Strings, numbers, True or False; at least one.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ()


class ContainsOnly(ValuesRule):
    """A single value that equals one of these, or a list, not empty, that holds nothing else.

    Args:
        values: Strings, numbers, True or False; at least one.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ()


class Prefix(ValuesRule):
    """A string that begins with one of these texts.

    Args:
        values: Texts, none of them empty; at least one.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ()

    def __init__(self, *values: str) -> None:
        super().__init__(*values)
        if not all(isinstance(value, str) and value for value in values):
            raise error_for("configuration_invalid", "Prefix", "texts that are not empty")


class Pattern(ClaimRule):
    """A string that a pattern describes from its first character to its last.

    The language is the part of regular expressions that needs no backtracking: characters, ``.`` (all but a
    line feed), classes, groups, ``|``, ``* + ? {m,n}``; ``\\d``, ``\\w`` and ``\\s`` mean ASCII. It becomes a
    table of states at construction: a check takes one step an octet, whatever the text.

    Args:
        pattern: The pattern.

    Raises:
        ConfigurationError: ``configuration_invalid``: not in the language; a repeat inside a repeat by which
            one text matches in several ways, which elsewhere could take for ever; too many states.
    """

    __slots__ = ("automaton", "pattern")
    automaton: Automaton
    pattern: str

    def __init__(self, pattern: str) -> None:
        if not is_text(pattern):
            raise error_for("configuration_invalid", "pattern", "a string", type(pattern).__name__)
        from rapidjws.jose.claim_pattern import automaton

        self.pattern = pattern
        self.automaton = automaton(pattern)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.pattern == self.pattern

    def __hash__(self) -> int:
        return hash((Pattern, self.pattern))

    def __repr__(self) -> str:
        return f"Pattern({self.pattern!r})"


class _Presence(ClaimRule):
    """A rule about whether a claim is there."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        return self.name


PRESENT: Final = _Presence("PRESENT")
"""The claim must be there and not null."""
ABSENT: Final = _Presence("ABSENT")
"""The claim must not be there, not even as null."""
OBJECT: Final = _Presence("OBJECT")
"""The claim must be an object (of profiles)."""
NON_EMPTY_OBJECT: Final = _Presence("NON_EMPTY_OBJECT")
"""The claim must be an object with a member (of profiles)."""


class PresentOr(ClaimRule):
    """A claim that must be there unless another one is (of profiles).

    Args:
        other: The other claim.
    """

    __slots__ = ("other",)

    def __init__(self, other: str) -> None:
        self.other = other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PresentOr) and other.other == self.other

    def __hash__(self) -> int:
        return hash((PresentOr, self.other))


class AuthorizedParty(ClaimRule):
    """An ``azp`` that is one of our clients where it is there, and is there where ``aud`` has several values.

    Args:
        clients: Our client IDs; none where they are not known, and then any value passes.

    Source: OpenID Connect Core 1.0 s.3.1.3.7 steps 4 and 5.
    """

    __slots__ = ("clients",)

    def __init__(self, *clients: str) -> None:
        self.clients = clients

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AuthorizedParty) and other.clients == self.clients

    def __hash__(self) -> int:
        return hash((AuthorizedParty, self.clients))

    def __repr__(self) -> str:
        return f"AuthorizedParty({', '.join(map(repr, self.clients))})"


Check = Callable[[Any], Any]
"""Decides about one value; True passes, everything else and every exception refuses."""
Rule = ClaimRule | NotChecked | Value | Iterable[Value] | Check
"""What ``Issuer(claims=...)`` takes for one claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRule:
    """A rule and the claim that it is about.

    Attributes:
        name: The claim, as it was configured.
        path: Member names from the root on.
        rule: What it must be; a function for the last resort.
        or_next: Whether the rule after it may pass instead.
    """

    name: str
    path: tuple[str, ...]
    rule: ClaimRule | Check
    or_next: bool = False

    @property
    def place(self) -> str:
        """Return the claim as an error's place."""
        return f"claims{'' if self.name.startswith('/') else '.'}{self.name}"


def checked_rules(claims: Mapping[str, Rule], place: str = "claims") -> tuple[PathRule, ...]:
    """Return rules in their one form; those that need Python come last.

    Args:
        claims: Claim, or JSON Pointer -> what it must be: a value, several values (a set or a list: one of
            them), a rule, or a function.
        place: The argument's name, for errors.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if not isinstance(claims, Mapping):
        raise error_for("configuration_invalid", place, "a mapping of claims", type(claims).__name__)
    if len(claims) > RULES_MAX:
        raise error_for("configuration_invalid", place, f"at most {RULES_MAX} rules", len(claims))
    found: list[PathRule] = []
    for name, given in claims.items():
        if not is_text(name) or not name:
            raise error_for("configuration_invalid", place, "names of claims, not empty", type(name).__name__)
        try:
            found.extend(_path_rules(name, given))
        except RapidJWSError as fault:
            inner = f"{place}[{name!r}]" + (f".{fault.place}" if fault.place else "")
            raise error_for("configuration_invalid", inner, fault.expected, fault.actual) from None
    return tuple(sorted(found, key=lambda one: not isinstance(one.rule, ClaimRule)))


def _path_rules(name: str, given: Any) -> Iterator[PathRule]:
    """Yield the rules that were given for one claim: some are an alternative of two."""
    if given is NOT_CHECKED:
        return
    if isinstance(given, PresentOr):
        yield _path_rule(name, PRESENT, or_next=True)
        yield _path_rule(given.other, PRESENT)
    elif isinstance(given, AuthorizedParty):
        yield _path_rule("/aud/1", ABSENT, or_next=True)  # no second audience
        yield _path_rule(name, PRESENT)
        if given.clients:
            yield _path_rule(name, ABSENT, or_next=True)
            yield _path_rule(name, OneOf(*given.clients))
    else:
        yield _path_rule(name, _checked_rule(given))


def _path_rule(name: str, rule: ClaimRule | Check, *, or_next: bool = False) -> PathRule:
    return PathRule(name=name, path=path_of(name), rule=rule, or_next=or_next)


def path_of(name: str) -> tuple[str, ...]:
    """Return the member names that lead to a claim.

    Args:
        name: A claim's name; what begins with a slash is a JSON Pointer.

    Raises:
        ConfigurationError: ``configuration_invalid``: no JSON Pointer.

    Source: RFC 6901 s.3, s.4.
    """
    if not name.startswith("/"):
        return (name,)
    tokens = split_pointer(name)
    if tokens is None:
        raise error_for("configuration_invalid", None, "a JSON Pointer: ~ as ~0, / in a name as ~1")
    if len(tokens) > 32:  # as deep as claims may be
        raise error_for("configuration_invalid", None, "a JSON Pointer of at most 32 names", len(tokens))
    return tokens


def _checked_rule(given: Any) -> ClaimRule | Check:
    """Return what was given for a claim as a rule."""
    if isinstance(given, ClaimRule) or (callable(given) and not isinstance(given, type)):
        return given
    if isinstance(given, (str, int, float)):
        return OneOf(given)
    if isinstance(given, Iterable) and not isinstance(given, (bytes, bytearray, memoryview, Mapping)):
        ordered = sorted(given, key=repr) if isinstance(given, (set, frozenset)) else given
        return OneOf(*ordered)
    expected = "a value, several values, a rule such as Contains, PRESENT or ABSENT, or a function"
    raise error_for("configuration_invalid", None, expected, type(given).__name__)


def _checked_values(kind: str, values: tuple[Any, ...]) -> tuple[Value, ...]:
    """Return values that a JSON text can hold, each once."""
    if not 0 < len(values) <= VALUES_MAX:
        raise error_for("configuration_invalid", kind, f"1 to {VALUES_MAX} values", len(values))
    for value in values:
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise error_for("configuration_invalid", kind, "numbers of at most 64 bits")
        is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
        if not is_text(value) and not is_number:
            expected = "strings, numbers, True or False"
            raise error_for("configuration_invalid", kind, expected, type(value).__name__)
    return tuple(dict(zip(_keys(values), values, strict=True)).values())


def _keys(values: tuple[Any, ...]) -> list[tuple[bool, Any]]:
    """Return what tells values apart: True is not 1."""
    return [(isinstance(value, bool), value) for value in values]
