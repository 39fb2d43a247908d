"""The work of a signing queue as metrics, by the names of its signers."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from rapidjws._checks import check_range, checked
from rapidjws.errors import error_for
from rapidjws.observe import metric_list as metrics
from rapidjws.observe.recorder import MetricRecorder
from rapidjws.signing.queue_meter import CallResult


class QueueMetrics:
    """Counts what a ``SigningQueue`` does: give it as ``meter``.

    Args:
        recorder: Counts it: ``EngineMetrics.recorder``, ``IssuerMetrics.recorder``.
        backends: Short names of the queue's signers, in their order; the first names the queue.

    Raises:
        ConfigurationError: ``configuration_invalid``: no name.
    """

    __slots__ = ("_backends", "_lock", "_recorder")

    @checked
    def __init__(self, recorder: MetricRecorder, backends: Sequence[str]) -> None:
        if not backends:
            raise error_for("configuration_invalid", "backends", "at least one name")
        self._recorder = recorder
        self._backends = tuple(backends)
        self._lock = threading.Lock()  # several threads count, and adding is no single step

    def _name(self, number: int) -> str:
        return self._backends[min(number, len(self._backends) - 1)]

    @checked
    def depth(self, waiting: int) -> None:
        """Take how many requests wait."""
        check_range("waiting", waiting, 0, 1e9)
        self._recorder.put(metrics.SIGNING_QUEUE_DEPTH, self._backends[0], value=waiting)

    @checked
    def waited(self, seconds: float) -> None:
        """Take how long a request waited until its signer was called."""
        with self._lock:
            self._recorder.observe(metrics.SIGNING_QUEUE_WAIT, self._backends[0], value_s=seconds)

    def joined(self) -> None:
        """Count a request that was put beside an equal one."""
        with self._lock:
            self._recorder.add(metrics.SIGNING_QUEUE_JOINED, self._backends[0])

    @checked
    def refused(self, code: str) -> None:
        """Count a request that got no signature, by the error's code."""
        with self._lock:
            self._recorder.add(metrics.SIGNING_QUEUE_REFUSED, self._backends[0], code)

    @checked
    def called(self, number: int, result: CallResult, *, is_open: bool) -> None:
        """Count a call of a signer.

        Args:
            number: Its place among the queue's signers, from 0 on.
            result: ``"slow"``: it signed, but took longer than a signature may.
            is_open: Whether it is left alone from now on.
        """
        name = self._name(number)
        with self._lock:
            self._recorder.add(metrics.SIGNING_CALLS, name, result)
        self._recorder.put(metrics.SIGNING_BACKEND_OPEN, name, value=is_open)

    @checked
    def rate(self, number: int, per_second: float | None) -> None:
        """Take how many calls a second a signer gets at most; None for no bound."""
        self._recorder.put(metrics.SIGNING_QUOTA, self._name(number), value=per_second or 0.0)
