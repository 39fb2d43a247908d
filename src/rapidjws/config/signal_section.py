"""The section ``signals``: endpoints for Security Event Tokens and logout tokens, and polling."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws._checks import check_range, checked
from rapidjws._scheduler import scheduler
from rapidjws.config.introspection_section import authorities
from rapidjws.config.sections import issuer_names
from rapidjws.config.stores import replay_store_from
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.post import HttpsPost
from rapidjws.keys.settings import Transport
from rapidjws.signals.poller import ANSWER_MAX_BYTES, SETPoller
from rapidjws.signals.receiver import SignalReceiver
from rapidjws.signals.revocation_hook import TokenRevocationHook
from rapidjws.verify.arguments import names_of
from rapidjws.verify.protocols import Event, emit, no_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from rapidjws.config.read import LoadedConfig
    from rapidjws.verify.protocols import EventListener, ReplayStore

SECRET_MIN_CHARS: Final = 32
SECRET_MAX_BYTES: Final = 8192
POLLS_IN_A_ROW: Final = 100
"""Most polls without a pause, while a transmitter has more."""

_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_TAKEN: Final = ("/healthz", "/readyz", "/metrics", "/hooks/jwks-rotated")


@checked(but=("issuers", "audience"))
@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSettings:
    """How signals are taken.

    Args:
        issuers: Whose.
        audience: What ``aud`` of a signal must name one of.
        push_path: Path of the endpoint for Security Event Tokens.
        logout_path: Path of the back-channel logout URI, or None.
        revocation_path: Path of the endpoint for tokens that an authorization server revoked, or None.
        secret: What a transmitter must show as a bearer token; None for nothing.
        revocation_secret: What such an authorization server must show.
        poll_url: The transmitter's polling endpoint, or None.
        poll_authorization_file: A file of our bearer token for it.
        poll_s: Seconds between two polls, 0.1 to 86 400.
        ca: Authorities of the polling endpoint.
        insecure_allow_http: Whether plain http is polled: for tests only.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    issuers: Iterable[str]
    audience: Iterable[str]
    push_path: str = "/signals"
    logout_path: str | None = None
    revocation_path: str | None = None
    secret: str | None = field(default=None, repr=False)
    revocation_secret: str | None = field(default=None, repr=False)
    poll_url: str | None = None
    poll_authorization_file: str | None = None
    poll_s: float = 10.0
    ca: str | None = None
    insecure_allow_http: bool = False

    def __post_init__(self) -> None:
        """Check every argument once."""
        for name in ("issuers", "audience"):
            names = names_of(getattr(self, name), name)
            if not names:
                raise error_for("configuration_invalid", name, expected="a value")
            object.__setattr__(self, name, names)
        for name in ("push_path", "logout_path", "revocation_path"):
            path = getattr(self, name)
            if path is not None and (_PATH.fullmatch(path) is None or path in _TAKEN):
                raise error_for("configuration_invalid", name, "a path of its own, /like/this", path)
        if self.push_path == self.logout_path:
            raise error_for("configuration_invalid", "logout_path", "another path than push_path")
        if self.revocation_path in (self.push_path, self.logout_path) and self.revocation_path is not None:
            raise error_for("configuration_invalid", "revocation_path", "a path of its own")
        if (self.revocation_path is None) != (self.revocation_secret is None):
            expected = "revocation_path and revocation_secret_file, or neither"
            raise error_for("configuration_invalid", "revocation_secret_file", expected)
        check_range("poll_s", self.poll_s, 0.1, 86_400)
        if self.poll_url is not None:
            self.transport.check_url(self.poll_url, "poll_url")
        for name in ("poll_authorization_file", "ca"):
            if self.poll_url is None and getattr(self, name) is not None:
                raise error_for("configuration_invalid", name, "poll_url beside it")
        for name in ("secret", "revocation_secret"):
            secret = getattr(self, name)
            if secret is not None and len(secret) < SECRET_MIN_CHARS:
                expected = f"at least {SECRET_MIN_CHARS} characters"
                raise error_for("configuration_invalid", f"{name}_file", expected)

    @property
    def transport(self) -> Transport:
        """Return how the transmitter is reached."""
        return Transport(ca=self.ca, insecure_allow_http=self.insecure_allow_http)


