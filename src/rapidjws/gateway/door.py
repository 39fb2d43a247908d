"""What the doors share: their settings, checked once, and how a request's parts become a question.

A door of each framework reads headers in its own way and asks here. What this never does: any I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from rapidjws.gateway.answer import Answer, answer_for, checked_realm
from rapidjws.gateway.place import TokenPlace

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import NotRequired, TypedDict

    from rapidjws.engine.decision import Decision
    from rapidjws.engine.engine import Engine

KEY = "rapidjws"
"""Where the decision stands in a scope, an environ or a request."""

RequestT = TypeVar("RequestT")


class Asked(NamedTuple):
    """Hold what a request says about itself.

    Attributes:
        values: Each value of the header named by ``Door.field``, in the order of the request.
        query: The query of its target, as it was sent.
        partner: Who is asking, or None.
        route: The path that is asked for, or None.
        scopes: The scopes that are due.
    """

    values: list[bytes]
    query: bytes
    partner: str | None
    route: str | None
    scopes: tuple[str, ...] = ()


if TYPE_CHECKING:

    class DoorSettings(TypedDict, Generic[RequestT]):
        """Name the arguments of :class:`Door` for those who hand them on."""

        engine: Engine
        place: NotRequired[TokenPlace | None]
        partner_of: NotRequired[Callable[[RequestT], str | None] | None]
        realm: NotRequired[str]
        exempt: NotRequired[frozenset[str]]


class Door(Generic[RequestT]):
    """Hold the settings of a door.

    Args:
        engine: Decides.
        place: Where tokens stand.
        partner_of: Names the partner of a request (a scope, an environ, a context), from what authenticates
            it beside the token (a client certificate, an API key); None where nobody is known. Never from a
            header that any client can set.
        realm: The ``realm`` of challenges.
        exempt: Paths that need no token, exactly as they are: health checks.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        place: TokenPlace | None = None,
        partner_of: Callable[[RequestT], str | None] | None = None,
        realm: str = "api",
        exempt: frozenset[str] = frozenset(),
    ) -> None:
        self.engine = engine
        self.place = place or TokenPlace()
        self.realm = checked_realm(realm, "door.realm")
        self.exempt = exempt
        self._partner_of = partner_of

    @property
    def field(self) -> bytes:
        """Return the lower-case name of the header that is read."""
        return self.place.field

    def decide(self, asked: Asked) -> Decision:
        """Decide about a request."""
        token = self.place.token(asked.values, asked.query)
        return self.engine.decide(token, partner=asked.partner, route=asked.route, scopes=asked.scopes)

    async def adecide(self, asked: Asked) -> Decision:
        """Decide about a request from asyncio, without holding up the loop."""
        token = self.place.token(asked.values, asked.query)
        return await self.engine.adecide(token, partner=asked.partner, route=asked.route, scopes=asked.scopes)

    def partner(self, request: RequestT) -> str | None:
        """Return the partner of a request, or None."""
        return None if self._partner_of is None else self._partner_of(request)

    def answer(self, decision: Decision) -> Answer | None:
        """Return the refusal that a decision asks for, or None for a permit."""
        return answer_for(decision, realm=self.realm, scheme=self.place.scheme)
