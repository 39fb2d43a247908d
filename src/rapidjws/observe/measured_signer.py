"""A signer whose signatures are timed and counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from time import perf_counter

from rapidjws._checks import checked
from rapidjws.observe import metric_list as metrics
from rapidjws.observe.recorder import MetricRecorder
from rapidjws.signing.signer import Signer, SignerWrapper


class MeasuredSigner(SignerWrapper):
    """Signs by another signer, and counts how long each signature took and how many are under way.

    Args:
        signer: Makes the signatures.
        recorder: Counts them: ``EngineMetrics.recorder``.
        backend: A short name for where the key lives: ``"local"``, ``"kms"`` and so on.

    Raises:
        ConfigurationError: ``configuration_invalid``: an argument of another type.
    """

    __slots__ = ("_backend", "_lock", "_recorder", "_waiting")

    @checked
    def __init__(self, signer: Signer, recorder: MetricRecorder, *, backend: str = "local") -> None:
        super().__init__(signer)
        self._recorder = recorder
        self._backend = backend
        self._lock = threading.Lock()
        self._waiting = 0

    @checked
    def sign(self, signing_input: bytes) -> bytes:
        """Return the JWS Signature; raises what the signer raises."""
        return self._timed(partial(self._signer.sign, signing_input))

    @checked
    def sign_for(self, signing_input: bytes, caller: str) -> bytes:
        """Return the JWS Signature for a caller, who has a line in a queue; raises what the signer raises."""
        sign_for = getattr(self._signer, "sign_for", None)
        if sign_for is None:
            return self.sign(signing_input)
        return self._timed(partial(sign_for, signing_input, caller))

    def _timed(self, sign: Callable[[], bytes]) -> bytes:
        begun_s = perf_counter()
        self._under_way(1)
        result = "failed"
        try:
            signature = sign()
            result = "ok"
            return signature
        finally:
            self._under_way(-1)
            taken_s = perf_counter() - begun_s
            labels = (self._backend, self.alg, result)
            with self._lock:  # adding is no single step
                self._recorder.observe(metrics.SIGNING_DURATION, *labels, value_s=taken_s)

    def _under_way(self, more: int) -> None:
        with self._lock:
            self._waiting += more
            self._recorder.put(metrics.SIGNING_QUEUE_DEPTH, self._backend, value=self._waiting)
