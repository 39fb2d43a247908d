"""What all connections of a worker share: the engine, what is read of a request, the changes of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws.gateway.connection import Listening

if TYPE_CHECKING:
    from rapidjws.engine.decision import Asked, Names
    from rapidjws.gateway.board import Board, Kind
    from rapidjws.gateway.server import Served
    from rapidjws.gateway.settings import ServerSettings


PREHEATED: Final = 4
"""Keys whose tables are asked for at once, some milliseconds each: a rotated key is hot from the start."""


def _names(values: list[bytes]) -> Names:
    """Return what headers name: one value as it is, several as a tuple, of which the strictest holds."""
    if len(values) == 1:
        return values[0].decode("latin-1")
    return tuple(value.decode("latin-1") for value in values) or None


class Shared(Listening):
    """Hold a worker's share of the sidecar.

    Args:
        served: What it serves.
        settings: How.
        board: Tells of changes between workers.
        index: The worker's number, from 0 on.
        seen: The board's counters as they were before ``served`` was made: what changed since is taken over.
    """

    def __init__(
        self, served: Served, settings: ServerSettings, board: Board, *, index: int, seen: bytes
    ) -> None:
        super().__init__(settings)
        self.served = served
        self.engine = served.engine
        self.rollout = served.rollout
        self.board = board
        self._index = index
        self._seen = seen
        board.begin(index, seen)
        self._due: set[Kind] = set()  # what changed and was not taken over yet
        self._warm: object = None
        self.token_field = settings.place.field
        partner = settings.partner_header
        self.partner_field = None if partner is None else partner.lower().encode("ascii")
        self.route_fields = tuple(name.lower().encode("ascii") for name in settings.route_headers)
        self.prefix = settings.prefix.encode("ascii")

    @property
    def blocking(self) -> bool:
        """Return whether a decision may wait for another machine."""
        guard = self.engine._snapshot.guard
        return guard is not None and guard.blocking

    def asked(self, headers: list[tuple[bytes, bytes]], target: bytes | None) -> Asked:
        """Return token, partner and route that a request asks about; several of either as they came.

        Args:
            headers: Lower-case names and values.
            target: The route where the gateway says it otherwise than in a header, or None.
        """
        found: list[bytes] = []
        partner: list[bytes] = []
        named: list[bytes] = []
        for name, value in headers:
            if name == self.token_field:
                found.append(value)
            elif name == self.partner_field:
                partner.append(value)
            elif name in self.route_fields:
                named.append(value)
        routes = named if target is None else [target]
        query = b"&".join(route.partition(b"?")[2] for route in routes)
        token = self.settings.place.token(found, query)
        return token, _names(partner), _names(routes)

    def catch_up(self) -> None:
        """Take over what other workers were told; one look at shared memory where there is nothing."""
        if self.board.counters() != self._seen:
            self._take_over()

    def tend(self, now_s: float) -> None:
        """Do what is due from time to time."""
        self.sweep(now_s)
        self.catch_up()
        if self._due:
            self._take_over()
        table = self.engine._snapshot.table
        if table is not self._warm and not self.engine.preheat(PREHEATED):
            self._warm = table

    def _take_over(self) -> None:
        """Take over each kind of change; one that fails holds up no other, and is tried again when due."""
        counters = self.board.counters()
        self._due |= self.board.changed(self._seen, counters)
        self._seen = counters
        for kind in tuple(self._due):
            try:
                self._take_over_one(kind)
            except Exception:  # a store that is down, a file: not at each request again, but when it is due
                continue
            self._due.discard(kind)
        if not self._due:
            self.board.taken_over(self._index, counters)

    def _take_over_one(self, kind: Kind) -> None:
        if kind == "revocations":
            self.engine._revocations_changed()
        elif kind == "config":
            self.served.reload()
        elif kind == "keys":
            for source in self.served.sources().values():
                source.invalidate()
        else:
            self.rollout.state.plan()
