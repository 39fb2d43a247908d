"""Notices sent by SMTP, each at most once: what was sent is written down before and after.

What this never does: send in the clear where TLS was asked for, log in without TLS, or say anything of the
password, or of what the server says beyond its code.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import smtplib
import ssl
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, Final, Literal

from rapidjws import _files, _locks
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.rollout.partner import checked_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rapidjws.rollout.report.notices import Notice

Outcome = Literal["sent", "refused", "failed", "uncertain", "known"]

_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
LOG_MAX_BYTES: Final = 64 << 20
"""Most of a log that is read: its last lines."""

LOG_COMPACT_BYTES: Final = 8 << 20
"""Size from which on a log is rewritten with the last state of each notice alone."""

LOG_KEPT_BYTES: Final = 32 << 20
"""Size that a rewritten log has at most; beyond it the oldest notices are forgotten."""

_MARK: Final = re.compile(r'"mark": ?"([^"\\]*)("?)')
_HELD: Final = ("sent", "sending")
"""States of the log that forbid another try: sent, or begun and never reported as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where and how notices are sent.

    Args:
        host: The SMTP server.
        sender: The address in ``From``.
        port: Its port; by default 587, 465 or 25, as ``security`` has it.
        security: ``"starttls"``, ``"tls"`` from the first byte on, or ``"none"``.
        username: For logging in, or None.
        password: For logging in.
        reply_to: The address in ``Reply-To``, or None.
        ca: A file of certificates to trust instead of the system's, or None.
        timeout_s: Time for each step, in seconds.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    host: str
    sender: str
    port: int | None = None
    security: str = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    reply_to: str | None = None
    ca: str | Path | None = None
    timeout_s: float = 20.0

    def __post_init__(self) -> None:
        """Check every argument once."""
        if not isinstance(self.host, str) or not self.host or not self.host.isprintable() or " " in self.host:
            raise error_for("configuration_invalid", "notices.host", expected="a host")
        checked_address("notices.sender", self.sender)
        if self.reply_to is not None:
            checked_address("notices.reply_to", self.reply_to)
        if self.security not in _PORTS:
            raise error_for("configuration_invalid", "notices.security", tuple(_PORTS), str(self.security))
        if self.port is not None and (isinstance(self.port, bool) or not 0 < self.port < 65536):
            raise error_for("configuration_invalid", "notices.port", expected="1 to 65535")
        if (self.username is None) != (self.password is None):
            raise error_for("configuration_invalid", "notices.username", expected="both it and a password")
        if self.username is not None and self.security == "none":  # RFC 4954 s.4: not in the clear
            raise error_for("configuration_invalid", "notices.security", "TLS, with a password", "none")
        if isinstance(self.timeout_s, bool) or not 0 < self.timeout_s <= 600:
            raise error_for("configuration_invalid", "notices.timeout_s", expected="above 0 to 600")

    def connect(self) -> smtplib.SMTP:
        """Return a connection, secured and logged in; raises OSError, of which SMTPException is one."""
        port = self.port or _PORTS[self.security]
        trust = None if self.security == "none" else ssl.create_default_context(cafile=self.ca)
        if self.security == "tls":
            wire: smtplib.SMTP = smtplib.SMTP_SSL(self.host, port, timeout=self.timeout_s, context=trust)
        else:
            wire = smtplib.SMTP(self.host, port, timeout=self.timeout_s)
        try:
            if self.security == "starttls":
                wire.starttls(context=trust)  # raises where it is not offered, or stripped
            if self.username is not None and self.password is not None:
                wire.login(self.username, self.password)
        except BaseException:
            wire.close()
            raise
        return wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What became of one notice.

    Attributes:
        partner: Whom it is about.
        to: Its address.
        mark: Names the notice.
        outcome: ``"sent"``; ``"refused"`` by the server; ``"failed"`` before it was handed over;
            ``"uncertain"``: the connection broke while it was; ``"known"``: it was sent before.
        detail: A stable word or the server's code.
        at_s: When, seconds since the epoch.
    """

    partner: str
    to: str
    mark: str
    outcome: Outcome
    detail: str
    at_s: int


def _entry_in(line: str) -> tuple[str, str] | None:
    """Return the mark and the state of the notice that a line tells of; None where it cannot be read."""
    try:
        entry = json.loads(line)
        mark, state = entry["mark"], entry["state"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (mark, state) if isinstance(mark, str) and isinstance(state, str) else None


class SentStates:
    """The last state of each notice in a log.

    A line that cannot be read, cut off by a crash or damaged, may have held ``"sent"``: what it names, or may
    name where its mark is cut, counts as begun.
    """

    __slots__ = ("_cut", "_known")

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._cut: list[str] = []

    def add(self, line: str) -> None:
        """Take one line."""
        entry = _entry_in(line)
        if entry is not None:
            self._known[entry[0]] = entry[1]
        else:
            for mark, end in _MARK.findall(line):
                if end:
                    self._known[mark] = "sending"
                elif mark:
                    self._cut.append(mark)

    def get(self, mark: str) -> str | None:
        """Return a notice's state, or None where it was never begun."""
        state = self._known.get(mark)
        if state is None and any(mark.startswith(part) for part in self._cut):
            return "sending"
        return state


