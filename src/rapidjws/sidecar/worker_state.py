"""What all connections of a worker share: the engine, what is read of a request, the changes of others."""

from __future__ import annotations

import contextlib
import sys
import threading
from functools import partial
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Final

from rapidjws._native import bearer_request
from rapidjws.errors import RapidJWSError
from rapidjws.middleware.presented import PROOF_FIELD, is_dpop, presented_token
from rapidjws.observe.decision_log import DecisionLog
from rapidjws.observe.event_log import write_event
from rapidjws.observe.metric_list import AUDIT_RECORDS, LOG_LINES_DROPPED
from rapidjws.observe.observer import Observer
from rapidjws.sender import SenderRequest
from rapidjws.sidecar.body_requests import BodyRequests
from rapidjws.sidecar.connection import Listener
from rapidjws.sidecar.request_headers import names_of, values_of
from rapidjws.sidecar.rollout_log import RolloutLog
from rapidjws.sidecar.rule_facts import RuleFacts
from rapidjws.stores.replay import MemoryReplayStore
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from rapidjws.audit.decision_recorder import DecisionRecorder
    from rapidjws.jwt.decision import DecisionRequest
    from rapidjws.observe.logs import InstalledLogs
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus, Kind
    from rapidjws.sidecar.report_writer import ReportWriter
    from rapidjws.sidecar.settings import ServerSettings
    from rapidjws.sidecar.status import ServiceStatus
    from rapidjws.sidecar.worker_gauges import WorkerGauges
    from rapidjws.verify.protocols import SenderCheck
    from rapidjws.verify.snapshot import Token


ORDER: Final[tuple[Kind, ...]] = ("pending_revocations", "revocations", "config", "keys", "rollout")
"""In which order changes are taken over: a revocation waits for nothing."""

TICK_S: Final = 0.5
"""How often a worker does what is due, in seconds."""

HAND_OVER_S: Final = 2.0
"""Seconds between two tries to hand a store what it could not be asked to keep."""

PRECOMPUTED_AT_ONCE: Final = 4
"""Tables asked for at once, some milliseconds each: a rotated key is much used from the start."""


