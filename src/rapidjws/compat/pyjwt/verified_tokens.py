"""A bounded memory of tokens that a public key verified, read and written without a lock.

Tokens lie in two generations, as keys in ``KeyCache``: a full young one becomes the old one, and what comes
again moves back. Only tokens that verified enter, so a stranger fills nothing; races of threads lose a token
at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rapidjws.jwt.engine import Engine
    from rapidjws.verify.key_table import PreparedKey

MAX_TOKENS: Final = 2048
MAX_CHARS: Final = 2 << 20
"""Of one generation; two are kept."""


class VerifiedTokens:
    """Which engine verified a token, to the letter, and by which of its keys.

    Args:
        max_tokens: Most tokens of one generation.
        max_chars: Most characters of one generation.
    """

    __slots__ = ("_chars", "_old", "_young", "max_chars", "max_tokens")

    def __init__(self, max_tokens: int = MAX_TOKENS, max_chars: int = MAX_CHARS) -> None:
        self.max_tokens = max_tokens
        self.max_chars = max_chars
        self._young: dict[str | bytes, tuple[Engine, PreparedKey]] = {}
        self._old: dict[str | bytes, tuple[Engine, PreparedKey]] = {}
        self._chars = 0

    def key(self, token: str | bytes, engine: Engine) -> PreparedKey | None:
        """Return the key of this very engine by which a token verified, or None."""
        found = self._young.get(token)
        if found is None:
            found = self._old.get(token)
            if found is None:
                return None
            self.put(token, *found)
        return found[1] if found[0] is engine else None

    def put(self, token: str | bytes, engine: Engine, key: PreparedKey) -> None:
        """Remember a token whose signature was good."""
        chars = self._chars + len(token)
        if len(self._young) >= self.max_tokens or chars > self.max_chars:
            chars = len(token)
            if chars > self.max_chars:
                return
            self._old, self._young = self._young, {}
        self._young[token] = (engine, key)
        self._chars = chars

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}
        self._chars = 0
