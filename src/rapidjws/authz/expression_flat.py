"""An expression with a variable for each member that it names: the library takes its time to read maps.

``claims.tid == header["x-tenant"]`` becomes ``v0_ == v1_``, ``has(claims.tier)`` a variable that is true or
false. A member that is not there is a variable that is not there: either is an error of the evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws.authz.expression_text import MACROS, VARIABLES, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator

FLAT: Final = ("claims", "header", "request")
_ALONE: Final[tuple[list[str], ...]] = ([], ["("], [")"], ["&"], ["|"], ["?"], [":"], [","])
"""Tokens beside which ``"x" in header`` is an operand of its own."""


class FlatExpression:
    """The text with variables for members, and which is which.

    Args:
        source: An expression that was checked.
        whole: Variables that it takes as a whole, which stay maps.

    Attributes:
        text: The same expression with other names.
        members: Map -> name of a member -> its variable.
        presence: Map -> name of a member -> the variable that says whether it is there.
        takes_header: Whether ``header`` stays a map: ``in`` stands beside another operator.
    """

    __slots__ = ("members", "presence", "takes_header", "text")

    def __init__(self, source: str, whole: frozenset[str]) -> None:
        self.members: dict[str, dict[str, str]] = {name: {} for name in FLAT}
        self.presence: dict[str, dict[str, str]] = {name: {} for name in FLAT}
        tokens = tokens_of(source)
        texts = [text for text, _ in tokens]
        self.takes_header = not all(
            texts[at - 2 : at - 1] in _ALONE and texts[at + 2 : at + 3] in _ALONE
            for at, text in enumerate(texts)
            if text == "in" and texts[at + 1 : at + 2] == ["header"]
        )
        whole |= {"header"} if self.takes_header else set()
        bound = {
            texts[at + 2] for at in range(len(texts) - 2) if texts[at] in MACROS and texts[at + 1] == "("
        }
        kept = whole | bound & VARIABLES
        made: list[str] = []
        end = at = 0
        while at < len(tokens):
            found = self._member(texts, at, kept)
            count, variable = found if found is not None else (1, texts[at])
            made += [source[end : tokens[at][1]], variable]
            last = tokens[at + count - 1]
            end, at = last[1] + len(last[0]), at + count
        self.text = "".join(made) + source[end:]

    def _member(self, texts: list[str], at: int, kept: frozenset[str] | set[str]) -> tuple[int, str] | None:
        """Return how many tokens from here on name a member, and its variable; None where none is named."""
        next_six, before = texts[at : at + 6], texts[at - 1] if at else ""
        is_has = next_six[:2] == ["has", "("] and next_six[3:4] == ["."] and next_six[5:6] == [")"]
        if is_has and before != "." and next_six[2] in FLAT and next_six[2] not in kept:
            return 6, self._variable(self.presence[next_six[2]], next_six[4], texts)
        if next_six[0] in FLAT and next_six[0] not in kept and before != ".":
            if next_six[1:2] == ["."]:
                return 3, self._variable(self.members[next_six[0]], next_six[2], texts)
            if next_six[1:2] == ["["]:
                return 4, self._variable(self.members[next_six[0]], next_six[2][1:-1], texts)
        if next_six[1:3] == ["in", "header"] and "header" not in kept:
            return 3, self._variable(self.presence["header"], next_six[0][1:-1], texts)
        return None

    def _variable(self, names: dict[str, str], member: str, texts: list[str]) -> str:
        if member not in names:
            names[member] = next(one for one in self._free() if one not in texts)
        return names[member]

    def _free(self) -> Iterator[str]:
        """Yield names that nothing has yet."""
        used = {
            one for table in (self.members, self.presence) for of in table.values() for one in of.values()
        }
        yield from (name for number in range(10_000) if (name := f"v{number}_") not in used)
