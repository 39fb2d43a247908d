"""The pattern language of claim rules, read into a tree over octets of UTF-8.

A subset of regular expressions that a finite automaton decides: characters, ``.``, classes, groups, ``|``,
and the repeats ``* + ? {m} {m,} {m,n}``. What needs backtracking (back references, look-around, lazy and
possessive repeats, word boundaries) is not in it.
"""

from __future__ import annotations

from typing import Final, NamedTuple, NoReturn

from rapidjws.errors import error_for

PATTERN_MAX_CHARS: Final = 1024
REPEAT_MAX: Final = 255
"""Largest number in ``{m,n}``."""

_NESTING_MAX: Final = 32
_LAST: Final = 0x10FFFF
_DIGITS: Final = ((0x30, 0x39),)
_WORDS: Final = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACES: Final = ((0x09, 0x0D), (0x20, 0x20))
_NEWLINE: Final = ((0x0A, 0x0A),)
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}

Range = tuple[int, int]
Ranges = tuple[Range, ...]


class Octet(NamedTuple):
    """One octet out of some ranges."""

    ranges: Ranges


class Sequence(NamedTuple):
    """One node after the other; none: the empty text."""

    nodes: tuple[Node, ...]


class Choice(NamedTuple):
    """One node out of several; none: nothing matches."""

    nodes: tuple[Node, ...]


class Repeat(NamedTuple):
    """A node so many times; ``most`` None: without an end."""

    node: Node
    least: int
    most: int | None


Node = Octet | Sequence | Choice | Repeat


_MORE: Final = Octet(((0x80, 0xBF),))
_OTHERS: Final = (
    Sequence((Octet(((0xC2, 0xDF),)), _MORE)),
    Sequence((Octet(((0xE0, 0xEF),)), _MORE, _MORE)),
    Sequence((Octet(((0xF0, 0xF4),)), _MORE, _MORE, _MORE)),
)
"""Every character that is not ASCII."""


def parse(text: str) -> Node:
    """Read a pattern; it stands for whole texts, so ``^`` in front and ``$`` at the end change nothing.

    Raises:
        ConfigurationError: ``configuration_invalid``: what is not in the language, and where.
    """
    if len(text) > PATTERN_MAX_CHARS:
        raise error_for("configuration_invalid", "pattern", f"at most {PATTERN_MAX_CHARS} characters")
    parser = _Parser(text)
    node = parser.choice(0)
    if parser.at < parser.end:
        parser.refuse("a pattern in which each parenthesis has its partner")
    return node


