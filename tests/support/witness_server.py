"""A witness of logs over HTTP (C2SP tlog-witness): what it knows of a log, and what it answers."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from timestamp_authority import Answer, served

from rapidjws.audit import Checkpoint, NoteKey
from rapidjws.audit.merkle import is_consistent
from rapidjws.audit.witnesses import WitnessKey
from rapidjws.errors import RapidJWSError


class WitnessServer:
    """A witness of one log.

    Args:
        log: The log's key.
        name: The witness's name.

    Attributes:
        key: Its public key.
        size: Up to where it signed.
        requests: How many it got.
        answer: What it answers in place of its own, or None.
    """

    def __init__(self, log: NoteKey, name: str = "witness.example/w1") -> None:
        self._secret = Ed25519PrivateKey.generate()
        self.key = WitnessKey(name, self._secret.public_key().public_bytes_raw())
        self._log = log
        self.size, self._root = 0, b""
        self.requests = 0
        self.answer: Answer | None = None

    def cosigned(self, text: str) -> bytes:
        """Return a line over a checkpoint's text."""
        now_s = int(time.time())
        signature = self._secret.sign(f"cosignature/v1\ntime {now_s}\n{text}".encode())
        octets = self.key.key_id + now_s.to_bytes(8, "big") + signature
        return f"— {self.key.name} {base64.b64encode(octets).decode()}\n".encode()

    def reply(self, body: bytes, _: Any) -> Answer:
        """Return what it answers to ``add-checkpoint``."""
        self.requests += 1
        if self.answer is not None:
            return self.answer
        head, _, note = body.partition(b"\n\n")
        first, *lines = head.decode().split("\n")
        old = int(first.removeprefix("old "))
        try:
            found = Checkpoint.opened(note, [self._log])
        except RapidJWSError:
            return 403, {}, b""
        if old > found.size:
            return 400, {}, b""
        if old != self.size:
            return 409, {"Content-Type": "text/x.tlog.size"}, f"{self.size}\n".encode()
        path = [base64.b64decode(one) for one in lines]
        if old and not is_consistent(old, found.size, self._root, found.root, path):
            return 422, {}, b""
        self.size, self._root = found.size, found.root
        return 200, {}, self.cosigned(found.text)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve it; yield what a configuration has of it."""
        with served(self.reply) as url:
            yield f"{self.key.text} {url}"
