"""Cosignatures on a schedule: the sequencer has its checkpoints witnessed (C2SP tlog-witness)."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rapidjws._checks import check_range, checked
from rapidjws.audit.notes import NoteKey
from rapidjws.audit.schedule import Schedule
from rapidjws.audit.tile_files import CHECKPOINT
from rapidjws.audit.trail_reader import TrailReader
from rapidjws.audit.witnesses import LINES_MAX_BYTES, WitnessKey, add_cosignatures, witness_request
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.post import HttpsPost
from rapidjws.keys.settings import Transport
from rapidjws.verify.protocols import Event, emit

if TYPE_CHECKING:
    from rapidjws.verify.protocols import Clock, EventListener

CONFLICT: Final = 409
_HEADERS: Final = {"content-type": "application/octet-stream"}
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,15})\n")
_STORING: Final = threading.Lock()
"""Two witnesses of one checkpoint are stored in one file."""


class Witness:
    """A witness that is asked over HTTP, and what it signed last.

    Args:
        key: Its public key.
        url: Its submission prefix; ``/add-checkpoint`` is added.
        transport: Limits of a request and trust in the connection.

    Raises:
        ConfigurationError: ``configuration_invalid``: the URL.
    """

    __slots__ = ("_known", "_post", "key", "url")

    @checked
    def __init__(self, key: WitnessKey, url: str, transport: Transport | None = None) -> None:
        how = transport or Transport()
        self.key = key
        self.url = how.check_url(url, "witness").rstrip("/") + "/add-checkpoint"
        self._post = HttpsPost(how, max_answer_bytes=LINES_MAX_BYTES)
        self._known = 0

    @classmethod
    @checked
    def from_text(cls, text: str, transport: Transport | None = None) -> Witness:
        """Return a witness of two words, as a policy has it: ``NAME+ID+KEY URL``.

        Raises:
            ConfigurationError: ``configuration_invalid``.
        """
        words = text.split()
        if len(words) != 2:
            raise error_for("configuration_invalid", "witness", "NAME+ID+KEY URL", text[:200])
        return cls(WitnessKey.from_text(words[0]), words[1], transport)

    @checked
    def cosign(self, reader: TrailReader) -> int:
        """Have a trail's checkpoint signed, and store the signature beside it where it is good.

        Returns:
            When the witness signed, in seconds since the epoch.

        Raises:
            DependencyUnavailable: ``witness_failed``: no answer, no good signature, or the witness signed a
                larger tree than there is; nothing is stored.
            ConfigurationError: ``audit_trail_invalid``: the trail.
            OSError: The file cannot be written.
        """
        for _ in range(2):
            request = witness_request(reader, min(self._known, reader.size))
            status, answer = self._answer(request)
            size = _SIZE.fullmatch(answer) if status == CONFLICT else None
            if size is None:
                break
            self._known = int(size[1])
            if self._known > reader.size:
                known, self._known = self._known, 0
                raise self._failed(f"a checkpoint up to {reader.size}", f"{known}, which it signed")
        if status != 200:
            raise self._failed("status 200", f"status {status}")
        try:
            with _STORING:
                found = add_cosignatures(reader, answer, [self.key], request=request)
        except RapidJWSError as fault:
            raise self._failed(str(fault.expected), str(fault.actual)) from None
        self._known = reader.size
        return found[self.key.name]

    def _answer(self, request: bytes) -> tuple[int, bytes]:
        try:
            return self._post(self.url, _HEADERS, request)
        except FetchFailed as fault:
            raise self._failed("an answer", fault.detail) from None

    def _failed(self, expected: str, actual: str) -> RapidJWSError:
        return error_for("witness_failed", self.key.name, expected, actual)


class WitnessSchedule(Schedule):
    """One witness of a trail that is being written.

    Args:
        folder: The trail.
        key: The log's public key.
        witness: Signs.
        every_s: Seconds between checkpoints that it is given; a trail that has not grown gives none.
        events: Listens to cosignatures, and to what failed.
        clock: Gives the time; None for the real one.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(
        self,
        folder: Path,
        key: NoteKey,
        witness: Witness,
        *,
        every_s: float,
        events: EventListener,
        clock: Clock | None = None,
    ) -> None:
        self.check(every_s)
        super().__init__(
            every_s=every_s, failed="audit_witness_failed", events=events, clock=clock,
            subject=f"{witness.key.name}: ",
        )  # fmt: skip
        self._folder, self._key, self._witness = folder, key, witness
        self._size = -1

    @staticmethod
    def check(every_s: float) -> None:
        """Check how often a witness is asked; raises ConfigurationError."""
        check_range("audit.witness_every_s", every_s, 1, 30 * 86_400)

    def _call(self) -> float:
        try:
            reader = TrailReader(self._folder, self._key)
        except RapidJWSError:
            if (self._folder / CHECKPOINT).exists():
                raise
            return 1.0  # nothing is published yet
        if reader.size > self._size and reader.size:
            self._witness.cosign(reader)
            self._size = reader.size
            detail = self._witness.key.name
            emit(self._events, Event(name="audit_witnessed", value=float(reader.size), detail=detail))
        return self._every_s if reader.size else 1.0