class _Parser:
    """A place in a pattern."""

    def __init__(self, text: str) -> None:
        escapes = len(text) - 1 - len(text[:-1].rstrip("\\")) if text.endswith("$") else 0
        self.end = len(text) - (text.endswith("$") and escapes % 2 == 0)
        self.at = 1 if text.startswith("^") and self.end else 0
        self.text = text

    def refuse(self, expected: str) -> NoReturn:
        """Raise the error of this place."""
        raise error_for("configuration_invalid", f"pattern, character {self.at + 1}", expected)

    def peek(self) -> str:
        """Return the next character, or an empty text at the end."""
        return self.text[self.at] if self.at < self.end else ""

    def take(self) -> str:
        """Return the next character and go past it."""
        if self.at >= self.end:
            self.refuse("a pattern that does not end here")
        self.at += 1
        return self.text[self.at - 1]

    def choice(self, depth: int) -> Node:
        """Read alternatives up to the end or a closing parenthesis."""
        if depth > _NESTING_MAX:
            self.refuse(f"at most {_NESTING_MAX} groups in each other")
        found = [self.sequence(depth)]
        while self.peek() == "|":
            self.at += 1
            found.append(self.sequence(depth))
        return found[0] if len(found) == 1 else Choice(tuple(found))

    def sequence(self, depth: int) -> Node:
        """Read what stands side by side."""
        found: list[Node] = []
        while self.peek() not in ("", "|", ")"):
            found.append(self.repeated(self.atom(depth)))
        return found[0] if len(found) == 1 else Sequence(tuple(found))

    def atom(self, depth: int) -> Node:
        """Read one character, class or group."""
        char = self.take()
        if char == "(":
            return self.group(depth)
        if char == "[":
            return octets_of(self.char_class())
        if char == ".":
            return octets_of(inverted(_NEWLINE))
        if char == "\\":
            return octets_of(self.escape())
        if char in "*+?{}^$]":
            self.at -= 1
            self.refuse(f"\\{char} where the character {char} is meant")
        return octets_of(((ord(char), ord(char)),))

    def group(self, depth: int) -> Node:
        """Read a group; its parenthesis is behind."""
        if self.peek() == "?":
            if not self.text.startswith("?:", self.at):
                self.refuse("(...) or (?:...): groups with other marks need backtracking")
            self.at += 2
        node = self.choice(depth + 1)
        if self.peek() != ")":
            self.refuse("a closing parenthesis")
        self.at += 1
        return node

    def repeated(self, node: Node) -> Node:
        """Read the repeat behind a node, if there is one."""
        bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(self.peek())
        if bounds is not None:
            self.at += 1
        elif self.peek() == "{":
            bounds = self.counts()
        else:
            return node
        if self.peek() in tuple("*+?{"):
            self.refuse("one repeat: lazy, possessive and doubled ones need backtracking")
        return Repeat(node, *bounds)

    def counts(self) -> tuple[int, int | None]:
        """Read ``{m}``, ``{m,}`` or ``{m,n}``."""
        closing = self.text.find("}", self.at, self.end)
        least, comma, most = self.text[self.at + 1 : max(closing, self.at + 1)].partition(",")
        numbers = [one for one in (least, most) if one]
        if not least or not all(one.isascii() and one.isdigit() and len(one) < 4 for one in numbers):
            self.refuse("{m}, {m,} or {m,n}")
        low, high = int(least), int(most) if most else None if comma else int(least)
        if max(low, high or 0) > REPEAT_MAX or (high is not None and high < low):
            self.refuse(f"repeats from 0 to {REPEAT_MAX}, the smaller number first")
        self.at = closing + 1
        return low, high

    def escape(self) -> Ranges:
        """Read what follows a backslash."""
        char = self.take()
        for letter, ranges in (("d", _DIGITS), ("w", _WORDS), ("s", _SPACES)):
            if char.lower() == letter:
                return ranges if char == letter else inverted(ranges)
        if char in _CONTROLS:
            char = _CONTROLS[char]
        elif char.isalnum() or not char.isascii():
            self.at -= 1
            self.refuse("an escape of \\d \\w \\s \\t \\n \\r \\f \\v, or of a punctuation mark")
        return ((ord(char), ord(char)),)

    def char_class(self) -> Ranges:
        """Read a class; its opening bracket is behind."""
        is_inverted = self.peek() == "^"
        self.at += is_inverted
        found: list[Range] = []
        while self.peek() != "]" or not found:
            if self.peek() == "[":
                self.refuse("\\[ in a class")
            low = self.class_member()
            is_range = self.peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", "")
            if not is_range:
                found += low
                continue
            self.at += 1
            high = self.class_member()
            if len(low) + len(high) != 2 or low[0][0] != low[0][1] or high[0][0] != high[0][1]:
                self.refuse("a range between two characters")
            if low[0][0] > high[0][0]:
                self.refuse("a range whose first character is the smaller one")
            found.append((low[0][0], high[0][0]))
        self.at += 1
        ranges = merged(found)
        return inverted(ranges) if is_inverted else ranges

    def class_member(self) -> Ranges:
        """Read one character or escape of a class."""
        char = self.take()
        return self.escape() if char == "\\" else ((ord(char), ord(char)),)


def merged(ranges: list[Range] | Ranges) -> Ranges:
    """Return ranges in order, none touching another."""
    found: list[Range] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)


def inverted(ranges: Ranges) -> Ranges:
    """Return all characters but these."""
    found, low = [], 0
    for first, last in merged(ranges):
        if low < first:
            found.append((low, first - 1))
        low = last + 1
    if low <= _LAST:
        found.append((low, _LAST))
    return tuple(found)


def octets_of(ranges: Ranges) -> Node:
    """Return ranges of characters as octets of UTF-8 (RFC 3629 s.3)."""
    plain = tuple((low, min(high, 0x7F)) for low, high in ranges if low <= 0x7F)
    found: list[Node] = [Octet(plain)] if plain else []
    if ranges and ranges[-1][0] <= 0x80 and ranges[-1][1] == _LAST:  # all others: the text is UTF-8 for sure
        return Choice((*found, *_OTHERS))
    for low, high in ranges:
        for first, last in ((0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, _LAST)):
            if max(low, first) <= min(high, last):
                found += _split(chr(max(low, first)).encode(), chr(min(high, last)).encode())
    return found[0] if len(found) == 1 else Choice(tuple(found))


def _split(low: bytes, high: bytes) -> list[Node]:
    """Return the sequences of octets from one character to another of as many octets."""
    if len(low) == 1:
        return [Octet(((low[0], high[0]),))]
    least, most = b"\x80" * (len(low) - 1), b"\xbf" * (len(low) - 1)
    if low[0] == high[0]:
        return [Sequence((Octet(((low[0], low[0]),)), tail)) for tail in _split(low[1:], high[1:])]
    found: list[Node] = []
    first, last = low[0], high[0]
    if low[1:] != least:
        found += [Sequence((Octet(((first, first),)), tail)) for tail in _split(low[1:], most)]
        first += 1
    ending: list[Node] = []
    if high[1:] != most:
        ending = [Sequence((Octet(((last, last),)), tail)) for tail in _split(least, high[1:])]
        last -= 1
    if first <= last:
        found.append(Sequence((Octet(((first, last),)), *([_MORE] * (len(low) - 1)))))
    return found + ending
