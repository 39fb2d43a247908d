"""Backends for the signing queue that wait for leave, fail by order and count, and a clock to turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from rapidjws import JWK
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.signing import SigningQueue
from rapidjws.signing.backend import BackendSigner, SignerLimits
from rapidjws.signing.new_key import make_key

KEY = make_key("ES256", kid="k")


class Backend(BackendSigner):
    """A backend whose calls wait until ``leave`` is set."""

    def __init__(self, limits: SignerLimits | None = None, key: JWK = KEY) -> None:
        limits = limits or SignerLimits(concurrent=1)
        super().__init__(alg="ES256", public=key.public(), kid="k", check="never", limits=limits)
        self.leave, self.entered = threading.Event(), threading.Event()
        self.seen: list[bytes] = []
        self.fault: Exception | str | None = None
        self.before: Callable[[], Any] = bool

    def _signature(self, signing_input: bytes) -> bytes:
        self.seen.append(signing_input)
        self.entered.set()
        self.before()
        assert self.leave.wait(60)
        if isinstance(self.fault, str):
            raise error_for(self.fault, "test")
        if self.fault is not None:
            raise self.fault
        return b"signature of " + signing_input


class Turned:
    """A monotonic clock that the test turns."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


def held(queue: SigningQueue, backend: Backend) -> Future[bytes]:
    """Keep the one worker busy."""
    first = queue._enqueue(b"first", "", 60)
    assert backend.entered.wait(60)
    return first


def codes(futures: Sequence[Future[bytes]]) -> list[str | None]:
    """Return the code of each that failed, None for those that wait."""
    found: list[str | None] = []
    for one in futures:
        fault = one.exception(60) if one.done() else None
        found.append(fault.code if isinstance(fault, RapidJWSError) else None)
    return found
