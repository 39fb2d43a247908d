"""Witnesses that a sequencer asks from time to time: what they answer, and one that is away or hostile."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from audit_trails import ORIGIN, entry, signer, whole, writer
from witness_server import WitnessServer

from rapidjws import RapidJWSError
from rapidjws.audit import NoteKey, Sequencer, TrailReader
from rapidjws.audit.settings import AuditSettings
from rapidjws.audit.witness_schedule import Witness, WitnessSchedule
from rapidjws.audit.witnesses import check_witnesses
from rapidjws.keys.settings import Transport
from rapidjws.testing import FakeClock
from rapidjws.verify.protocols import Event

LOG = NoteKey(ORIGIN, signer().public, "EdDSA")
HTTP = Transport(insecure_allow_http=True)


def grown(folder: Path, count: int) -> TrailReader:
    """Append records to a trail, and return its reader."""
    made = writer(folder)
    made.append([entry(made.size + at) for at in range(count)])
    made.close()
    return TrailReader(folder, LOG)


def code_of(call: Any, *given: Any, **named: Any) -> RapidJWSError:
    """Return what a call refuses."""
    with pytest.raises(RapidJWSError) as refused:
        call(*given, **named)
    return refused.value


def test_L_a_witness_is_asked_and_its_signature_is_stored(tmp_path: Path) -> None:
    """The first time from nothing, then from what it signed; after a restart from what it answers."""
    server = WitnessServer(LOG)
    with server.serving() as words:
        witness = Witness.from_text(words, HTTP)
        assert witness.cosign(whole(tmp_path, 5)) > 1_700_000_000
        reader = grown(tmp_path, 600)
        witness.cosign(reader)
        assert server.requests == 2
        assert check_witnesses(reader, [server.key], 1)[0] == 605
        Witness.from_text(words, HTTP).cosign(grown(tmp_path, 1))  # 409, then from 605
        assert (server.size, server.requests) == (606, 4)


def test_L_a_witness_that_saw_more_than_there_is_fails_and_is_named(tmp_path: Path) -> None:
    """A trail that was put back to an older copy is not signed, and the cause names both sizes."""
    server = WitnessServer(LOG)
    whole(tmp_path / "a", 5)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with server.serving() as words:
        witness = Witness.from_text(words, HTTP)
        witness.cosign(grown(tmp_path / "a", 5))
        reader = TrailReader(tmp_path / "b", LOG)
        for one in (witness, Witness.from_text(words, HTTP)):
            fault = code_of(one.cosign, reader)
            assert (fault.code, fault.actual) == ("witness_failed", "10, which it signed")
        other = writer(tmp_path / "c")
        other.append([entry(99 + at) for at in range(12)])
        other.close()
        fault = code_of(Witness.from_text(words, HTTP).cosign, TrailReader(tmp_path / "c", LOG))
        assert (fault.code, fault.actual) == ("witness_failed", "status 422")
    assert not (tmp_path / "b/cosigned").exists()
    assert not (tmp_path / "c/cosigned").exists()


@pytest.mark.parametrize(
    "answer",
    [
        (404, {}, b""), (403, {}, b""), (500, {}, b"x"), (302, {"Location": "/x"}, b""), (200, {}, b""),
        (200, {}, b"x" * 100_000), (200, {}, "— witness.example/w1 AAAA\n".encode()), (409, {}, b"-1\n"),
        (409, {}, b"9" * 40 + b"\n"), (409, {}, b"0\n"), (409, {}, b"3"),
    ],
)  # fmt: skip
def test_L_any_other_answer_stores_nothing(tmp_path: Path, answer: Any) -> None:
    """A refusal, a size that is none, and signatures that are none are failures within two requests."""
    server = WitnessServer(LOG)
    server.answer = answer
    reader = whole(tmp_path, 5)
    with server.serving() as words:
        assert code_of(Witness.from_text(words, HTTP).cosign, reader).code == "witness_failed"
    assert server.requests <= 2
    assert not (tmp_path / "cosigned").exists()


def test_L_two_witnesses_of_one_checkpoint_are_in_one_file(tmp_path: Path) -> None:
    """The sequencer asks each, and a failure of one leaves the other."""
    servers = [WitnessServer(LOG, f"witness.example/w{at}") for at in range(3)]
    servers[2].answer = (500, {}, b"")
    events: list[Event] = []
    made = writer(tmp_path)
    made.append([entry(0)])
    made.publish()
    clock = FakeClock(1_798_761_600.0)
    with servers[0].serving() as one, servers[1].serving() as two, servers[2].serving() as three:
        schedules = [
            WitnessSchedule(
                tmp_path, LOG, Witness.from_text(words, HTTP), every_s=60, events=events.append, clock=clock
            )
            for words in (one, two, three)
        ]
        sequencer = Sequencer(made, schedules=schedules)
        sequencer.turn(0)
        for schedule in schedules:
            assert schedule._running is not None
            schedule._running.future.exception(30)
        for _ in range(2):  # nothing is asked before its time
            sequencer.turn(0)
        assert [one.requests for one in servers] == [1, 1, 1]
        clock.advance(60)
        sequencer.turn(0)
        for schedule in schedules:
            assert schedule._running is not None
            schedule._running.future.exception(30)
        assert [one.requests for one in servers] == [1, 1, 2]  # the trail has not grown
        sequencer.turn(0)
        sequencer.close()
    reader = TrailReader(tmp_path, LOG)
    assert set(check_witnesses(reader, [one.key for one in servers], 2)[1]) == {
        "witness.example/w0",
        "witness.example/w1",
    }
    failed = [one.detail for one in events if one.name == "audit_witness_failed"]
    assert failed == ["witness.example/w2: witness_failed: status 500"] * 2
    assert {one.detail for one in events if one.name == "audit_witnessed"} == {
        "witness.example/w0",
        "witness.example/w1",
    }


def test_L_settings_of_witnesses(tmp_path: Path) -> None:
    """One word, http without leave, and one witness twice are refused with the setting."""
    server = WitnessServer(LOG)
    words = f"{server.key.text} https://witness.example"
    given = {"folder": "trail", "origin": ORIGIN, "key_file": "k"}
    assert AuditSettings(**given, witnesses=(words,)).asked_witnesses()[0].url == (  # type: ignore[arg-type]
        "https://witness.example/add-checkpoint"
    )
    for bad in (
        (server.key.text,), (words.replace("https", "http"),), (words, words), (words.replace("+", "-"),),
    ):  # fmt: skip
        fault = code_of(AuditSettings, **given, witnesses=bad)
        assert (fault.code, fault.place) == ("configuration_invalid", "audit.witnesses")
    made = AuditSettings(**given, witnesses=(words,), witness_ca=str(tmp_path / "none"))  # type: ignore[arg-type]
    assert code_of(made.asked_witnesses).place == "audit.witness_ca"
