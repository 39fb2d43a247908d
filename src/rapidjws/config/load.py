"""All issuers from one file, TOML or JSON; read again when it changes, whole or not at all."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws._scheduler import scheduler
from rapidjws.config import schema
from rapidjws.config.nesting import NESTING_MAX, too_deep
from rapidjws.config.sections import moment_s
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jwt.cache import TokenCache
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import NOT_CHECKED, Issuer
from rapidjws.jwt.post_checks import Replay
from rapidjws.keys import FileJWKS, Freshness, RemoteJWKS
from rapidjws.keys.settings import Transport, UnknownKids
from rapidjws.stores import RedisRevocations, RevocationFile
from rapidjws.stores.replay import MemoryReplayStore
from rapidjws.stores.replay_redis import RedisReplayStore
from rapidjws.verify.protocols import Event, emit, no_events
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from rapidjws.verify.protocols import EventListener, KeySource, ReplayStore, RevocationStore

MAX_BYTES: Final = 4 * 1024 * 1024
"""Largest file: tens of thousands of partners."""

LAST_GOOD_MAX_AGE_S: Final = 86_400.0
"""Age up to which a kept set is used, in seconds, where nothing else is configured."""

_FIXED: Final = (
    "engine",
    "revocations",
    "replay",
    "rollout",
    "partners",
    "shadow",
    "logs",
    "observability",
    "traces",
    "server",
)


def _picked(settings: dict[str, Any], fields: dict[str, str]) -> dict[str, Any]:
    return {name: settings[name] for name in fields if name in settings}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A configuration file as it was read, parsed once.

    Attributes:
        path: The file.
        signature: What tells this file from a later one of the same name.
        text: Its text, to say where something stands.
        tables: Its tables, with names and types checked.
    """

    path: Path
    signature: tuple[int, ...] | None
    text: schema.Text
    tables: dict[str, Any]

    @property
    def is_current(self) -> bool:
        """Return whether the file is still the one that was read."""
        return self.signature is not None and _stat(self.path) == self.signature


