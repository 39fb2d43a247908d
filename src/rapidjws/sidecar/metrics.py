"""What ``/metrics`` answers: a reading of all workers' counters, made beside the loop, kept for a second."""

from __future__ import annotations

import asyncio
import platform
import time
from itertools import chain
from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws._version import __version__
from rapidjws.config.moments import moment_s
from rapidjws.config.sections import issuer_name
from rapidjws.observe import metric_list as metrics
from rapidjws.observe.exposition import TEXT, Exposition, Format
from rapidjws.observe.reading import Reading, Sample
from rapidjws.observe.region_samples import RegionSamples
from rapidjws.verify.worker_pool import call_on_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rapidjws.observe.recorder import MetricRecorder
    from rapidjws.sidecar.worker_state import WorkerState
    from rapidjws.verify.counter_memory import CounterMemory

KEPT_S: Final = 1.0
"""How long an answer is given to others, in seconds."""


class Metrics:
    """The metrics of a sidecar, in the formats that scrapers ask for.

    Args:
        state: The worker that is asked.
        memory: The counts of all workers.
        recorder: Counts what happens in this worker.
        restarts: Returns how often each worker was started again.
    """

    def __init__(
        self,
        state: WorkerState,
        memory: CounterMemory,
        recorder: MetricRecorder,
        restarts: Callable[[], Sequence[int]] = tuple,
    ) -> None:
        self._state = state
        self._recorder = recorder
        self._restarts = restarts
        self._samples = RegionSamples([memory.of_worker(index) for index in range(memory.workers)])
        self._samples.exemplars = recorder.exemplars
        self._exposition = Exposition()
        self._written: dict[str, tuple[float, bytes]] = {}
        self._making: dict[str, asyncio.Task[bytes]] = {}

    async def text(self, wanted: Format = TEXT) -> bytes:
        """Return the metrics in a format, at most a second old.

        Raises:
            InternalError: ``internal_error``: no thread can be had to make it.
        """
        loop = asyncio.get_running_loop()
        made_s, octets = self._written.get(wanted.name, (float("-inf"), b""))
        if loop.time() - made_s < KEPT_S:
            return octets
        making = self._making.get(wanted.name)
        if making is None:
            making = self._making[wanted.name] = loop.create_task(self._make(wanted))
        return await asyncio.shield(making)  # who hangs up ends it for nobody else

    async def _make(self, wanted: Format) -> bytes:
        try:
            made_s = asyncio.get_running_loop().time()
            octets = await call_on_thread(lambda: self._exposition.write(self.reading(), wanted))
            self._written[wanted.name] = made_s, octets
            return octets
        finally:
            del self._making[wanted.name]

    def reading(self) -> Reading:
        """Return all samples of this moment; takes some milliseconds, so never on a loop."""
        samples, columns = self._samples.read()
        return Reading(chain(samples, self._service(), self._rollout()), time.time(), columns)

    def _service(self) -> Iterator[Sample]:
        """Yield what the processes are like."""
        state = self._state
        versions = (__version__, _native.libcrypto_version(), platform.python_version())
        yield Sample(metrics.BUILD_INFO, versions, 1)
        yield Sample(metrics.READY, (), int(state.engine.ready))
        workers = state.change_bus.workers()
        yield Sample(metrics.WORKERS, (), len(workers))
        for at, count in enumerate(self._restarts()):
            yield Sample(metrics.WORKER_RESTARTS, (str(at),), count)
        for one in workers:
            worker = (str(one.index),)
            yield Sample(metrics.CHANGE_LAG, worker, one.lag_s)
            yield Sample(metrics.CHANGES, worker, one.changes)
            yield Sample(metrics.CONFIG_REFUSED, worker, int(one.config_refused))
            yield Sample(metrics.TABLES_KEYS, worker, one.tables)
            yield Sample(metrics.TABLES_BYTES, worker, one.tables_used_bytes)
            yield Sample(metrics.TABLES_BUDGET, worker, one.tables_budget_bytes)
            yield Sample(metrics.TABLES_WANTED, worker, one.tables_wanted_bytes)
            yield Sample(metrics.TABLES_BUILDS, worker, one.tables_built)
        yield Sample(metrics.REVOCATIONS, (), len(state.engine.revocations()))
        for table in state.app.tables().get("issuers", ()):
            until = table.get("rotation_until")
            if until is not None and (iss := issuer_name(table)):
                announced = time.time() < moment_s("rotation_until", until)
                yield Sample(metrics.PLANNED_ROTATION, (iss,), int(announced))

    def _rollout(self) -> Iterator[Sample]:
        """Yield the phases that hold."""
        plan = self._state.rollout.state.plan()
        yield Sample(metrics.ROLLOUT_FROZEN, (), int(plan.frozen))
        for (partner, route), stage in plan.stages.items():
            yield Sample(metrics.ROLLOUT_PHASE, (partner, route, stage.phase), 1)
            yield Sample(metrics.ROLLOUT_CANARY, (partner, route), stage.canary_percent)
