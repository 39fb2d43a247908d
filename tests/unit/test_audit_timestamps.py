"""RFC 3161 time stamps of checkpoints: stored where they are good, and each fault of a stored one named."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import pytest
from audit_trails import filled, flip, whole, writer
from cryptography.x509.oid import ExtendedKeyUsageOID
from timestamp_authority import Authority, served, serving
from typer.testing import CliRunner

from rapidjws import RapidJWSError
from rapidjws.audit import TrailReader
from rapidjws.audit.timestamp_files import parts_digest
from rapidjws.audit.timestamp_schedule import TimestampSchedule
from rapidjws.audit.timestamps import (
    ANSWER_MAX_BYTES,
    TimestampAuthority,
    _made_request,
    _store,
    check_timestamps,
    read_roots,
)
from rapidjws.cli.app import app
from rapidjws.config.audit_section import audit_settings_from
from rapidjws.keys.settings import Transport
from rapidjws.testing import FakeClock, make_key

pytest.importorskip("rfc3161_client", reason="the extra `timestamp` is not installed")

PLAIN = Transport(insecure_allow_http=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority."""
    return Authority(tmp_path_factory.mktemp("authority") / "own")


def stamped(reader: TrailReader, authority: Authority) -> float:
    """Stamp a trail by an authority."""
    with serving(authority) as url:
        return TimestampAuthority(url, read_roots(authority.roots), PLAIN).stamp(reader)


def causes(reader: TrailReader, authority: Authority, **given: Any) -> list[str]:
    """Return what is wrong with the stamps of a trail."""
    found = check_timestamps(reader, read_roots(authority.roots), **given)
    assert all(one.place.startswith("timestamps") for one in found.findings)
    return [str(one.cause) for one in found.findings]


def only(reader: TrailReader) -> Path:
    """Return the folder of the only stamp."""
    (folder,) = (reader.folder / "timestamps").iterdir()
    return folder


def put(reader: TrailReader, note: bytes, request: bytes, response: bytes) -> None:
    """Store a stamp in place of all others, as one who forges it would."""
    shutil.rmtree(reader.folder / "timestamps", ignore_errors=True)
    _store(reader, (note, request, response))


def code_of(call: Any, *given: Any) -> RapidJWSError:
    """Return what a call refuses."""
    with pytest.raises(RapidJWSError) as refused:
        call(*given)
    return refused.value