def load_config(path: str | Path, *, check: bool = True) -> LoadedConfig:
    """Read a configuration file.

    Args:
        path: The file.
        check: Whether names and types are checked; False for who lists all that is wrong.

    Raises:
        ConfigurationError: ``configuration_invalid``, with file, line and setting.
    """
    path = Path(path)
    signature = _stat(path)  # before the text: a file that is replaced meanwhile is not current
    text, tables = read_file(path) if check else parse_file(path)
    return LoadedConfig(path=path, signature=signature, text=text, tables=tables)


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class ConfigFile:
    """An engine built from a file, which is followed as it changes.

    Paths in it are relative to its folder. Issuers may change under traffic; all other sections
    need a restart.

    Args:
        path: A ``.toml`` or ``.json`` file.
        events: Listener.
        loaded: What was read of this file just now, so that it is not parsed again; where the file is another
            one by now, it is.

    Raises:
        ConfigurationError: ``configuration_invalid``, with file, line and setting.
        DependencyUnavailable: ``revocation_store_unavailable``.
    """

    def __init__(
        self, path: str | Path, *, events: EventListener = no_events, loaded: LoadedConfig | None = None
    ) -> None:
        self.path = Path(path)
        self._events = events
        self._sources: dict[str, KeySource] = {}
        self._poll_s = 1.0
        self._watching = False
        self._reloading = threading.Lock()
        scheduler.members.add(self)
        if loaded is None or loaded.path != self.path or not loaded.is_current:
            loaded = load_config(self.path)
        self._signature = loaded.signature
        text, found = loaded.text, loaded.tables
        self.issuer_tables: list[dict[str, Any]] = found["issuers"]
        self._fixed = {name: found.get(name, {}) for name in _FIXED}
        self._replay_store: ReplayStore | None = None
        issuers, self._sources = self._issuers(text, found)
        self.revocations = self._revocation_store()
        settings = dict(self._fixed["engine"])
        entries = settings.pop("cache_entries", 0)
        try:
            self.engine = Engine(
                *issuers,
                cache=TokenCache(entries) if entries else None,
                revocations=self.revocations,
                events=events,
                counters=(self.section("observability") or {}).get("metrics", True),
                **settings,
            )
        except RapidJWSError as fault:
            if fault.code != "configuration_invalid":
                raise
            text.refuse(("engine", fault.place or ""), str(fault.expected), None)

    @property
    def tables(self) -> dict[str, Any]:
        """Return the tables that hold: issuers as of the last reload, all others as of the start."""
        kept = {name: table for name, table in self._fixed.items() if table}
        return {**kept, "issuers": self.issuer_tables}

    @property
    def sources(self) -> dict[str, KeySource]:
        """Return iss -> its key source."""
        named = ((one.name, self.engine.source_of(one.name)) for one in self.engine.issuers)
        return {iss: source for iss, source in named if source is not None}

    def reload(self) -> None:
        """Read the file again and swap in its issuers; sources whose settings stay are kept.

        Raises:
            ConfigurationError: ``configuration_invalid``: everything stays as it was.
        """
        with self._reloading:  # a thread looks at the file, and an administrator may ask at the same time
            self._reload()

    def _reload(self) -> None:
        self._signature = _stat(self.path)  # a bad file is not read again until it is another one
        loaded = load_config(self.path)
        text, found = loaded.text, loaded.tables
        for name in _FIXED:
            if found.get(name, {}) != self._fixed[name]:
                text.refuse((name,), "no change: this section needs a restart")
        issuers, sources = self._issuers(text, found)
        self.engine.replace_issuers(*issuers)
        self._sources, self.issuer_tables = sources, found["issuers"]
        emit(self._events, Event(name="config_loaded", value=len(issuers)))

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
            if _stat(self.path) != self._signature:
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

    def section(self, name: str) -> Any:
        """Return a section that needs a restart as it stands in the file, or None."""
        return self._fixed[name] or None

    # --- reading -----------------------------------------------------------------------------------------

    def _issuers(self, text: schema.Text, found: dict[str, Any]) -> tuple[list[Issuer], dict[str, KeySource]]:
        """Build the issuers; a fault says which setting on which line."""
        sources: dict[str, KeySource] = {}
        issuers: list[Issuer] = []
        for number, settings in enumerate(found["issuers"]):
            if any(one.iss == settings.get("iss") for one in issuers):
                text.refuse(("issuers", number, "iss"), "each iss once")
            try:
                mark, source = self._source(settings)
                sources[mark] = source
                rules = rules_of(settings)
                issuers.append(Issuer(**rules, keys=source, replay=self._replay(settings)))
                if "rotation_until" in settings:
                    moment_s("rotation_until", settings["rotation_until"])
            except RapidJWSError as fault:
                place = {"url": "jwks_url"}.get(fault.place or "", (fault.place or "").partition("[")[0])
                text.refuse(("issuers", number, place.replace("replay.", "replay_")), str(fault.expected))
        return issuers, sources

    def _source(self, settings: dict[str, Any]) -> tuple[str, KeySource]:
        """Return an issuer's source: the one there is where its settings did not change."""
        fields = {
            **schema.SOURCE_FIELDS,
            **schema.TRANSPORT_FIELDS,
            **schema.FRESHNESS_FIELDS,
            **schema.UNKNOWN_FIELDS,
        }
        mark = json.dumps([settings.get("iss"), _picked(settings, fields)], sort_keys=True)
        known = self._sources.get(mark)
        if known is not None:
            return mark, known
        folder = self.path.parent
        if "jwks_file" in settings:
            return mark, FileJWKS(folder / settings["jwks_file"], events=self._events)
        trust = _picked(settings, schema.TRANSPORT_FIELDS)
        if "ca" in trust and "-----BEGIN" not in trust["ca"]:
            trust["ca"] = str(folder / trust["ca"])
        kept = settings.get("last_good_file")
        return mark, RemoteJWKS(
            settings["jwks_url"],
            freshness=Freshness(**_picked(settings, schema.FRESHNESS_FIELDS)),
            unknown_kids=UnknownKids(**_picked(settings, schema.UNKNOWN_FIELDS)),
            transport=Transport(**trust),
            last_good=None if kept is None else folder / kept,
            last_good_max_age_s=settings.get("last_good_max_age_s", LAST_GOOD_MAX_AGE_S),
            events=self._events,
        )

    # --- stores ------------------------------------------------------------------------------------------

    def _replay(self, settings: dict[str, Any]) -> Replay | None:
        if not settings.get("replay", False):
            return None
        if self._replay_store is None:
            section = dict(self._fixed["replay"])
            checked_store_choices("replay", section)
            url = section.pop("redis", None)
            if url is None:
                self._replay_store = MemoryReplayStore(**section, events=self._events)
            else:
                self._replay_store = RedisReplayStore(url, **section, events=self._events)
        choices = {
            name.removeprefix("replay_"): settings[name]
            for name in ("replay_identity", "replay_on_failure")
            if name in settings
        }
        return Replay(store=self._replay_store, **choices)

    def _revocation_store(self) -> RevocationStore | None:
        section = self._fixed["revocations"]
        checked_store_choices("revocations", section)
        if "redis" in section:
            choices = {name: section[name] for name in ("stream", "on_loss") if name in section}
            return RedisRevocations(section["redis"], **choices, events=self._events)
        if "file" in section:
            return RevocationFile(self.path.parent / section["file"], events=self._events)
        return None


