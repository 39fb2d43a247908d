"""A pattern for whole texts, decided in one step an octet: a deterministic automaton, built at construction.

There is no backtracking engine, so no text can take long. A pattern that another engine might evaluate for
ever (a repeat inside a repeat that share texts, such as ``(a+)+``), or that needs too many states, is
refused.

Source: Thompson 1968; Glushkov 1961; Weber and Seidl 1991 (ambiguity); RFC 9485 has a similar language.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose._pattern_syntax import Choice, Node, Octet, Ranges, Repeat, Sequence, parse

POSITIONS_MAX: Final = 4096
"""Most octets that a pattern names, its repeats written out."""
STATES_MAX: Final = 2048
_STEPS_MAX: Final = 400_000
"""Steps after which looking for ambiguity, or for states, ends with a refusal."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """A pattern as the core reads it; state 0 is dead, state 1 the first.

    Attributes:
        classes: Octet -> its class.
        next: State times the number of classes, plus class -> state.
        accepting: State -> 1 where a text may end.
    """

    classes: bytes
    next: array[int]
    accepting: bytes

    def accepts(self, text: str) -> bool:
        """Say whether the whole text is accepted."""
        state, width = 1, max(self.classes) + 1
        for octet in text.encode("utf-8", "surrogatepass"):
            state = self.next[state * width + self.classes[octet]]
            if not state:
                return False
        return bool(self.accepting[state])


@lru_cache(maxsize=256)
def automaton(pattern: str) -> Automaton:
    """Build a pattern's automaton.

    Raises:
        ConfigurationError: ``configuration_invalid``: not in the language, ambiguous, or too large.
    """
    positions = _Positions()
    ends = positions.add(parse(pattern))
    _refuse_ambiguity(positions)
    return _determined(positions, ends)


class _Ends:
    """Which positions a node begins and ends with, and whether it may be empty."""

    __slots__ = ("first", "is_empty", "last")

    def __init__(self, is_empty: bool, first: list[int], last: list[int]) -> None:
        self.is_empty, self.first, self.last = is_empty, first, last


class _Positions:
    """The octets of a pattern, and which may follow which (Glushkov's automaton)."""

    def __init__(self) -> None:
        self.ranges: list[Ranges] = []
        self.follow: list[list[int]] = []
        self.steps = 0

    def add(self, node: Node) -> _Ends:
        """Add a node; return its ends."""
        if isinstance(node, Octet):
            if len(self.ranges) >= POSITIONS_MAX:
                raise _too_large(f"at most {POSITIONS_MAX} octets, repeats written out")
            self.ranges.append(node.ranges)
            self.follow.append([])
            return _Ends(False, [len(self.ranges) - 1], [len(self.ranges) - 1])
        if isinstance(node, Sequence):
            ends = _Ends(True, [], [])
            for one in node.nodes:
                ends = self.joined(ends, self.add(one))
            return ends
        if isinstance(node, Choice):
            found = [self.add(one) for one in node.nodes]
            return _Ends(
                any(one.is_empty for one in found),
                [at for one in found for at in one.first],
                [at for one in found for at in one.last],
            )
        return self.repeated(node)

    def joined(self, left: _Ends, right: _Ends) -> _Ends:
        """Put one after the other."""
        self.connect(left.last, right.first)
        return _Ends(
            left.is_empty and right.is_empty,
            left.first + right.first if left.is_empty else left.first,
            left.last + right.last if right.is_empty else right.last,
        )

    def connect(self, last: list[int], first: list[int]) -> None:
        """Let each of some positions be followed by each of others."""
        self.steps += len(last) * len(first)
        if self.steps > _STEPS_MAX:
            raise _too_large("fewer repeats and alternatives")
        for at in last:
            self.follow[at] += first

    def repeated(self, node: Repeat) -> _Ends:
        """Add a node as often as it must come, and then as often as it may."""
        ends = _Ends(True, [], [])
        if node.most is None:
            for _ in range(max(0, node.least - 1)):
                ends = self.joined(ends, self.add(node.node))
            looped = self.add(node.node)
            self.connect(looped.last, looped.first)
            return self.joined(ends, _Ends(looped.is_empty or not node.least, looped.first, looped.last))
        for _ in range(node.least):
            ends = self.joined(ends, self.add(node.node))
        rest = _Ends(True, [], [])
        for _ in range(node.most - node.least):  # from the inside out: x{0,2} is (x(x)?)?
            one = self.add(node.node)
            rest = self.joined(one, rest)
            rest.is_empty = True
        return self.joined(ends, rest)


def _too_large(expected: str) -> RapidJWSError:
    return error_for("configuration_invalid", "pattern", expected, "a pattern that could explode")


def _overlap(one: Ranges, other: Ranges) -> bool:
    return any(a[0] <= b[1] and b[0] <= a[1] for a in one for b in other)


def _refuse_ambiguity(positions: _Positions) -> None:
    """Refuse a pattern in which one text can go round a loop in two ways: their number doubles each time."""
    loops = _components(positions.follow)
    inside = [[to for to in follow if loops[to] == loops[at]] for at, follow in enumerate(positions.follow)]
    if any(len(set(follow)) != len(follow) for follow in inside):
        raise _ambiguous()
    queue = deque((at, at) for at, follow in enumerate(inside) if follow)
    came_from: dict[tuple[int, int], list[tuple[int, int]]] = {pair: [] for pair in queue}
    steps = 0
    while queue:
        one, other = pair = queue.popleft()
        for to in inside[one]:
            for beside in inside[other]:
                steps += 1
                if steps > _STEPS_MAX:
                    raise _too_large("a simpler pattern")
                if to != beside and not _overlap(positions.ranges[to], positions.ranges[beside]):
                    continue
                known = came_from.get((to, beside))
                if known is None:
                    came_from[to, beside] = [pair]
                    queue.append((to, beside))
                else:
                    known.append(pair)
    back, seen = [pair for pair in came_from if pair[0] == pair[1]], set()
    while back:
        for pair in came_from[back.pop()]:
            if pair not in seen:
                if pair[0] != pair[1]:
                    raise _ambiguous()
                seen.add(pair)
                back.append(pair)


def _ambiguous() -> RapidJWSError:
    expected = "no repeat inside a repeat by which one text matches in several ways: (a+)+ is a+"
    return error_for("configuration_invalid", "pattern", expected, "a pattern that could explode")


def _components(follow: list[list[int]]) -> list[int]:
    """Return the strongly connected component of each position (Tarjan's algorithm, without recursion)."""
    number, low, component = [-1] * len(follow), [0] * len(follow), [-1] * len(follow)
    open_: list[int] = []
    count = 0
    for root in range(len(follow)):
        work = [(root, 0)] if number[root] < 0 else []
        while work:
            at, child = work.pop()
            if child == 0:
                number[at] = low[at] = count
                count += 1
                open_.append(at)
            elif component[follow[at][child - 1]] < 0:
                low[at] = min(low[at], low[follow[at][child - 1]])
            for index in range(child, len(follow[at])):
                to = follow[at][index]
                if number[to] < 0:
                    work += [(at, index + 1), (to, 0)]
                    break
                if component[to] < 0:
                    low[at] = min(low[at], number[to])
            else:
                if low[at] == number[at]:
                    while component[at] < 0:
                        component[open_.pop()] = at
    return component


def _determined(positions: _Positions, ends: _Ends) -> Automaton:
    """Return the deterministic automaton: a state stands for a set of positions."""
    classes, members = _octet_classes(positions.ranges)
    last = frozenset(ends.last)
    start = -1
    states: dict[frozenset[int], int] = {frozenset(): 0, frozenset((start,)): 1}
    table = array("H", bytes(2 * len(members)))
    accepting = bytearray((0, ends.is_empty))
    todo, steps = [frozenset((start,))], 0
    for state in todo:
        goes: list[set[int]] = [set() for _ in members]
        following = {to for at in state for to in (ends.first if at == start else positions.follow[at])}
        for to in following:
            for number, octet in enumerate(members):
                if any(low <= octet <= high for low, high in positions.ranges[to]):
                    goes[number].add(to)
        steps += len(following)
        if len(states) > STATES_MAX or steps > _STEPS_MAX:
            raise _too_large(f"a pattern of at most {STATES_MAX} states")
        for reached in map(frozenset, goes):
            if reached not in states:
                states[reached] = len(states)
                accepting.append(not last.isdisjoint(reached))
                todo.append(reached)
            table.append(states[reached])
    return Automaton(classes, table, bytes(accepting))


def _octet_classes(ranges: list[Ranges]) -> tuple[bytes, list[int]]:
    """Return octet -> class, and a member of each class: octets that no range tells apart are one class."""
    edges = {0} | {edge for one in ranges for low, high in one for edge in (low, high + 1)}
    members = sorted(edge for edge in edges if edge <= 0xFF)
    classes = bytearray()
    for number, low in enumerate(members):
        end = members[number + 1] if number + 1 < len(members) else 0x100
        classes += bytes([number]) * (end - low)
    return bytes(classes), members
