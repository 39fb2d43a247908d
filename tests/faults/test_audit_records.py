"""Faults of what comes into the audit trail: hostile text, secrets, clocks, keys that are gone."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from audit_service import ISS, Service, log_key, service

from rapidjws import Issuer, JWKSet
from rapidjws.audit import TrailReader, Verification
from rapidjws.audit.sequencer_client import LENGTH, REFUSED
from rapidjws.testing import make_key

HOSTILE = (
    "a.\u20ac.c",
    "a.\ud800.c",
    "\u00e9.b.c",
    "a\nb.\x1b[31m.\x00",
    b"\xff\xfe.\x00.x",
    "x" * 1_000_000,
)
"""Tokens that a stranger may send."""


def good(reader: TrailReader) -> int:
    """Check that a trail verifies without a finding; return how many records agree."""
    report = Verification(reader).run()
    assert report.findings == []
    return report.agreed


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("given", HOSTILE, ids=range(len(HOSTILE)))
def test_A9_hostile_text_is_one_record_and_holds_up_no_other(durable: bool, given: Any) -> None:
    """A token, route or partner of any characters has a record of one line; the next one has its own."""
    with service(durable=durable) as world:
        world.decide(given)
        for text in ("/\ud800", "/\u20ac\n\x00", "/" * 100_000):
            decision = world.recorder.note_durably(world.engine.decide(world.token(), route=text), None)
            assert decision.code == "ok"
        world.decide(world.token())
        assert (world.recorder.lost, world.client.failures) == (0, 0)
        reader = world.closed()
        assert reader.size == 5
        for at in range(5):
            entry = reader.entries(0)[at]
            assert not set(entry) & set(range(0x20))
            assert len(entry) < 4096
        assert good(reader) == 2


def send(world: Service, message: object) -> bytes:
    """Send a message to the sequencer; return its answer, nothing where it hung up."""
    octets = message if isinstance(message, bytes) else orjson.dumps(message)
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(20)
        link.connect(world.sequencer.path)
        link.sendall(LENGTH.pack(len(octets)) + octets)
        return link.recv(1)


@pytest.mark.parametrize("durable", [True, False])
def test_A5_a_message_of_another_version_ends_no_sequencer(durable: bool) -> None:
    """A message that is none is refused or hung up on; the sequencer goes on, and what had rows is a gap."""
    row = [1, 1, "t", None, None, None, None, True]
    whole = {"contexts": [], "objects": {}, "lost": {}, "rows": [row]}
    with service(durable=durable) as world:
        for message in (whole, {"rows": 3}, [], 7, {**whole, "rows": [[1]]}, {**whole, "contexts": [[1, 2]]}):
            assert send(world, message) == REFUSED
        for octets in (b"{", b"\xff" * 9):
            assert send(world, octets) == b""
        world.decide(world.token())
        reader = world.closed()
        records = [reader.record(at) for at in range(reader.size)]
        gaps = [one["lost"] for one in records if one["kind"] == "gap"]
        assert sum(gaps) == (0 if durable else 3)
        assert good(reader) == 1


def test_A10_no_secret_stands_in_a_trail_without_contents(tmp_path: Path) -> None:
    """Where no content is stored, no file of the trail has a part of a token or a secret."""
    secret = make_key("HS256", kid="k1")
    with service(content=()) as world:
        token = world.token(sub="a-subject-nobody-knows")
        world.decide(token)
        world.engine.replace_issuers(Issuer(ISS, keys=JWKSet([secret]), algorithms=["HS256"], audience="me"))
        world.decide(world.token())
        world.closed()
        stored = b"".join(path.read_bytes() for path in world.folder.rglob("*") if path.is_file())
        parts = [part.encode() for part in token.split(".")] + [b"a-subject-nobody-knows"]
        assert not [part for part in (*parts, secret.as_dict(private=True)["k"].encode()) if part in stored]


class _Clock:
    """A wall clock that a test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        """Return seconds since the epoch."""
        return self.now

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()


def test_A11_records_keep_their_order_where_the_clock_steps_back() -> None:
    """A clock that steps back by a day changes times, not the order, and all verifies."""
    clock = _Clock(time.time())
    with service(clock=clock) as world:
        for step in (0, -86_400, 1):
            clock.now += step
            world.decide(world.token(jti=str(step)))
        reader = world.closed()
        times = [reader.record(at)["time_us"] for at in range(3)]
        assert times[1] < times[0]
        assert times[1] < times[2] < times[0]
        assert reader.check_tree() == []
        for at in range(3):
            reader.prove(at).verify(log_key())


@pytest.mark.parametrize("gone", ["rotated", "revoked"])
def test_A12_a_record_is_verified_under_its_own_key_when_that_is_gone(gone: str) -> None:
    """The record names the key by its thumbprint, and the trail keeps it: it agrees ever after."""
    harms: dict[str, Callable[[Service], object]] = {
        "rotated": lambda world: world.engine.replace_issuers(
            Issuer(ISS, keys=JWKSet([make_key("ES256", kid="k2").public()]), algorithms=["ES256"])
        ),
        "revoked": lambda world: world.engine.revoke(kid="k1"),
    }
    with service() as world:
        token = world.token()
        assert world.decide(token).code == "ok"
        harms[gone](world)
        assert world.engine.decide(token).code != "ok"
        reader = world.closed()
        record = reader.record(0)
        assert record["key"] == world.key.thumbprint()
        stored = [
            json.loads(path.read_bytes()) for path in (world.folder / "objects").rglob("*") if path.is_file()
        ]
        assert world.key.public().as_dict()["x"] in [one.get("x") for one in stored]
        assert good(reader) == 1
