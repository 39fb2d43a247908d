"""Everything that a configuration asks for, built in one place out of what was read once."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws._scheduler import scheduler
from rapidjws.config import schema
from rapidjws.config.audit_section import audit_settings_from
from rapidjws.config.issuer_folder import IssuerFolder
from rapidjws.config.issuers import IssuerBuilder
from rapidjws.config.log_section import log_settings_from, tracer_from
from rapidjws.config.read import LoadedConfig, load_config
from rapidjws.config.sections import key_sources_of, rollout_of, shadow_from
from rapidjws.config.stores import revocation_store_from, rotations_from
from rapidjws.errors import RapidJWSError
from rapidjws.jwt.cache import TokenCache
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.registry import IssuerRegistry
from rapidjws.observe.event_log import EventLog
from rapidjws.observe.recorder import MetricRecorder
from rapidjws.observe.rule_log import RuleLog
from rapidjws.observe.tracing import NO_TRACER, TraceEvents
from rapidjws.rollout.rollout import Rollout
from rapidjws.verify.protocols import Event, all_of, emit, no_events
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rapidjws.audit.settings import AuditSettings
    from rapidjws.authz.authorizer import Authorizer, RuleListener
    from rapidjws.config.signal_section import SignalService
    from rapidjws.jwt.issuer import Issuer
    from rapidjws.observe.logs import LogSettings
    from rapidjws.observe.tracing import Tracer
    from rapidjws.sender.constraints import SenderConstraints
    from rapidjws.verify.protocols import EventListener, KeySource

_FIXED: Final = (
    "engine",
    "registry",
    "revocations",
    "replay",
    "rollout",
    "partners",
    "shadow",
    "authz",
    "logs",
    "observability",
    "traces",
    "audit",
    "server",
    "server.body",
    "dpop",
    "mtls",
    "introspection",
    "status_lists",
    "signals",
)
"""Sections that need a restart."""


class ConfigFile:
    """An engine built from a file, which is followed as it changes.

    Paths in it are relative to its folder. Issuers may change under traffic; all other sections
    need a restart.

    Args:
        path: A ``.toml`` or ``.json`` file.
        events: Listener.
        loaded: What was read of this file, so that it is not parsed again.
        rule_listener: Hears of each rule of ``authz`` that a request does not meet; None for a log.

    Raises:
        ConfigurationError: ``configuration_invalid``, with file, line and setting.
        DependencyUnavailable: ``revocation_store_unavailable``.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        events: EventListener = no_events,
        loaded: LoadedConfig | None = None,
        rule_listener: RuleListener | None = None,
    ) -> None:
        self.path = Path(path)
        self._events = events
        self._poll_s = 1.0
        self._watching = False
        self._reloading = threading.Lock()
        scheduler.members.add(self)
        loaded = load_config(self.path) if loaded is None else loaded
        self._loaded = loaded
        self._signature = loaded.signature
        self._builder = IssuerBuilder(loaded.section("replay"), events, timed=bool(loaded.section("traces")))
        issuers, self._sources = self._builder.build(loaded, {})
        self.revocations = revocation_store_from(loaded.section("revocations"), self.path.parent, events)
        self.rotations = rotations_from(loaded.section("revocations"))
        settings = loaded.section("engine")
        entries = settings.pop("cache_entries", 0)
        try:
            self.engine = self._engine(
                loaded,
                *issuers,
                cache=TokenCache(entries) if entries else None,
                revocations=self.revocations,
                events=events,
                counters=loaded.section("observability").get("metrics", True),
                **settings,
                authorizer=_authorizer(loaded, rule_listener),
                **_status_lists(loaded, issuers, events),
            )
        except RapidJWSError as fault:
            if fault.code != "configuration_invalid":
                raise
            section = "registry" if fault.place in schema.SECTIONS["registry"] else "engine"
            loaded.text.refuse((section, fault.place or ""), str(fault.expected), None)
        if loaded.section("introspection"):
            from rapidjws.config.introspection_section import introspection_of

            self.engine.introspection = introspection_of(loaded, issuers, events)

    def _engine(self, loaded: LoadedConfig, *issuers: Issuer, **settings: Any) -> Engine:
        """Return the engine: one of the issuers alone, or one that looks others up."""
        registry = loaded.section("registry")
        if not registry:
            return Engine(*issuers, **settings)
        folder = IssuerFolder(self.path.parent / registry.pop("folder"), self._builder.build_one)
        return IssuerRegistry(folder, *issuers, **registry, **settings)

    @property
    def tables(self) -> dict[str, Any]:
        """Return the tables that hold: issuers as of the last reload, all others as of the start."""
        tables = self._loaded.tables
        kept = {name: tables[name] for name in _FIXED if tables.get(name)}
        return {**kept, "issuers": self._loaded.issuers}

    @property
    def issuer_tables(self) -> list[dict[str, Any]]:
        """Return the tables ``issuers`` as of the last reload."""
        return self._loaded.issuers

    @property
    def sources(self) -> dict[str, KeySource]:
        """Return iss -> its key source."""
        named = ((one.name, self.engine.source_of(one.name)) for one in self.engine.issuers)
        return {iss: source for iss, source in named if source is not None}

    @property
    def source_names(self) -> dict[str, str]:
        """Return the name of each key source, by which its events call it -> the ``iss`` it serves."""
        named = ((getattr(source, "name", None), iss) for iss, source in self.sources.items())
        return {name: iss for name, iss in named if isinstance(name, str)}

    def reload(self) -> None:
        """Read the file again and swap in its issuers; sources whose settings stay are kept.

        Raises:
            ConfigurationError: ``configuration_invalid``: everything stays as it was.
        """
        with self._reloading:  # a thread looks at the file, and an administrator may ask at the same time
            self._reload()

    def _reload(self) -> None:
        self._signature = _files.signature(self.path)  # a bad file is not read again until it is another one
        loaded = load_config(self.path, server=self._loaded.server)
        for name in _FIXED:
            if (loaded.tables.get(name) or {}) != (self._loaded.tables.get(name) or {}):
                loaded.text.refuse((name,), "no change: this section needs a restart")
        issuers, sources = self._builder.build(loaded, self._sources)
        before = self.source_names
        self.engine.replace_issuers(*issuers)
        self._sources, self._loaded = sources, loaded
        self.tell_rollout(before)
        emit(self._events, Event(name="config_loaded", value=len(issuers)))

    def tell_rollout(self, before: Mapping[str, str]) -> None:
        """Have the engine's rollout know whose key sources there are now, for escalations; other names stay.

        Args:
            before: ``source_names`` as they were.
        """
        rollout = self.engine.rollout
        if isinstance(rollout, Rollout):
            kept = {name: iss for name, iss in rollout.key_sources.items() if name not in before}
            rollout.key_sources = {**kept, **self.source_names}

    def watch(self, poll_s: float = 1.0) -> None:
        """Reload on change, looking every ``poll_s`` seconds; a bad one is refused and reported."""
        self._poll_s = poll_s
        self._watching = True
        scheduler.call_at(time.monotonic() + poll_s, self._look)

    def _look(self) -> None:
        """Have a thread of its own look at the file: keys of others are fetched in time whatever it holds."""
        task = Task(self._look_now)
        if not submit(task) and task.take_back() is not None:
            self._look_later()

    def _look_now(self) -> None:
        try:
            if _files.signature(self.path) != self._signature:
                self.reload()
        except RapidJWSError as fault:
            emit(self._events, Event(name="config_refused", detail=str(fault)))
        finally:
            self._look_later()

    def _look_later(self) -> None:
        scheduler.call_at(time.monotonic() + self._poll_s, self._look)

    def after_fork(self) -> None:
        """Make the lock anew, and go on looking, in a forked child."""
        self._reloading = threading.Lock()
        if self._watching:
            self.watch(self._poll_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a configuration asks for, built and attached to one another.

    Attributes:
        config: The file, followed as it changes.
        engine: Decides.
        rollout: Its policy.
        recorder: Counts what happens beside tokens.
        event_log: Logs it.
        logs: Where log lines go, and what they may show.
        tracer: Makes spans.
        sender: Checks tokens that are bound to a sender, for :class:`rapidjws.middleware.Authenticator`.
        audit: How decisions are recorded, or None.
        signals: Takes signals that revoke, or None.
    """

    config: ConfigFile
    engine: Engine
    rollout: Rollout
    recorder: MetricRecorder
    event_log: EventLog
    logs: LogSettings
    tracer: Tracer
    sender: SenderConstraints | None = None
    audit: AuditSettings | None = None
    signals: SignalService | None = None


def _issuers_by_source(loaded: LoadedConfig, made: list[ConfigFile]) -> Callable[[], dict[str, str]]:
    """Return what returns whose keys each source brings, put together once for each state of the tables.

    Args:
        loaded: The configuration at the start: sources have events before the engine is made.
        made: Has the file that is followed, once it is there.
    """
    of_tables: list[dict[str, Any]] | None = None
    by_source: dict[str, str] = {}

    def issuers_by_source() -> dict[str, str]:
        nonlocal of_tables, by_source
        tables = made[0].issuer_tables if made else loaded.issuers
        if tables is not of_tables:
            by_source, of_tables = key_sources_of(tables, loaded.folder), tables
        return by_source

    return issuers_by_source


def build_service(loaded: LoadedConfig, *listeners: EventListener) -> Service:
    """Build all that a configuration asks for, and follow the file: engine, policy, and what observes both.

    What a new section configures is made here, out of its table, and has its place in :class:`Service`.

    Args:
        loaded: The configuration; where the file holds another one by now, that one counts.
        listeners: What else receives events of keys, stores and the configuration.

    Raises:
        ConfigurationError: ``configuration_invalid``, ``attribution_missing``.
        DependencyUnavailable: ``revocation_store_unavailable``.
    """
    loaded = loaded.current()
    rollout = rollout_of(loaded, shadow=shadow_from(loaded.section("shadow")))
    logs = log_settings_from(loaded.section("logs"), loaded.folder)
    made: list[ConfigFile] = []

    issuers_by_source = _issuers_by_source(loaded, made)
    recorder = MetricRecorder(issuers_by_source)  # counts once it has memory
    recorder.has_exemplars = loaded.section("observability").get("exemplars", True)
    event_log = EventLog(issuers_by_source, lines_per_minute=logs.lines_per_minute)
    tracer = tracer_from(loaded.section("traces"))
    spans = () if tracer is NO_TRACER else (TraceEvents(tracer, issuers_by_source),)
    events = all_of(rollout.note, recorder, event_log, *listeners, *spans)
    rule_log = RuleLog(recorder, lines_per_minute=logs.lines_per_minute)
    config = ConfigFile(loaded.path, events=events, loaded=loaded, rule_listener=rule_log)
    made.append(config)
    event_log.follow_revocations(config.engine.revocations)
    config.engine.rollout = rollout
    config.tell_rollout({})
    config.watch()
    if config.rotations is not None:
        config.rotations.follow(lambda: config.sources)
    return Service(
        config=config,
        engine=config.engine,
        rollout=rollout,
        recorder=recorder,
        event_log=event_log,
        logs=logs,
        tracer=tracer,
        sender=sender_of(loaded, events),
        audit=audit_settings_from(loaded.section("audit"), loaded.folder),
        signals=_signals(loaded, config.engine, events),
    )


# What few configurations ask for is imported where one does: a process starts without the rest.


def _status_lists(loaded: LoadedConfig, issuers: list[Issuer], events: EventListener) -> dict[str, Any]:
    """Return the status lists as an argument of the engine; nothing where none are configured."""
    if not loaded.section("status_lists"):
        return {}
    from rapidjws.config.status_list_section import status_lists_of

    return {"status_lists": status_lists_of(loaded, issuers, events)}


def _authorizer(loaded: LoadedConfig, listener: RuleListener | None) -> Authorizer | None:
    section = loaded.section("authz")
    if not section:
        return None
    from rapidjws.config.authz_section import authorizer_from

    return authorizer_from(section, listener, loaded.folder)


def sender_of(loaded: LoadedConfig, events: EventListener = no_events) -> SenderConstraints | None:
    """Return the checks of bound tokens that a configuration asks for, or None."""
    if not (loaded.section("dpop") or loaded.section("mtls")):
        return None
    from rapidjws.config.senders import sender_constraints_of

    return sender_constraints_of(loaded, events)


def _signals(loaded: LoadedConfig, engine: Engine, events: EventListener) -> SignalService | None:
    if not loaded.section("signals"):
        return None
    from rapidjws.config.signal_section import signals_of

    return signals_of(loaded, engine, events)
