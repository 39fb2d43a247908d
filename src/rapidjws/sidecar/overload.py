"""Load shedding: which requests of one turn of the loop are decided, in which order, and which are sent away.

A turn that would last longer than requests may wait decides as many as it has time for, so that those are in
time, and answers the others 503 at once. Partners take turns: who sends more than all others waits for them,
and not they for him.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from rapidjws._native import batch_senders
from rapidjws.observe.metric_list import REQUESTS_SHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.jwt.decision import Decision
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.settings import ServerSettings

MEASURES: Final = 15
"""Turns whose median says what a request costs: a worker that the system stopped for a while is not slow."""

MEASURES_LEAST: Final = 5
"""Turns before which nothing is sent away."""

MEASURED_LEAST: Final = 8
"""Requests of a turn that is measured: so many has one where most are refused."""

SENDERS_MAX: Final = 1024
"""Most headers of good tokens that are known as senders of their own."""

SLICE_NS: Final = 1_000_000
"""Time of one turn; then what came meanwhile is put in order with the rest: who sends little overtakes."""

CALLS_SLICE_NS: Final = 250_000
"""The same for calls of gRPC: a gateway has them all on one connection, and works on the answers of one turn
while the next is decided."""

WARN_S: Final = 60.0
"""Seconds between two lines about requests that were sent away."""

RETRY_AFTER_S: Final = 1
SHED: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\ncache-control: no-store\r\n"
    b"retry-after: %d\r\n\r\n" % RETRY_AFTER_S
)
"""The answer to a request that is sent away; nothing of it was looked at (RFC 9110 s.15.6.4)."""


class LoadShedder:
    """How much a worker decides in one turn, and whose requests.

    Where no phase of the rollout refuses anything, nobody is sent away for load either.

    Args:
        app: Its rollout, and what counts.
        settings: ``max_delay_s``, the field of the partner and that of the token.
        least: How many requests are decided in any case.
        warn: Takes a line for the operator, at most once in ``WARN_S``.
    """

    __slots__ = (
        "_app",
        "_costs_s",
        "_known",
        "_least",
        "_max_delay_s",
        "_partner",
        "_token",
        "_warn",
        "_warned_s",
        "limit",
    )

    def __init__(
        self, app: SidecarApp, settings: ServerSettings, *, least: int, warn: Callable[[str], None]
    ) -> None:
        self._app = app
        self._max_delay_s = settings.max_delay_s
        partner = settings.partner_header
        self._partner = None if partner is None else partner.lower().encode("ascii")
        self._token = settings.place.field
        self._least = least
        self._warn = warn
        self._warned_s = -WARN_S
        self._costs_s: deque[float] = deque(maxlen=MEASURES)
        self._known: set[bytes] = set()
        self.limit: int | None = None
        """Most requests of one turn that are decided; None for all."""

    def took(self, count: int, elapsed_s: float) -> None:
        """Note how long so many requests took."""
        if count < MEASURED_LEAST or not self._max_delay_s:
            return
        self._costs_s.append(elapsed_s / count)
        if len(self._costs_s) >= MEASURES_LEAST:
            self.limit = max(self._least, int(self._max_delay_s / max(median(self._costs_s), 1e-7)))

    def note_good(self, batch: list[Any], decisions: list[Decision | None]) -> None:
        """Note the first good token of a batch: others with its header come from the same sender."""
        if self._partner is not None:
            return
        for (_, _, request), decision in zip(batch, decisions, strict=True):
            if decision is not None and decision.verified is not None:
                if len(self._known) >= SENDERS_MAX:
                    self._known.clear()  # keys were rotated
                self._known.add(self._header(request[1]))
                return

    def admitted(self, batch: list[Any]) -> tuple[list[Any], list[Any]]:
        """Return the requests of one turn that are decided, in their order, and those that are sent away.

        Args:
            batch: Connection, rest of the target, and the request, whose second part are its fields.
        """
        if len(batch) <= self._least:
            return batch, []
        try:
            ordered, limit = self._in_order(batch), self.limit
        except Exception:  # then all are decided, in the order in which they came
            return batch, []
        if limit is None or len(ordered) <= limit or not self._app.rollout.refuses:
            return ordered, []
        return ordered[:limit], ordered[limit:]

    def send_away(self, batch: list[Any]) -> None:
        """Answer requests without a look at them; what was not to be decided gets its answer."""
        if not batch:
            return
        shed = 0
        for connection, rest, request in batch:
            try:
                if rest is None:
                    connection.answer_other(*request)
                else:
                    shed += 1
                    connection.send_away(request)
            except Exception:  # one connection's fault is not the next one's
                connection.close()
            connection.answered()
        self._app.recorder.add(REQUESTS_SHED, more=shed)
        now_s = monotonic()
        if shed and now_s - self._warned_s >= WARN_S:
            self._warned_s = now_s
            self._warn(
                f"overloaded: {shed} requests were answered 503, for {self.limit} at a time can be decided "
                f"within server.max_delay_s = {self._max_delay_s:g}; add workers"
            )

    def _in_order(self, batch: list[Any]) -> list[Any]:
        """Return the requests of one turn in the order in which they are decided: senders take turns.

        Requests of one connection stay in their order.
        """
        senders = batch_senders(batch, self._token, self._partner)
        if self._partner is None:
            known = self._known
            senders = [one if one in known else b"" for one in senders]
        if senders.count(senders[0]) == len(senders):  # nobody has to be waited for
            return batch
        ranks: list[int] = []
        of_sender: dict[bytes, int] = {}
        of_connection: dict[int, int] = {}
        for (connection, _, _), sender in zip(batch, senders, strict=True):
            rank = of_sender.get(sender, 0)
            of_sender[sender] = rank + 1
            rank = max(rank, of_connection.get(id(connection), 0))
            of_connection[id(connection)] = rank
            ranks.append(rank)
        return [batch[at] for at in sorted(range(len(batch)), key=ranks.__getitem__)]

    def _header(self, fields: list[tuple[bytes, bytes]]) -> bytes:
        """Return the protected header of a compact token, as it stands there."""
        for name, value in fields:
            if name == self._token:
                return value.partition(b".")[0].rpartition(b" ")[2]
        return b""