def test_L_a_stamp_is_good_here_and_for_openssl(tmp_path: Path, authority: Authority) -> None:
    """What is stored is verified here, after the trail has grown, and by ``openssl ts -verify``."""
    reader = whole(tmp_path, 5)
    before = time()
    assert before - 2 < stamped(reader, authority) < time() + 2
    made = filled(tmp_path, 300)
    made.close()
    grown = TrailReader(tmp_path, reader.key)
    found = check_timestamps(grown, read_roots(authority.roots), required=True)
    assert (found.stamps, found.size, found.findings) == (1, 5, [])
    folder = only(reader)
    command = ["openssl", "ts", "-verify", "-in", folder / "response.tsr", "-CAfile", authority.roots]
    for how in (["-data", folder / "checkpoint"], ["-queryfile", folder / "request.tsq"]):
        done = subprocess.run([*command, *how], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    stamped(grown, authority)
    found = check_timestamps(grown, read_roots(authority.roots))
    assert (found.stamps, found.size) == (2, 305)


def test_L_any_flipped_bit_of_a_stamp_is_named(tmp_path: Path, authority: Authority) -> None:
    """One bit in any of the three files is found, where it lies."""
    reader = whole(tmp_path, 5)
    stamped(reader, authority)
    for name in ("checkpoint", "request.tsq", "response.tsr"):
        file = only(reader) / name
        for bit in range(0, 8 * file.stat().st_size, 131):
            flip(file, bit)
            assert causes(reader, authority) == ["a file is not as it was stored"]
            flip(file, bit)
    assert causes(reader, authority) == []


def test_L_forged_stamps_are_named_by_their_cause(tmp_path: Path, authority: Authority) -> None:
    """Whoever writes the files anew, digest and all, cannot make a stamp."""
    reader = whole(tmp_path / "trail", 5)
    stamped(reader, authority)
    note, request, response = (
        (only(reader) / name).read_bytes() for name in ("checkpoint", "request.tsq", "response.tsr")
    )
    unseen = 0
    for at in range(0, 8 * len(response), 127):
        octets = bytearray(response)
        octets[at // 8] ^= 1 << at % 8
        put(reader, note, request, bytes(octets))
        unseen += not causes(reader, authority)
    assert unseen <= 8 * len(response) / 127 / 3  # of the root's copy in it, which nothing rests on
    for at in range(0, 8 * len(request), 5):
        octets = bytearray(request)
        octets[at // 8] ^= 1 << at % 8
        put(reader, note, bytes(octets), response)
        assert causes(reader, authority)
    other = _made_request(note)
    put(reader, note, other, response)
    assert causes(reader, authority) == ["another nonce than the request's"]
    wrong = _made_request(b"x")
    put(reader, note, wrong, authority.reply(wrong))
    assert causes(reader, authority) == ["the stamp is of other octets"]
    put(reader, note, request, authority.reply(wrong))
    assert causes(reader, authority) == ["the stamp is of other octets"]
    put(reader, note, request, b"\x30\x03\x02\x01\x02")
    assert causes(reader, authority) == ["no time stamp response"]
    without_certificates = b"\x30" + bytes([request[1] - 3]) + request[2:-3]
    put(reader, note, request, authority.reply(without_certificates))
    assert causes(reader, authority) == ["its signature, or its certificates up to the roots"]
    bad = request.replace(bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040203"))
    put(reader, note, request, authority.reply(bad))
    assert causes(reader, authority) == ["the authority did not grant it"]


def test_L_a_stamp_leads_to_the_roots(tmp_path: Path, authority: Authority) -> None:
    """Another root of the same name, a certificate for servers, one expired at the stamp: none is good."""
    chain = ["its signature, or its certificates up to the roots"]
    reader = whole(tmp_path / "trail", 5)
    for other in (
        Authority(tmp_path / "other"),
        Authority(tmp_path / "server", usage=ExtendedKeyUsageOID.SERVER_AUTH),
    ):
        request = _made_request(reader.note)
        try:
            response = other.reply(request)
        except subprocess.CalledProcessError:  # openssl stamps by no such certificate
            continue
        put(reader, reader.note, request, response)
        assert causes(reader, authority) == chain
        with serving(other) as url:
            asked = TimestampAuthority(url, read_roots(authority.roots), PLAIN)
            assert code_of(asked.stamp, reader).code == "timestamp_failed"
    expired = Authority(tmp_path / "expired", days=1)
    request = _made_request(reader.note)
    put(reader, reader.note, request, expired.reply(request))
    assert causes(reader, expired) == chain


def test_L_the_time_of_a_stamp_fits_the_records(tmp_path: Path, authority: Authority) -> None:
    """A stamp from before its records, or of the future, is named and not stored."""
    made = writer(tmp_path)
    at_us = int((time() + 3600) * 1e6)
    made.append([json.dumps({"kind": "decision", "time_us": at_us}, separators=(",", ":")).encode()])
    made.close()
    reader = TrailReader(tmp_path, made.key)
    fault = code_of(stamped, reader, authority)
    assert fault.code == "timestamp_failed"
    assert "before that of records" in str(fault.actual)
    assert not (tmp_path / "timestamps").exists()
    request = _made_request(reader.note)
    put(reader, reader.note, request, authority.reply(request))
    assert causes(reader, authority) == ["its time is before that of records that it covers"]
    sound = whole(tmp_path / "sound", 1)
    stamped(sound, authority)
    assert causes(sound, authority, now_s=time() - 3600) == ["its time is in the future"]
    assert causes(sound, authority, now_s=time() + 3e8) == []


def test_L_a_tree_written_anew_is_named_by_its_stamps(tmp_path: Path, authority: Authority) -> None:
    """A checkpoint of another tree, of another size or of another key is none of this trail."""
    reader = whole(tmp_path / "trail", 5)
    stamped(reader, authority)
    other = writer(tmp_path / "other")
    other.append([b'{"kind":"decision","n":9,"time_us":1}'] * 6)
    other.close()
    shutil.copytree(tmp_path / "trail" / "timestamps", tmp_path / "other" / "timestamps")
    foreign = TrailReader(tmp_path / "other", reader.key)
    assert causes(foreign, authority) == ["not a checkpoint of this trail"]
    folder = only(reader)
    folder.rename(folder.with_name(f"{4:016d}" + folder.name[16:]))
    assert causes(reader, authority) == ["another size than its name's"]
    only(reader).rename(folder.with_name("x"))
    assert causes(reader, authority) == ["not a name of a time stamp"]
    only(reader).rename(folder)
    (folder / "request.tsq").unlink()
    assert causes(reader, authority) == ["a file is missing"]
    (folder / "response.tsr").unlink()  # as an interrupted run leaves it
    assert causes(reader, authority) == []
    assert causes(reader, authority, required=True) == ["no good time stamp"]
    unsigned = reader.note.replace(b"\n5\n", b"\n4\n")
    put(reader, unsigned, b"", b"")
    assert causes(reader, authority) == ["not a checkpoint of this trail"]
    assert parts_digest((b"a", b"bc", b"")) != parts_digest((b"ab", b"c", b""))


def test_L_an_authority_that_answers_otherwise_stores_nothing(tmp_path: Path, authority: Authority) -> None:
    """Another status, a redirect, an answer too large or none, http: a clear refusal, and no file."""
    reader = whole(tmp_path / "trail", 5)
    roots = read_roots(authority.roots)
    seen: list[bytes] = []

    def answered(status: int, headers: dict[str, str], octets: bytes) -> Any:
        def answer(body: bytes, _: Any) -> Any:
            seen.append(body)
            return status, headers, octets

        return answer

    for status, headers, octets in (
        (503, {}, b"busy"),
        (302, {"Location": "/elsewhere"}, b""),
        (200, {}, b""),
        (200, {}, b"x" * (ANSWER_MAX_BYTES + 1)),
        (200, {}, b"<html>"),
    ):
        with served(answered(status, headers, octets)) as url:
            fault = code_of(TimestampAuthority(url, roots, PLAIN).stamp, reader)
            assert fault.code == "timestamp_failed"
            if status != 200:
                assert str(status) in str(fault.actual)
    assert len(seen) == len(set(seen)) == 5
    assert code_of(TimestampAuthority(url, roots, PLAIN).stamp, reader).code == "timestamp_failed"
    assert code_of(TimestampAuthority, url, roots).code == "configuration_invalid"
    assert code_of(TimestampAuthority, "https://tsa.example", ()).place == "timestamp_roots"
    empty = whole(tmp_path / "empty")
    assert code_of(TimestampAuthority("https://tsa.example", roots).stamp, empty).place == "trail"
    for bad in (tmp_path / "none", tmp_path / "trail" / "checkpoint"):
        assert code_of(read_roots, bad).place == "timestamp_roots"
    assert not (reader.folder / "timestamps").exists()


def test_L_the_commands_stamp_and_verify(tmp_path: Path, authority: Authority) -> None:
    """``audit timestamp`` stores a stamp; ``audit verify`` checks it, and wants one where it is required."""
    trail = tmp_path / "trail"
    made = writer(trail)
    made.append([b'{"code":"ok","kind":"gap","lost":1,"time_us":1,"why":"storage"}'])
    made.close()
    key = made.key.text
    roots = ["--timestamp-roots", str(authority.roots)]

    def run(command: str, *words: str) -> Any:
        return CliRunner().invoke(app, ["audit", command, str(trail), "--key", key, *words])

    assert run("verify", "--require-timestamps").exit_code == 2
    assert run("verify", "--timestamp-roots", str(tmp_path / "none")).exit_code == 2
    done = run("verify", *roots, "--require-timestamps")
    assert (done.exit_code, "timestamp_missing" in done.output, "NOT GOOD" in done.output) == (1, True, True)
    with serving(authority) as url:
        assert run("timestamp", "--url", url, *roots).exit_code == 2
        done = run("timestamp", "--url", url, *roots, "--insecure-allow-http")
        assert (done.exit_code, "1 records stamped at 20" in done.output) == (0, True), done.output
    assert run("timestamp", "--url", url, *roots, "--insecure-allow-http").exit_code == 1
    done = run("verify", *roots, "--require-timestamps")
    assert (done.exit_code, "the newest covers 1 of 1 records" in done.output) == (0, True), done.output
    assert "time stamps not looked at" in run("verify").output
    flip(only(TrailReader(trail, made.key)) / "response.tsr", 900)
    done = run("verify", *roots, "--json")
    report = json.loads(done.output)
    assert (done.exit_code, report["good"], report["timestamps"]) == (1, False, 0)
    assert [one["code"] for one in report["findings"]] == ["timestamp_invalid"]


def waited(schedule: TimestampSchedule, events: list[Any], count: int) -> None:
    """Take turns as a sequencer does, until there are so many events."""
    end_s = monotonic() + 30
    while len(events) < count and monotonic() < end_s:
        schedule.step()
        sleep(0.01)
    schedule.step()
    assert len(events) == count


def test_L_a_sequencer_stamps_on_a_schedule(tmp_path: Path, authority: Authority) -> None:
    """A grown trail is stamped once a period, a failure is an event, and a start stamps none sooner."""
    clock = FakeClock(time())
    events: list[Any] = []
    made = filled(tmp_path, 3)
    made.publish()
    with serving(authority) as url:
        asked = TimestampAuthority(url, read_roots(authority.roots), PLAIN)
        given: dict[str, Any] = {"every_s": 3600.0, "events": events.append, "clock": clock}
        schedule = TimestampSchedule(tmp_path, made.key, asked, **given)
        waited(schedule, events, 1)
        assert (events[0].name, events[0].value) == ("audit_timestamped", 3.0)
        made.append([b'{"kind":"decision","n":3,"time_us":1}'])
        made.publish()
        for _ in range(20):
            schedule.step()
        assert schedule._running is None
        clock.advance(3601)
        waited(schedule, events, 2)
        assert events[1].value == 4.0
        clock.advance(3601)
        schedule.step()
        assert schedule._running is not None
        schedule._running.future.result(30)  # nothing is new
        assert len(events) == 2
        made.append([b'{"kind":"decision","n":4,"time_us":1}'])
        made.publish()
        again = TimestampSchedule(tmp_path, made.key, asked, **{**given, "clock": FakeClock(time())})
        again.step()
        assert again._running is not None
        assert again._running.future.result(30) > 3500  # the newest is young
    found = check_timestamps(TrailReader(tmp_path, made.key), read_roots(authority.roots))
    assert (found.stamps, found.size, found.findings) == (2, 4, [])
    schedule.step()
    clock.advance(3601)
    waited(schedule, events, 3)  # nobody listens there any more
    assert (events[2].name, events[2].detail) == ("audit_timestamp_failed", "timestamp_failed: connect")
    made.close()


def test_L_the_sequencer_stamps_by_its_settings(tmp_path: Path, authority: Authority) -> None:
    """`[audit]` with an authority: what the sequencer publishes is stamped, and no record waits for it."""
    key = make_key("EdDSA")
    (tmp_path / "key.json").write_text(json.dumps(key.as_dict(private=True)))
    (tmp_path / "key.json").chmod(0o600)
    events: list[Any] = []
    gate = threading.Event()

    def answer(body: bytes, _: Any) -> Any:
        gate.wait(30)
        return 200, {}, authority.reply(body)

    with served(answer) as url:
        section = {
            "folder": "trail",
            "origin": "a.example/x",
            "key_file": "key.json",
            "timestamp_url": url,
            "timestamp_roots": str(authority.roots),
            "timestamp_insecure_allow_http": True,
        }
        settings = audit_settings_from(section, tmp_path)
        assert settings is not None
        sequencer = settings.sequencer(events.append)
        sequencer._writer.append([b'{"kind":"decision","n":0,"time_us":1}'])
        sequencer._writer.publish()
        for _ in range(5):
            sequencer.turn(0)  # while the authority takes its time
        gate.set()
        end_s = monotonic() + 30
        while not events and monotonic() < end_s:
            sequencer.turn(0.01)
        sequencer.close()
    assert [one.name for one in events] == ["audit_timestamped"]
    missing = {**section, "timestamp_roots": "absent"}
    with pytest.raises(RapidJWSError) as refused:
        audit_settings_from(missing, tmp_path)
    assert refused.value.place == "audit.timestamp_roots"