def _to_stderr(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(f"rapidjws serve: {line}", file=sys.stderr, flush=True)


class WorkerState(Listener):
    """A worker's share of the sidecar.

    Args:
        app: What it serves.
        settings: How.
        change_bus: Tells of changes between workers.
        index: The worker's number, from 0 on.
        seen: The change bus's counters as they were before ``app`` was made: what changed since is applied.
    """

    def __init__(
        self, app: SidecarApp, settings: ServerSettings, change_bus: ChangeBus, *, index: int, seen: bytes
    ) -> None:
        super().__init__(settings)
        self.app = app
        self.engine = app.engine
        self.rollout = app.rollout
        self.change_bus = change_bus
        self._index = index
        self._seen = seen
        change_bus.begin(index, seen)
        self._pending_version = 0  # of the revocations that their store does not have yet
        self._handed_over_s = 0.0
        self._due: set[Kind] = set()  # what changed and was not taken over yet
        self._following: Task[None] | None = None
        self._taking = threading.Lock()
        self._config_refused = False
        self._faults: frozenset[str] = frozenset()
        self.logs: InstalledLogs | None = None
        self._dropped_lines = 0
        log = DecisionLog(self.engine, lines_per_minute=app.logs.lines_per_minute, claims=app.logs.claims)
        self.observer = Observer(self.engine, log=log, tracer=app.tracer)
        self._rollout_log = RolloutLog(self.rollout)
        self._precomputed_for: object = None
        self.other_listeners: dict[str, Listener] = {}
        self.gauges: WorkerGauges | None = None
        """Puts what this worker looks like where ``/metrics`` finds it."""
        self.writer: ReportWriter | None = None
        """Writes this worker's report."""
        self.status: ServiceStatus | None = None
        """Makes snapshots of the whole service."""
        self.audit: DecisionRecorder | None = None
        """Records each decision; None where no trail is configured."""
        self._audited = (0, 0)
        self._observing: Task[None] | None = None
        self.print_line: Callable[[str], None] = _to_stderr
        """Writes one line for the operator."""
        self.token_field = settings.place.field
        partner = settings.partner_header
        self.partner_field = None if partner is None else partner.lower().encode("ascii")
        self.route_fields = tuple(name.lower().encode("ascii") for name in settings.route_headers)
        self.method_fields = settings.method_fields
        self.host_field = settings.host_field
        self.prefix = settings.prefix.encode("ascii")
        place = settings.place
        self._is_plain_bearer = settings.sender is None and place.is_bearer and place.scheme == "Bearer"
        self.rule_facts = RuleFacts(settings, self.engine)
        self.bodies: BodyRequests | None = None
        """Decides on requests by their body; None where none are."""
        if settings.body is not None:
            body = settings.body.signed_body(
                app.engine,
                rollout=app.rollout,
                store=app.body_uses or MemoryReplayStore(),
                recorder=app.recorder,
                max_bytes=settings.max_body_bytes,
            )
            self.bodies = BodyRequests(settings.body, body)

    @property
    def blocking(self) -> bool:
        """Return whether a decision may wait for another machine."""
        if self.audit is not None and self.audit.durable:
            return True  # for the disk
        sender = self.settings.sender
        if self.engine.introspection is not None:
            return True  # for an authorization server
        return self.engine._may_wait or (sender is not None and sender.blocking)

    def sender_check(
        self,
        token: Token | None,
        headers: list[tuple[bytes, bytes]],
        target: bytes | None,
        method: bytes,
        peer: str | None,
        authority: bytes = b"",
    ) -> SenderCheck | None:
        """Return the check of who sent a request's token; None where none is configured.

        Args:
            token: The request's token.
            headers: Lower-case names and values.
            target: Its target where the gateway says it otherwise than in a header, or None.
            method: Its method, which counts where there is such a target.
            peer: The gateway's address.
            authority: What it says beside its headers of the request's Host.
        """
        sender = self.settings.sender
        if sender is None or not isinstance(token, bytes) or not token:
            return None
        if target is None:
            targets = {value for name, value in headers if name in self.route_fields}
            method = self.settings.client_method(headers, method)
            target = targets.pop() if len(targets) == 1 else b""
        hosts = [authority] if authority else values_of(headers, self.host_field)
        path, _, query = target.partition(b"?")
        return sender.check(
            SenderRequest(
                token=token,
                is_dpop=sender.dpop is not None and is_dpop(values_of(headers, self.token_field)),
                proofs=values_of(headers, PROOF_FIELD),
                method=method.decode("latin-1"),
                path=path.decode("latin-1") or None,
                query=query,
                hosts=hosts,
                certificates=() if sender.mtls is None else values_of(headers, sender.mtls.field),
                peer=peer,
            )
        )

    def decision_request(self, headers: list[tuple[bytes, bytes]], target: bytes | None) -> DecisionRequest:
        """Return token, partner and route that a request asks about; several of either as they came.

        Args:
            headers: Lower-case names and values.
            target: The route where the gateway says it otherwise than in a header, or None.
        """
        if self._is_plain_bearer:
            plain = bearer_request(headers, self.token_field, self.partner_field, self.route_fields, target)
            if plain is not None:
                return plain
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
        presented = presented_token(self.settings.place, self.settings.sender, found, query)
        return presented, names_of(partner), names_of(routes)

    @property
    def is_behind(self) -> bool:
        """Return whether something changed that this worker has not seen: two looks at shared memory."""
        return self.change_bus.counters() != self._seen or self.rollout.is_behind

    def sync(self) -> None:
        """Have a thread take over what others changed; two looks at shared memory where there is nothing.

        Nothing is read here: this is called on the loop, with each request. Who announced a change waits
        until the change bus says that it holds.
        """
        if self.is_behind:
            self._follow_on_thread(due=False)

    def _follow_on_thread(self, *, due: bool) -> None:
        task = self._following
        if task is not None and not task.future.done():
            return  # it looks again before it ends
        task = self._following = Task(partial(self.follow, due=due))
        task.future.add_done_callback(self._followed)
        if not submit(task) and task.take_back() is not None:
            self._following = None  # no thread to be had: with the next request, or when it is due

    def _followed(self, done: Future[None]) -> None:
        """Look again: something may have changed after the thread's last look, and before its end."""
        if done.exception() is None:
            self.sync()

    def follow(self, *, due: bool = True) -> None:
        """Take over what others changed; reads files, so never on a loop.

        Args:
            due: Whether what failed before is tried again.
        """
        with self._taking:
            while self.change_bus.counters() != self._seen:
                self._apply_changes()
            if self.change_bus.pending.version != self._pending_version:
                with contextlib.suppress(RapidJWSError):  # the store is down: at the next look
                    self._hold_pending()  # of before this worker's start
            if self._due and due:
                self._apply_changes()
            if due:
                self._hand_over_pending(monotonic())
            if due or self.rollout.is_behind:
                self.rollout.sync()
                self._rollout_log.look()
            if self.writer is not None:
                self.writer.write_if_due(len(self.connections))

    def on_tick(self, now_s: float) -> None:
        """Do what is due from time to time, and have a thread look at the plan's folder."""
        self.sweep(now_s)
        if self.writer is not None:
            self.writer.note_turn(now_s, TICK_S)
        if self.gauges is not None:
            listeners = {"public": self, **self.other_listeners}
            connections = {name: len(one.connections) for name, one in listeners.items()}
            self.gauges.on_tick(now_s, TICK_S, self.app.sources(), connections)
        self.note_tables()
        self._follow_on_thread(due=True)
        self._observe_on_thread()
        self.observer.log.write_left_out()
        self.app.event_log.write_left_out()
        self._count_dropped_lines()
        self._count_audited()
        table = self.engine._snapshot.table
        if table is not self._precomputed_for and not self.engine.precompute_in_background(
            PRECOMPUTED_AT_ONCE
        ):
            self._precomputed_for = table

    def _count_dropped_lines(self) -> None:
        """Count log lines that their destination did not take."""
        dropped = 0 if self.logs is None else self.logs.dropped
        if dropped > self._dropped_lines:
            self.app.recorder.add(LOG_LINES_DROPPED, more=dropped - self._dropped_lines)
            self._dropped_lines = dropped

    def _count_audited(self) -> None:
        """Count the decisions that have a record, and those that should have one."""
        if self.audit is None:
            return
        before, self._audited = self._audited, (self.audit.recorded, self.audit.lost)
        for result, now, then in zip(("recorded", "lost"), self._audited, before, strict=True):
            if now > then:
                self.app.recorder.add(AUDIT_RECORDS, result, more=now - then)

    def _observe_on_thread(self) -> None:
        """Have a thread of its own sample the counters and look at the alerts: no change waits for that."""
        task = self._observing
        if self.status is None or (task is not None and not task.future.done()):
            return
        task = self._observing = Task(self.status.observe)
        if not submit(task) and task.take_back() is not None:
            self._observing = None  # no thread to be had: at the next tick

    def note_tables(self) -> None:
        """Note this worker's precomputed tables where the others see them, for ``/metrics``."""
        self.change_bus.note_tables(self._index, self.engine.table_status())

    def report(self) -> None:
        """Write what the rollout's folder cannot be used for, once, and that it is over."""
        before, self._faults = self._faults, self.rollout.faults
        for line in sorted(self._faults - before):
            self.print_line(line)
            write_event("rollout_fault", {"detail": line})
        for line in sorted(before - self._faults):
            self.print_line(f"over: {line}")

    def _apply_changes(self) -> None:
        """Take over each kind of change; one that fails holds up no other, and is tried again when due."""
        counters = self.change_bus.counters()
        self._due |= self.change_bus.changed(self._seen, counters)
        self._seen = counters
        for kind in ORDER:
            if kind in self._due:
                try:
                    self._apply_change(kind)
                except Exception:  # a store that is down: not at each request again, but when it is due
                    continue
                self._due.discard(kind)
        if not self._due:
            self.change_bus.note_applied(self._index, counters, config_refused=self._config_refused)

    def _apply_change(self, kind: Kind) -> None:
        if kind == "pending_revocations":
            self._hold_pending()
        elif kind == "revocations":
            self.engine._revocations_changed()
        elif kind == "config":
            if self.logs is not None:  # a rotation of the log ends with a SIGHUP
                self.logs.reopen()
            self._reload()
        elif kind == "keys":
            for source in self.app.sources().values():
                source.invalidate()
        else:
            self.rollout.sync()

    def _hold_pending(self) -> None:
        """Refuse what an administrator revoked while the store could not be asked to keep it."""
        pending = self.change_bus.pending
        version = pending.version
        self.engine._hold_unsent(pending.listed())
        self._pending_version = version

    def _hand_over_pending(self, now_s: float) -> None:
        """Ask the store, from time to time, to keep what it could not be asked for before."""
        store = self.engine._store
        if store is None or not self._pending_version or now_s - self._handed_over_s < HAND_OVER_S:
            return
        self._handed_over_s = now_s
        taken = 0
        with contextlib.suppress(RapidJWSError, OSError):  # it is down still
            if self.change_bus.pending.listed():
                taken = self.change_bus.pending.hand_over(store.add)
        if taken:
            self.print_line(f"the store of revocations is back: it has {taken} more now")
            self.change_bus.announce("revocations", monotonic_ns())
            self.change_bus.announce("pending_revocations", monotonic_ns())

    def _reload(self) -> None:
        """Read the configuration again; where it is refused, say why, and keep the one before."""
        try:
            self.app.reload()
        except RapidJWSError as refused:
            self._config_refused = True
            write_event("config_refused", {"detail": str(refused)})
            self.print_line(f"the configuration is not reloaded, the one before holds: {refused}")
        else:
            self._config_refused = False
