"""Several authorization servers that are asked, each about tokens of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from rapidjws._checks import checked, refused
from rapidjws.errors import error_for
from rapidjws.introspection.introspection import Introspection

if TYPE_CHECKING:
    from rapidjws.jwt.decision import Names
    from rapidjws.verify.protocols import SenderCheck
    from rapidjws.verify.result import VerifiedJWS
    from rapidjws.verify.snapshot import Token

NAMED_MAX: Final = 4096
"""Most tokens of which it is remembered whose they are."""


class IntrospectionServers:
    """Introspection at several servers: each second opinion that is due on a token must call it active.

    Args:
        servers: What is asked of each. One of them at most takes opaque tokens: these name no issuer, and a
            server is not to see tokens of another one.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_named", "_opaque", "_servers")

    @checked(but=("servers",))
    def __init__(self, *servers: Introspection) -> None:
        for one in servers:
            if not isinstance(one, Introspection):
                raise refused("servers", "an Introspection each", one)
        if not servers:
            raise error_for("configuration_invalid", "servers", expected="at least one server")
        opaque = [one for one in servers if one.takes_opaque]
        if len(opaque) > 1:
            raise error_for("configuration_invalid", "opaque_issuer", expected="one server with it at most")
        self._servers = servers
        self._named: dict[bytes, tuple[str, ...]] = {}
        self._opaque = opaque[0] if opaque else None

    def is_opaque(self, token: Token) -> bool:
        """Return whether a token is no JWS and could be one of the server's that takes them."""
        return self._opaque is not None and self._opaque.is_opaque(token)

    def is_known(self, token: Token, named: Callable[[], tuple[str, ...]] | None = None) -> bool:
        """Return whether nobody waits for any server on this token now: only those that are due count.

        Args:
            token: The token.
            named: Gives the issuers that it names, unverified; None where that is not known: then all count.
        """
        if self._opaque is not None and self._opaque.is_opaque(token):
            return self._opaque.is_known(token)
        if named is None:
            return all(one.is_known(token) for one in self._servers)
        digest = hashlib.sha256(token.encode() if isinstance(token, str) else token).digest()
        remembered = self._named.get(digest)
        names = named() if remembered is None else remembered
        due = [one for one in self._servers if not names or one.concerns(names)]
        if not all(one.is_known(token) for one in due):
            return False
        if due and remembered is None:  # it was asked for, so it verified: strangers fill nothing
            if len(self._named) >= NAMED_MAX:
                self._named.clear()
            self._named[digest] = names
        return True

    def check(
        self, token: Token, route: Names, sender: SenderCheck | None, named: Callable[[], tuple[str, ...]]
    ) -> SenderCheck | None:
        """Return the second opinions on a token, before the check of who sent it.

        Args:
            token: The token.
            route: What is asked for.
            sender: The check of who sent it, or None.
            named: Gives the issuers that it names, unverified: only for telling whether somebody may wait.
        """
        for one in reversed(self._servers):
            sender = one.check(token, route, sender, named)
        return sender

    def introspected(self, token: Token, now_ns: int) -> VerifiedJWS:
        """Return an opaque token that its server calls active; as ``Introspection.introspected``.

        Args:
            token: The token.
            now_ns: Nanoseconds since the epoch, for its dates.
        """
        if self._opaque is None:  # nobody takes it
            raise error_for("token_inactive", "token")
        return self._opaque.introspected(token, now_ns)

    def concerns(self, issuers: Iterable[str]) -> bool:
        """Return whether a second opinion is due on tokens of one of these issuers."""
        names = tuple(issuers)
        return any(one.concerns(names) for one in self._servers)
