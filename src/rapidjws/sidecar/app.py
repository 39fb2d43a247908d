"""What a worker of the sidecar serves: an engine, its rollout, and how both are made anew."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from rapidjws.config.load import build_service
from rapidjws.config.stores import replay_store_from
from rapidjws.observe.event_log import EventLog
from rapidjws.observe.logs import LogSettings
from rapidjws.observe.recorder import MetricRecorder
from rapidjws.observe.tracing import NO_TRACER
from rapidjws.sidecar.event_lines import EventLines
from rapidjws.sidecar.recent_events import RecentEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rapidjws.audit.settings import AuditSettings
    from rapidjws.config.load import ConfigFile
    from rapidjws.config.read import LoadedConfig
    from rapidjws.config.signal_section import SignalService
    from rapidjws.jwt.engine import Engine
    from rapidjws.keys.hook import Invalidated
    from rapidjws.observe.tracing import Tracer
    from rapidjws.rollout.rollout import Rollout
    from rapidjws.sender import SenderConstraints
    from rapidjws.sidecar.settings import ServerSettings
    from rapidjws.verify.protocols import ReplayStore


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarApp:
    """What a worker of the sidecar serves.

    Attributes:
        engine: Decides.
        rollout: Its policy.
        reload: Reads the configuration again, whole or not at all.
        sources: iss -> key source, as configured now.
        tables: The configuration as it holds now, or nothing where there is no file.
        lines: Says what happens around keys, stores and the configuration.
        recent: Keeps the last of it.
        recorder: Counts it.
        logs: Limits of the log of refusals, and what it may show.
        event_log: Logs what happens around keys, stores and the configuration.
        tracer: Makes spans.
        audit: How decisions are recorded, or None.
        body_uses: Where uses of signed bodies are remembered, or None for this process's memory.
        signals: Takes signals that revoke, or None.
        sender: Checks of bound tokens, or None.
    """

    engine: Engine
    rollout: Rollout
    reload: Callable[[], None] = _nothing
    sources: Callable[[], Mapping[str, Invalidated]] = field(default=dict)
    tables: Callable[[], Mapping[str, Any]] = field(default=dict)
    lines: EventLines = field(default_factory=EventLines)
    recent: RecentEvents = field(default_factory=RecentEvents)
    recorder: MetricRecorder = field(default_factory=MetricRecorder)
    logs: LogSettings = field(default_factory=LogSettings)
    event_log: EventLog = field(default_factory=EventLog)
    tracer: Tracer = NO_TRACER
    audit: AuditSettings | None = None
    body_uses: ReplayStore | None = None
    signals: SignalService | None = None
    sender: SenderConstraints | None = None

    def settings_from(self, settings: ServerSettings) -> ServerSettings:
        """Return settings with the checks of bound tokens that the service made, whose events are heard."""
        return settings if self.sender is None else replace(settings, sender=self.sender)


def app_from(loaded: LoadedConfig) -> SidecarApp:
    """Return what a worker serves of a configuration: the service, and the sidecar's own listeners.

    Args:
        loaded: The configuration.

    Raises:
        ConfigurationError: ``configuration_invalid``, ``attribution_missing``.
        DependencyUnavailable: ``revocation_store_unavailable``.
    """
    lines, recent = EventLines(), RecentEvents()
    service = build_service(loaded, lines, recent)
    uses_once = not {"replay_identity", "nonce_secrets_file"}.isdisjoint(loaded.section("server.body"))
    return SidecarApp(
        engine=service.engine,
        rollout=service.rollout,
        reload=service.config.reload,
        sources=partial(_invalidated, service.config),
        tables=lambda: service.config.tables,
        lines=lines,
        recent=recent,
        recorder=service.recorder,
        logs=service.logs,
        event_log=service.event_log,
        tracer=service.tracer,
        audit=service.audit,
        signals=service.signals,
        sender=service.sender,
        body_uses=replay_store_from(loaded.section("replay"), lines) if uses_once else None,
    )


def _invalidated(config: ConfigFile) -> dict[str, Invalidated]:
    """Return the sources that can be invalidated by a rotation."""
    found = config.sources.items()
    return {iss: cast("Invalidated", source) for iss, source in found if hasattr(source, "invalidate")}
