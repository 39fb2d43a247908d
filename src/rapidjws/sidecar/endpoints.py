"""The sidecar's endpoints for callers with a credential of their own: rotated keys, and signals that revoke.

They are answered on a thread, never on the loop.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from rapidjws.keys.hook import PATH as HOOK_PATH
from rapidjws.keys.hook import RotatedHook
from rapidjws.sidecar.request_headers import values_of

if TYPE_CHECKING:
    from rapidjws.sidecar.worker_state import WorkerState

JSON: Final = b"content-type: application/json\r\ncache-control: no-store\r\n"
Headers = list[tuple[bytes, bytes]]


def is_endpoint(state: WorkerState, path: bytes) -> bool:
    """Return whether a path is that of an endpoint."""
    signals = state.app.signals
    return path == HOOK_PATH.encode() or (signals is not None and path.decode("latin-1") in signals.paths)


def endpoint_answer(
    state: WorkerState, path: bytes, headers: Headers, method: bytes, body: bytes
) -> tuple[int, bytes, bytes]:
    """Answer one request to an endpoint.

    Args:
        state: The worker.
        path: The path.
        headers: Lower-case names and values.
        method: The HTTP method.
        body: The body.

    Returns:
        Status, head and body.
    """
    signals, name = state.app.signals, path.decode("latin-1")
    if signals is not None and name in signals.paths:
        started_ns = monotonic_ns()
        content_type = _one(headers, b"content-type") or ""
        status, shown = signals.handle(
            name, method.decode("latin-1"), content_type, body, _one(headers, b"authorization")
        )
        if status in (200, 202):
            state.change_bus.announce("revocations", started_ns)
        return status, JSON, shown
    if state.settings.hook_secret is not None:
        status, shown = _rotated(state, state.settings.hook_secret, headers, method, body)
        return status, JSON, shown
    return 404, b"", b""


def _one(headers: Headers, name: bytes) -> str | None:
    """Return a header's value where it stands once."""
    found = values_of(headers, name)
    return found[0].decode("latin-1") if len(found) == 1 else None


def _rotated(
    state: WorkerState, secret: str, headers: Headers, method: bytes, body: bytes
) -> tuple[int, bytes]:
    """Fetch keys again, in every worker, for a caller with the secret."""
    started_ns = monotonic_ns()
    hook = RotatedHook(state.app.sources(), secret=secret)
    signed = [value.decode("latin-1") for value in values_of(headers, b"x-jws-signature")]
    signature = ",".join(signed) if signed else None  # two are none that verifies
    authorization = _one(headers, b"authorization")
    status, shown = hook.handle(method.decode("latin-1"), authorization, body, signature=signature)
    if status == 202:
        state.change_bus.announce("keys", started_ns)
    return status, shown
