"""Several authorization servers that are asked, each about tokens of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rapidjws._checks import checked, refused
from rapidjws.errors import error_for
from rapidjws.introspection.introspection import Introspection

if TYPE_CHECKING:
    from rapidjws.jwt.decision import Names
    from rapidjws.verify.protocols import SenderCheck
    from rapidjws.verify.result import VerifiedJWS
    from rapidjws.verify.snapshot import Token


class IntrospectionServers:
    """Introspection at several servers: each second opinion that is due on a token must call it active.

    Args:
        servers: What is asked of each. One of them at most takes opaque tokens: these name no issuer, and a
            server is not to see tokens of another one.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_opaque", "_servers")

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
        self._opaque = opaque[0] if opaque else None

    def is_opaque(self, token: Token) -> bool:
        """Return whether a token is no JWS and could be one of the server's that takes them."""
        return self._opaque is not None and self._opaque.is_opaque(token)

    def is_known(self, token: Token) -> bool:
        """Return whether nobody waits for any server on this token now."""
        return all(one.is_known(token) for one in self._servers)

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
