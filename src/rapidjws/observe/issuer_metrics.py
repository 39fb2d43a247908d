"""The metrics of a process that issues: its keys, its signatures, its tokens, its last emergency."""

from __future__ import annotations

import platform
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from rapidjws import _native
from rapidjws._checks import checked
from rapidjws._version import __version__
from rapidjws.errors import RapidJWSError
from rapidjws.issuing import Confirmations, EmergencyLog, KeyLifeCycle, SigningKey
from rapidjws.observe import metric_list as metrics
from rapidjws.observe.measured_signer import MeasuredSigner
from rapidjws.observe.queue_metrics import QueueMetrics
from rapidjws.observe.reading import Reading, Sample
from rapidjws.observe.recorder import MetricRecorder
from rapidjws.observe.region_samples import RegionSamples
from rapidjws.signing import Signer
from rapidjws.verify.counter_memory import private_region

REGION_BYTES: Final = 1024 * 1024


class IssuerMetrics:
    """Counts what an issuer does, and reads it with what its keys are like; for an exposition or a collector.

    Args:
        issuer: The ``iss``.
        life_cycle: Its keys.
        emergencies: The record of emergencies, or None.
    """

    __slots__ = (
        "_confirmations",
        "_emergencies",
        "_issuer",
        "_life_cycle",
        "_lock",
        "_samples",
        "recorder",
    )

    @checked
    def __init__(
        self, issuer: str, life_cycle: KeyLifeCycle, *, emergencies: EmergencyLog | None = None
    ) -> None:
        self._issuer = issuer
        self._life_cycle = life_cycle
        self._emergencies = emergencies
        self._confirmations: Confirmations | None = None
        self._lock = threading.Lock()
        region = private_region(REGION_BYTES)
        self.recorder = MetricRecorder()
        """Counts in this process's memory."""
        self.recorder.attach(region)
        self._samples = RegionSamples([region])

    @checked
    def measured(self, signer: Signer, key: SigningKey) -> MeasuredSigner:
        """Return a signer whose signatures are timed: ``wrap`` of an ``ActiveSigner`` without a queue."""
        return MeasuredSigner(signer, self.recorder, backend="local")

    @checked
    def queue(self, backends: Sequence[str]) -> QueueMetrics:
        """Return the ``meter`` of a ``SigningQueue``; see ``QueueMetrics``."""
        return QueueMetrics(self.recorder, backends)

    @checked
    def token_requested(self, client: str, result: str) -> None:
        """Count a request for a token: ``counter`` of a ``TokenService``.

        Args:
            client: The client, empty where none was authenticated.
            result: ``"ok"``, or the error of RFC 6749 section 5.2.
        """
        with self._lock:  # several threads count, and adding is no single step
            self.recorder.add(metrics.TOKEN_REQUESTS, client, result)

    @checked
    def announced(self, confirmations: Confirmations) -> None:
        """Take who confirmed the last announcement."""
        self._confirmations = confirmations

    def reading(self) -> Reading:
        """Return all samples of this moment; it reads the store of the state, so never on a loop."""
        samples, columns = self._samples.read()
        return Reading(chain(samples, self._now()), time.time(), columns)

    def _now(self) -> Iterator[Sample]:
        versions = (__version__, _native.libcrypto_version(), platform.python_version())
        yield Sample(metrics.BUILD_INFO, versions, 1)
        yield from self._keys()
        answered = self._confirmations
        if answered is not None:
            yield Sample(metrics.CONSUMERS_CONFIRMED, (self._issuer,), len(answered.confirmed))
            yield Sample(metrics.CONSUMERS_MISSING, (self._issuer,), len(answered.missing))
        last = () if self._emergencies is None else self._emergencies.last(self._issuer)
        for one in last:
            for stage, seconds in one.stages.items():
                labels = (self._issuer, stage, "true" if one.drill else "false")
                yield Sample(metrics.EMERGENCY_ROTATION, labels, seconds)

    def _keys(self) -> Iterator[Sample]:
        name = (self._issuer,)
        try:
            state = self._life_cycle.state()
            now_s = self._life_cycle.now_s()
        except RapidJWSError:
            yield Sample(metrics.ISSUER_STATE_FAILED, name, 1)
            return
        yield Sample(metrics.ISSUER_STATE_FAILED, name, 0)
        counts = Counter((one.alg, one.stage) for one in state.keys)
        for (alg, stage), count in sorted(counts.items()):
            yield Sample(metrics.ISSUER_KEYS, (self._issuer, alg, stage), count)
        lease = state.lease
        leads = lease is not None and lease.holder == self._life_cycle.holder and now_s < lease.until_s
        yield Sample(metrics.ISSUER_LEADS, name, int(leads))
        due_s = self._life_cycle.next_change_s(state, now_s)
        if due_s is not None:
            yield Sample(metrics.ISSUER_NEXT_ROTATION, name, max(0.0, due_s - now_s))