class SentLog:
    """A log of what was sent: a file that grows by a line at a time, and is rewritten once it is long.

    Args:
        path: The file.
    """

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def states(self) -> SentStates:
        """Return the last state of each notice.

        Raises:
            ConfigurationError: ``configuration_invalid``: the log is there and cannot be read.
        """
        found = SentStates()
        try:
            for line in self._lines():
                found.add(line)
        except OSError as fault:
            raise _no_log(fault) from None
        return found

    def _lines(self) -> list[str]:
        """Return the lines, the oldest first; none where there is no log. Raises OSError."""
        try:
            octets = _files.read_end(self._path, LOG_MAX_BYTES)
        except FileNotFoundError:
            return []
        return octets.decode("utf-8", "replace").splitlines()

    def compact(self) -> None:
        """Rewrite a long log, whole or not at all; only for who holds it ``alone``.

        The last line of each notice stays, in its order among the others, and so does what cannot be read.

        Raises:
            OSError: It cannot be read or written; it is as it was.
        """
        try:
            if os.stat(self._path).st_size < LOG_COMPACT_BYTES:
                return
        except FileNotFoundError:
            return
        kept: dict[tuple[str | None, str], bytes] = {}
        for line in self._lines():
            entry = _entry_in(line)
            key: tuple[str | None, str] = (None, line) if entry is None else (entry[0], "")
            kept.pop(key, None)
            kept[key] = line.encode() + b"\n"
        size = sum(map(len, kept.values()))
        for key in list(kept):
            if size <= LOG_KEPT_BYTES:
                break
            size -= len(kept.pop(key))
        _files.replace(self._path, b"".join(kept.values()))

    def write(self, notice: Notice, state: str, at_s: int) -> None:
        """Write a state down, on the disk before it returns; raises OSError."""
        entry = {
            "mark": notice.mark,
            "partner": notice.partner,
            "to": notice.to,
            "state": state,
            "at_s": at_s,
        }
        _files.append_line(self._path, json.dumps(entry).encode())

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the log against other senders.

        Raises:
            ConfigurationError: ``configuration_invalid``: another one sends now, or it cannot be written.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(_locks.locked(self._path.with_suffix(".lock"), wait=False))
            except BlockingIOError:
                raise error_for("configuration_invalid", "notices", "one sender at a time") from None
            except OSError as fault:
                raise _no_log(fault) from None
            yield


def _no_log(fault: OSError) -> RapidJWSError:
    return error_for("configuration_invalid", "notices", "a log", fault.strerror or type(fault).__name__)


def send(
    notices: Sequence[Notice],
    server: MailServer,
    log: SentLog,
    *,
    again: bool = False,
    clock: Callable[[], float] = time,
) -> tuple[Sending, ...]:
    """Send notices, each at most once.

    Args:
        notices: What to send.
        server: Where and how.
        log: What was sent before.
        again: Whether what was sent before, or may have been, is sent again.
        clock: Gives seconds since the epoch, for the log.

    Returns:
        What became of each, in order: one that is refused holds up no other.

    Raises:
        ConfigurationError: ``configuration_invalid``: another one sends now, or the log cannot be written.
    """
    with log.alone():
        with contextlib.suppress(OSError):  # as it is it will do; what cannot be written is reported below
            log.compact()
        run = _Run(server, log, clock)
        try:
            states = SentStates() if again else log.states()
            return tuple(run.one(notice, states.get(notice.mark)) for notice in notices)
        finally:
            run.close()


class _Run:
    """A connection while notices are sent over it."""

    def __init__(self, server: MailServer, log: SentLog, clock: Callable[[], float]) -> None:
        self._server = server
        self._log = log
        self._clock = clock
        self._wire: smtplib.SMTP | None = None
        self._unreachable: str | None = None

    def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            with contextlib.suppress(OSError):
                wire.quit()
            wire.close()

    def one(self, notice: Notice, state: str | None) -> Sending:
        """Send one notice unless the log forbids it."""
        outcome: Outcome = "known"
        detail = str(state)
        if state not in _HELD:
            outcome, detail = self._try(notice)
        return Sending(
            partner=notice.partner,
            to=notice.to,
            mark=notice.mark,
            outcome=outcome,
            detail=detail,
            at_s=int(self._clock()),
        )

    def _try(self, notice: Notice) -> tuple[Outcome, str]:
        if self._wire is None and self._unreachable is None:
            try:
                self._wire = self._server.connect()
            except (OSError, ValueError) as fault:  # SMTPException is an OSError
                self._unreachable = _word(fault)
        if self._wire is None:
            return "failed", self._unreachable or "unreachable"
        self._written(notice, "sending")
        outcome, detail = self._hand_over(self._wire, notice)
        if outcome != "uncertain":
            self._written(notice, outcome)
        return outcome, detail

    def _hand_over(self, wire: smtplib.SMTP, notice: Notice) -> tuple[Outcome, str]:
        server = self._server
        try:
            wire.send_message(notice.message(server.sender, server.reply_to), server.sender, [notice.to])
        except smtplib.SMTPRecipientsRefused as fault:
            code = next(iter(fault.recipients.values()))[0]
            self._wire = None if code == 421 else wire  # RFC 5321 s.3.8: it closes the channel
            return "refused", str(code)
        except smtplib.SMTPResponseException as fault:
            self._wire = None if fault.smtp_code == 421 else wire
            return "refused", str(fault.smtp_code)
        except OSError as fault:
            wire.close()
            self._wire = None  # the next one gets a connection of its own
            return "uncertain", _word(fault)
        return "sent", "250"

    def _written(self, notice: Notice, state: str) -> None:
        try:
            self._log.write(notice, state, int(self._clock()))
        except OSError as fault:
            raise _no_log(fault) from None


def _word(fault: Exception) -> str:
    """Return what went wrong in a word and a code; never the server's text."""
    code: Any = getattr(fault, "smtp_code", None)
    return type(fault).__name__ if code is None else f"{type(fault).__name__} {code}"


def as_dict(sending: Sending) -> dict[str, Any]:
    """Return what became of a notice as plain values."""
    return asdict(sending)
