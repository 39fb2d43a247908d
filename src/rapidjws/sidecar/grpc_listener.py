"""What the gRPC connections of a worker share: who decides, their memory, and who watches its health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws.sidecar import grpc_call, grpc_health, grpc_limits
from rapidjws.sidecar.connection import Listener
from rapidjws.sidecar.ext_authz import Authorization
from rapidjws.sidecar.overload import CALLS_SLICE_NS

if TYPE_CHECKING:
    from rapidjws.sidecar.grpc_call import Call, CallConnection
    from rapidjws.sidecar.request_batch import BatchingWorker


class GrpcListener(Listener):
    """The gRPC side of a worker.

    Args:
        state: The worker's.

    Attributes:
        message_max_bytes: The largest message.
        unfinished_bytes: What is kept of messages that are not whole.
    """

    def __init__(self, state: BatchingWorker) -> None:
        super().__init__(state.settings)
        self.state = state
        state.slice_ns = CALLS_SLICE_NS
        self.authorization = Authorization(state)
        self.message_max_bytes = 2 * state.settings.max_header_bytes + state.settings.max_body_bytes
        self.unfinished_bytes = 0
        self._watches: dict[Call, tuple[bytes, int]] = {}

    def status_of(self, service: bytes) -> int:
        """Return the status of a service."""
        return grpc_health.status_of(service, self.state, draining=self.draining)

    def watch(self, call: Call, service: bytes) -> bool:
        """Tell a call of each change of a status from now on; return False where there are too many."""
        mine = sum(one.connection is call.connection for one in self._watches)
        if mine >= grpc_limits.WATCHES_MAX:
            return False
        status = self.status_of(service)
        self._watches[call] = (service, status)
        call.connection.stream(call, grpc_health.response(status), is_first=True)
        return True

    def end_watches(self, connection: CallConnection) -> None:
        """End the watches of a connection that closes."""
        for call in [one for one in self._watches if one.connection is connection]:
            del self._watches[call]
            connection.finish(call, grpc_call.UNAVAILABLE)

    def sweep(self, now_s: float) -> None:
        """Close what took too long, and tell watchers what changed; called about twice a second."""
        for call, (service, before) in tuple(self._watches.items()):
            if call.is_over:
                del self._watches[call]
                continue
            status = self.status_of(service)
            if status != before:
                self._watches[call] = (service, status)
                call.connection.stream(call, grpc_health.response(status), is_first=False)
        super().sweep(now_s)
