"""The sections ``revocations`` and ``replay``: where what is remembered is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import error_for
from rapidjws.jwt.replay_rule import Replay
from rapidjws.stores import RedisRevocations, RedisRotations, RevocationFile
from rapidjws.stores.replay import MemoryReplayStore
from rapidjws.stores.replay_redis import RedisReplayStore
from rapidjws.verify.protocols import no_events

if TYPE_CHECKING:
    from pathlib import Path

    from rapidjws.verify.protocols import EventListener, ReplayStore, RevocationStore

_ONLY_WITH_REDIS: Final = ("stream", "on_loss", "budget_s", "wait_replicas")
_ONLY_WITHOUT_REDIS: Final = ("file", "max_entries")
_REPLAY_CHOICES: Final = ("replay_identity", "replay_on_failure")


def revocation_store_from(
    section: dict[str, Any], folder: Path, events: EventListener = no_events
) -> RevocationStore | None:
    """Return the store that a table ``revocations`` asks for, or None.

    Args:
        section: The table.
        folder: What paths are relative to.
        events: Listener.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        DependencyUnavailable: ``revocation_store_unavailable``.
    """
    _check_store_choices("revocations", section)
    if "redis" in section:
        choices = {name: section[name] for name in ("stream", "on_loss") if name in section}
        return RedisRevocations(section["redis"], **choices, events=events)
    if "file" in section:
        return RevocationFile(folder / section["file"], events=events)
    return None


def rotations_from(section: dict[str, Any]) -> RedisRotations | None:
    """Return the announcements of rotations in the Redis that a table ``revocations`` names, or None.

    Args:
        section: The table.
    """
    return RedisRotations(section["redis"]) if "redis" in section else None


def replay_store_from(
    section: dict[str, Any], events: EventListener = no_events, *, timed: bool = False
) -> ReplayStore:
    """Return the store that a table ``replay`` asks for: in memory where it names none.

    Args:
        section: The table.
        events: Listener.
        timed: Whether the store in memory tells of each question, for spans.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    _check_store_choices("replay", section)
    rest = dict(section)
    url = rest.pop("redis", None)
    if url is None:
        return MemoryReplayStore(**rest, events=events, timed=timed)
    return RedisReplayStore(url, **rest, events=events)


def replay_from(settings: dict[str, Any], store: ReplayStore) -> Replay:
    """Return how an issuer's tokens are refused a second time; raises ConfigurationError.

    Args:
        settings: The issuer's table.
        store: Where their identities are kept.
    """
    choices = {name.removeprefix("replay_"): settings[name] for name in _REPLAY_CHOICES if name in settings}
    return Replay(store=store, **choices)


def _check_store_choices(section: str, table: dict[str, Any]) -> None:
    """Refuse settings of a store that nothing would read: those of Redis without it, and the others with it.

    Args:
        section: ``"revocations"`` or ``"replay"``.
        table: The section.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    unread = _ONLY_WITHOUT_REDIS if "redis" in table else _ONLY_WITH_REDIS
    for name in table:
        if name in unread:
            expected = "no redis beside it" if "redis" in table else "redis beside it"
            raise error_for("configuration_invalid", f"{section}.{name}", expected)