_ONLY_WITH_REDIS: Final = ("stream", "on_loss", "budget_s", "wait_replicas")
_ONLY_WITHOUT_REDIS: Final = ("file", "max_entries")


def checked_store_choices(section: str, table: dict[str, Any]) -> None:
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


def rules_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a table's rules as :class:`Issuer` takes them.

    A file has no ``None`` and no ``NOT_CHECKED``, and a text in it may stand for a list of one.
    """
    rules = _picked(settings, schema.RULE_FIELDS)
    for name, kind in schema.RULE_FIELDS.items():
        if kind == schema.TEXTS and isinstance(rules.get(name), str):
            rules[name] = [rules[name]]
    if not rules.pop("check_iss", True):
        rules["iss"] = None
    if not rules.pop("check_audience", True):
        rules["audience"] = NOT_CHECKED
    return rules


def read_file(path: Path) -> tuple[schema.Text, dict[str, Any]]:
    """Read a configuration file and check its names and types.

    Raises:
        ConfigurationError: ``configuration_invalid``, with file, line and setting.
    """
    text, found = parse_file(path)
    text.check(found)
    return text, found


def parse_file(path: Path) -> tuple[schema.Text, dict[str, Any]]:
    """Read a configuration file, whatever its tables hold.

    Raises:
        ConfigurationError: ``configuration_invalid``: it cannot be read, or is no TOML or JSON.
    """
    is_json = path.suffix == ".json"
    try:
        text = _files.read_trusted(path, MAX_BYTES).decode("utf-8")
    except _files.FileRefused as fault:
        if fault.reason == "too_large":
            raise error_for(
                "configuration_invalid", path.name, expected=f"at most {MAX_BYTES} bytes"
            ) from None
        raise error_for("configuration_invalid", path.name, "a file to trust", fault.strerror) from None
    except OSError as fault:
        raise error_for("configuration_invalid", str(path.name), actual=fault.strerror) from None
    except UnicodeDecodeError:
        raise error_for("configuration_invalid", str(path.name), expected="UTF-8") from None
    deep = too_deep(text, is_json=is_json)
    if deep is not None:
        expected = f"at most {NESTING_MAX} levels of tables, lists and dotted keys"
        raise error_for("configuration_invalid", f"{path.name}:{deep}", expected=expected)
    try:
        found = json.loads(text, object_pairs_hook=_unique) if is_json else _toml_loads(text)
    except (ValueError, RecursionError) as fault:  # both parsers say the line
        name, kind = path.name, "JSON" if is_json else "TOML"
        raise error_for("configuration_invalid", name, expected=kind, actual=str(fault)) from None
    whole = schema.Text(name=path.name, text=text, is_json=is_json)
    if not isinstance(found, dict):
        whole.refuse((), "a table")
    return whole, found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object whose names are distinct."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return made


def _toml_loads(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    found: dict[str, Any] = tomllib.loads(text)
    return found