class SignalService:
    """The receivers of a configuration, and its poller; they follow its issuers as these change.

    Args:
        settings: The section.
        engine: Where subjects and sessions are revoked.
        replay: Where the ``jti`` of signals are kept.
        events: Listener.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(
        self,
        settings: SignalSettings,
        engine: Engine,
        replay: ReplayStore,
        events: EventListener = no_events,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._replay = replay
        self._events = events
        self._made_of: tuple[Any, ...] = ()
        self._receivers: dict[str, SignalReceiver] = {}
        self._poller: SETPoller | None = None
        self._hook: TokenRevocationHook | None = None
        self.after_fork()
        scheduler.members.add(self)
        self._current()

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()

    @property
    def paths(self) -> frozenset[str]:
        """Return the paths of its endpoints."""
        named = (self._settings.push_path, self._settings.logout_path, self._settings.revocation_path)
        return frozenset(path for path in named if path is not None)

    @property
    def poll_s(self) -> float | None:
        """Return the seconds between two polls, or None where nothing is polled."""
        return None if self._settings.poll_url is None else self._settings.poll_s

    def handle(
        self, path: str, method: str, content_type: str, body: bytes, authorization: str | None
    ) -> tuple[int, bytes]:
        """Answer one request to an endpoint.

        Args:
            path: One of ``paths``.
            method: The HTTP method.
            content_type: The Content-Type.
            body: The body.
            authorization: The Authorization header, or None.

        Returns:
            Status and body, as :meth:`SignalReceiver.push`, :meth:`SignalReceiver.logout` and
            :meth:`TokenRevocationHook.handle`.
        """
        receivers = self._current()
        if path == self._settings.revocation_path and self._hook is not None:
            return self._hook.handle(method, content_type, body, authorization)
        if path == self._settings.logout_path:
            return receivers["logout_token"].logout(method, content_type, body)
        return receivers["security_event"].push(method, content_type, body, authorization)

    def poll(self) -> bool:
        """Fetch what the transmitter keeps, until it has no more; a fault is an event.

        Returns:
            Whether there may be revocations that other processes do not know of.
        """
        before = self._engine.revocations()
        self._fetch()
        return self._engine.revocations() != before

    def _fetch(self) -> None:
        try:
            self._current()
            for _ in range(POLLS_IN_A_ROW):
                if self._poller is None or not self._poller.poll():
                    return
        except FetchFailed as failed:
            self._failed(failed.reason)
        except Exception as fault:
            self._failed(type(fault).__name__)

    def _failed(self, reason: str) -> None:
        url = self._settings.poll_url
        emit(self._events, Event(name="signal_poll_failed", issuer=url, detail=reason))

    def _current(self) -> dict[str, SignalReceiver]:
        """Return the receivers of the issuers as these are configured now."""
        named = frozenset(self._settings.issuers)
        issuers = [one for one in self._engine.issuers if not named.isdisjoint(one.names)]
        made_of = tuple(issuers)
        with self._lock:
            same = len(made_of) == len(self._made_of) and all(map(_is, made_of, self._made_of))
            if not (same and self._receivers):
                self._receivers = self._made(issuers)
                self._made_of = made_of
            return self._receivers

    def _made(self, issuers: list[Issuer]) -> dict[str, SignalReceiver]:
        if len(issuers) < len(tuple(self._settings.issuers)):
            raise error_for("configuration_invalid", "issuers", expected="configured issuers")
        made = {"security_event": self._receiver("security_event", issuers)}
        if self._settings.logout_path is not None:
            made["logout_token"] = self._receiver("logout_token", issuers)
        if self._settings.revocation_secret is not None:
            # bound to a sender or used once: the server shows no proof, and uses none up
            plain = [replace(one, replay=None, cnf="unchecked") for one in issuers]
            self._hook = TokenRevocationHook(
                self._engine,
                secret=self._settings.revocation_secret,
                tokens=Engine(*plain, workers=1, counters=False),
                events=self._events,
            )
        if self._settings.poll_url is not None:
            self._poller = SETPoller(
                self._settings.poll_url, made["security_event"], post=_post(self._settings)
            )
        return made

    def _receiver(self, profile: Any, issuers: list[Issuer]) -> SignalReceiver:
        audience = self._settings.audience
        rules = [
            Issuer.profile(profile, one.names, keys=one.keys, algorithms=one.algorithms, audience=audience)
            for one in issuers
        ]
        return SignalReceiver(
            Engine(*rules, workers=1, counters=False),
            self._engine,
            replay=self._replay,
            secret=self._settings.secret if profile == "security_event" else None,
            events=self._events,
        )


def _is(one: object, other: object) -> bool:
    return one is other


def _post(settings: SignalSettings) -> Callable[[str, Mapping[str, str], bytes], tuple[int, bytes]]:
    """Return the POST of a poll, with our bearer token as its file holds it then."""
    post = HttpsPost(settings.transport, max_answer_bytes=ANSWER_MAX_BYTES)
    path = settings.poll_authorization_file
    return post if path is None else partial(_authorized, post, path)


def _authorized(
    post: HttpsPost, path: str, url: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, bytes]:
    try:
        token = _secret(path, "signals.poll_authorization_file")
    except RapidJWSError:
        raise FetchFailed("credential") from None
    return post(url, {**headers, "authorization": f"Bearer {token}"}, body)


def _secret(path: Path | str, place: str) -> str:
    """Return the one line of a file; no word of it is shown."""
    try:
        text = _files.read_trusted(path, SECRET_MAX_BYTES).decode("ascii").strip()
    except (OSError, ValueError):
        raise error_for("configuration_invalid", place, expected="a file to read") from None
    if not text.isprintable() or not text:
        raise error_for("configuration_invalid", place, expected="one line of text")
    return text


def signal_settings_from(
    section: dict[str, Any], folder: Path, tables: Mapping[str, Any], *, files: bool = True
) -> SignalSettings:
    """Return how a table ``signals`` has signals taken.

    Args:
        section: The table.
        folder: What paths are relative to.
        tables: All tables: several workers share what is revoked and what was taken.
        files: Whether the files that it names are read.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    settings = dict(section)
    for name in ("issuers", "audience"):
        if name not in settings:
            raise error_for("configuration_invalid", name, expected="a value")
    tables_of = [one for one in tables.get("issuers") or () if isinstance(one, dict)]
    known = {name for one in tables_of for name in issuer_names(one)}
    for iss in names_of(settings["issuers"], "issuers"):
        if iss not in known:
            raise error_for("configuration_invalid", "issuers", "configured issuers", iss)
    if tables.get("server", {}).get("workers", 1) != 1:
        if not {"file", "redis"} & set(tables.get("revocations") or ()):
            expected = "revocations.file or revocations.redis, for several workers"
            raise error_for("configuration_invalid", "issuers", expected)
        if "redis" not in (tables.get("replay") or {}):
            expected = "replay.redis, for several workers: each would take a signal once"
            raise error_for("configuration_invalid", "issuers", expected)
    for name in ("secret", "revocation_secret"):
        if f"{name}_file" in settings:
            path = folder / settings.pop(f"{name}_file")
            settings[name] = _secret(path, f"signals.{name}_file") if files else "-" * SECRET_MIN_CHARS
    if "poll_authorization_file" in settings:
        path = folder / settings["poll_authorization_file"]
        settings["poll_authorization_file"] = str(path)
        if files:
            _secret(path, "signals.poll_authorization_file")
    if "ca" in settings:
        settings["ca"] = authorities(settings["ca"], folder)
    return SignalSettings(**settings)


def signals_of(
    loaded: LoadedConfig, engine: Engine, events: EventListener = no_events
) -> SignalService | None:
    """Return the receivers that a configuration asks for, or None.

    Args:
        loaded: The configuration.
        engine: Where subjects and sessions are revoked.
        events: Listener.

    Raises:
        ConfigurationError: ``configuration_invalid``, with file, line and setting.
    """
    section = loaded.section("signals")
    if not section:
        return None
    try:
        settings = signal_settings_from(section, loaded.folder, loaded.tables)
        replay = replay_store_from(loaded.section("replay"), events)
        return SignalService(settings, engine, replay, events)
    except RapidJWSError as fault:
        place = (fault.place or "").rpartition(".")[2]
        loaded.text.refuse(("signals", place), str(fault.expected), None)
