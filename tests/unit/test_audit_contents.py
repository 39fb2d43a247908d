"""What is stored beside records: encrypted, left out or erased, while the log proves its records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from audit_service import ISS, Service, log_key, service
from audit_trails import flip
from settings import written
from typer.testing import CliRunner

from rapidjws import RapidJWSError
from rapidjws.audit import ContentKeys, ErasureRequest, TrailReader, Verification
from rapidjws.audit.content_keys import is_signed, month_of, read_operator_key
from rapidjws.audit.erasure import erased_in, opened_parts
from rapidjws.audit.retention import DAY_S, Retention
from rapidjws.audit.tile_files import TileReader
from rapidjws.cli.app import app
from rapidjws.errors import CODES
from rapidjws.testing import FakeClock

OPERATOR_KEY = bytes(range(32))
GONE = "erased, as the log says"


def keys(folder: Path, per: str = "month") -> ContentKeys:
    """Return the keys of contents in a folder."""
    return ContentKeys(folder / "keys", OPERATOR_KEY, per=per)


def report(reader: TrailReader, given: ContentKeys | None = None) -> dict[str, Any]:
    """Verify a trail again."""
    return Verification(reader, keys=given).run().as_dict()


def decide(world: Service, *subjects: str) -> None:
    """Decide about a good token of each subject."""
    for sub in subjects:
        assert world.decide(world.token(sub=sub, mail=f"{sub}@example.com")).code == "ok"


def trail_octets(folder: Path) -> bytes:
    """Return all that a trail holds."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def code_of(call: Any, *given: Any, **named: Any) -> RapidJWSError:
    """Return what a call refuses."""
    with pytest.raises(RapidJWSError) as refused:
        call(*given, **named)
    return refused.value


def test_L_no_token_lies_in_a_trail_with_keys(tmp_path: Path) -> None:
    """No file of the trail holds a token or claim in clear, and with the keys each is verified again."""
    with service(keys=keys(tmp_path), content=("token", "claims"), claims=("mail",)) as world:
        token = world.token(sub="ann", mail="ann@example.com")
        world.decide(token)
        world.decide(token[:-8] + "AAAAAAAA")
        reader = world.closed()
        octets = trail_octets(world.folder)
        assert b"ann@example.com" not in octets
        assert token.split(".")[1].encode() not in octets
        with_keys = report(reader, keys(tmp_path))
        assert (with_keys["good"], with_keys["agreed"]) == (True, 2)
        without = report(reader)
        assert (without["good"], without["agreed"]) == (True, 0)
        assert without["not_verified_again"] == {"encrypted, and no keys given": 2}
        parts = opened_parts(reader.contents(0)[0], "record 0", keys(tmp_path))
        assert parts is not None
        assert json.loads(parts["claims"][16:]) == {"mail": "ann@example.com"}


def test_L_a_digest_of_claims_is_salted() -> None:
    """Equal claims have different digests, so that who knows a digest cannot guess what was erased."""
    with service(content=("claims",), claims=("mail",)) as world:
        decide(world, "ann", "ann")
        reader = world.closed()
        assert reader.record(0)["claims"] != reader.record(1)["claims"]
        assert report(reader)["good"]


def test_L_a_subjects_key_erases_that_subject_alone(tmp_path: Path) -> None:
    """Without a subject's key its tokens are erased, the records proved, and others verified again."""
    given = keys(tmp_path, "subject")
    with service(keys=given) as world:
        decide(world, "ann", "bob", "ann")
        world.client.erase(ErasureRequest(subjects=((ISS, "ann"),), reason="ticket 7"))
        decide(world, "ann")
        reader = world.closed()
        found = report(reader, keys(tmp_path, "subject"))
        assert (found["good"], found["agreed"]) == (True, 2)
        assert found["not_verified_again"] == {GONE: 2, "record of an erasure": 1}
        erasure = reader.record(3)
        assert (erasure["kind"], erasure["reason"], len(erasure["keys"])) == ("erasure", "ticket 7", 1)
        assert "ann" not in json.dumps(erasure)
        reader.prove(0).verify(log_key())
        assert opened_parts(reader.contents(0)[0], "record 0", keys(tmp_path)) is None


def test_L_a_key_that_went_without_a_record_is_named(tmp_path: Path) -> None:
    """A key that somebody removed by hand is a finding; so is one whose file was altered."""
    with service(keys=keys(tmp_path)) as world:
        decide(world, "ann", "bob")
        reader = world.closed()
        (file,) = (path for path in (tmp_path / "keys").rglob("*") if path.is_file())
        octets = file.read_bytes()
        flip(file, 8 * (len(octets) - 1))
        assert report(reader, keys(tmp_path))["findings"][0]["code"] == "content_altered"
        file.unlink()
        found = report(reader, keys(tmp_path))
        assert [one["code"] for one in found["findings"]] == ["content_key_missing"] * 2


def test_L_an_altered_bit_of_encrypted_content_is_named(tmp_path: Path) -> None:
    """A flipped bit anywhere in encrypted content is found, and its record and offset are named."""
    with service(keys=keys(tmp_path)) as world:
        decide(world, "ann")
        reader = world.closed()
        (file,) = (world.folder / "content").rglob("1")
        size = len(file.read_bytes())
        for at in (0, 5, 10, 26, 32, 36, 60, size - 1):
            flip(file, 8 * at)
            findings = report(reader, keys(tmp_path))["findings"]
            assert [one["code"] for one in findings][:1] in (
                ["content_altered"], ["content_key_missing"],
            ), at  # fmt: skip
            assert findings[0]["record"] == 0
            flip(file, 8 * at)
        assert report(reader, keys(tmp_path))["good"]


def test_L_another_operator_key_opens_nothing(tmp_path: Path) -> None:
    """Keys under another operator key are refused, and so are keys that are none."""
    given = keys(tmp_path)
    sealed = given.seal(b"x", 1_800_000_000_000_000, "ok", None)
    other = ContentKeys(tmp_path / "keys", bytes(32))
    assert code_of(other.opened, sealed, "record 0").code == "configuration_invalid"
    assert code_of(ContentKeys, tmp_path, b"short").code == "configuration_invalid"
    assert code_of(ContentKeys, tmp_path, OPERATOR_KEY, per="day").place == "audit.content_key_per"


def test_L_a_month_has_its_key_and_a_stranger_makes_none(tmp_path: Path) -> None:
    """Each month has a key of its own; a token that nobody verified gets no key of its subject."""
    given = keys(tmp_path, "subject")
    january = 1_798_761_600_000_000
    token = b"e30.eyJzdWIiOiJhbm4ifQ.e30"
    names = {given.seal(b"x", january + days * 86_400_000_000, "ok", None)[:16] for days in (0, 30, 31, 58)}
    assert names == {given._month_name("2027-01"), given._month_name("2027-02")}
    assert given.seal(b"x", january, "signature_invalid", token)[:16] == given._month_name("2027-01")
    for code in ("ok", "expired", "insufficient_scope"):
        assert given.seal(b"x", january, code, token)[:16] == given._subject_name("", "ann")
    assert month_of(january - 1) == "2026-12"
    signed = {code for code in CODES if is_signed(code)}
    assert not signed & {"signature_invalid", "unknown_kid", "malformed_token", "revoked", "unknown_issuer"}


def test_L_a_key_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    """A key's file that a kill cut off encrypted nothing yet: another is made in its place."""
    given = keys(tmp_path)
    moment = 1_798_761_600_000_000
    path = given._path(given._month_name(month_of(moment)))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rapidjws content")
    sealed = given.seal(b"abc", moment, "ok", None)
    assert keys(tmp_path).opened(sealed, "record 0") == b"abc"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("count", [3, 300])
def test_L_contents_in_clear_are_erased_by_record_and_subject(tmp_path: Path, count: int) -> None:
    """Tokens in clear are gone from every file, whether or not their bundle was complete."""
    with service() as world:
        tokens = [world.token(sub=f"person-{at}") for at in range(3)]
        for at in range(count):
            world.decide(tokens[at % 3])
        world.client.erase(ErasureRequest(records=(0,), subjects=((ISS, "person-1"),)))
        world.decide(tokens[2])
        reader = world.closed()
        octets = trail_octets(world.folder)
        assert tokens[1].encode() not in octets
        assert tokens[2].encode() in octets
        found = report(reader)
        gone = count // 3 + 1
        assert (found["good"], found["agreed"]) == (True, count + 1 - gone)
        assert found["not_verified_again"] == {GONE: gone, "record of an erasure": 1}
        copy = tmp_path / "copy"
        shutil.copytree(world.folder, copy, ignore=shutil.ignore_patterns("*.sock"))
        shutil.rmtree(copy / "content")
        codes = {one["code"] for one in report(TrailReader(copy, log_key()))["findings"]}
        assert codes == {"content_missing"}


def test_L_an_erasure_outlives_a_start(tmp_path: Path) -> None:
    """After a start the writer has neither what was erased nor less of what was not."""
    with service() as world:
        decide(world, "ann", "bob")
        world.client.erase(ErasureRequest(records=(1,)))
        world.closed()
        from audit_trails import writer

        writer(world.folder).close()
        found = report(TrailReader(world.folder, log_key()))
        assert (found["good"], found["agreed"]) == (True, 1)
        assert found["not_verified_again"] == {GONE: 1, "record of an erasure": 1}


def test_L_an_erasure_names_what_it_cannot_do(tmp_path: Path) -> None:
    """A record that is not there, a month without keys and an empty request are refused."""
    with service() as world:
        decide(world, "ann")
        for given, place in (({"records": (9,)}, "records"), ({"months": ("2027-01",)}, "months")):
            fault = code_of(world.client.erase, ErasureRequest(**given))
            assert (fault.code, fault.place) == ("configuration_invalid", place)
        for bad in ({}, {"months": ("2027-13",)}, {"before_us": -1}, {"records": (-1,)}):
            assert code_of(ErasureRequest, **bad).code == "configuration_invalid"
        reader = world.closed()
        assert (reader.size, report(reader)["agreed"]) == (1, 1)
        assert code_of(world.client.erase, ErasureRequest(records=(0,))).code == "audit_unavailable"


def test_L_a_forged_list_of_erasures_excuses_nothing(tmp_path: Path) -> None:
    """Only a record that the log signs says that something was erased."""
    with service() as world:
        decide(world, "ann", "bob")
        reader = world.closed()
        shutil.rmtree(world.folder / "content")
        (world.folder / "erasures").write_text("0\n1\n99999\nx\n-1\n")
        found = report(reader)
        assert [one["code"] for one in found["findings"]] == ["content_missing"] * 2


def test_L_retention_drops_contents_by_age_and_keeps_proofs() -> None:
    """Contents older than the days that are kept are erased once a day, and each record is still proved."""
    with service(start=False) as world:
        clock = FakeClock(1_798_761_600.0)
        made = world.sequencer._writer
        token = world.token(exp=4_000_000_000).encode()
        from rapidjws.audit.records import RecordTemplate, digest
        from rapidjws.audit.side_content import packed

        row = RecordTemplate({"code": "ok", "kind": "decision", "content": "token"})
        retention = Retention(made, 7, clock=clock)
        for _ in range(10):
            time_us = int(clock.time() * 1_000_000)
            made.append([row.record(time_us, token=token)] * 200, [packed(token, None)] * 200)
            made.publish()
            for _ in range(3):
                retention.step()
                if retention._dropping is not None:
                    retention._dropping.future.result(60)
            clock.advance(DAY_S)
        made.publish()
        reader = TrailReader(world.folder, log_key())
        erased = erased_in(world.folder, TileReader(world.folder, reader.size))
        assert erased.before_us == (1_798_761_600 + 2 * DAY_S) * 1_000_000
        kept = [
            reader.record(at)["time_us"]
            for at in range(reader.size)
            if reader.contents(at // 256)[at % 256]
        ]  # fmt: skip
        assert len(kept) == 200 * 8
        assert min(kept) >= erased.before_us
        assert reader.check_tree() == []
        reader.prove(0).verify(log_key())
        assert reader.record(0)["token"] == digest(token)


def test_L_the_command_erases_with_and_without_a_sequencer(tmp_path: Path) -> None:
    """``audit erase`` asks the sequencer where one runs, and else does it itself."""
    key = tmp_path / "content.key"
    key.write_text(OPERATOR_KEY.hex())
    key.chmod(0o600)
    table = {
        "folder": str(tmp_path / "trail"), "origin": "gate.example/audit", "key_file": "audit-key.json",
        "content_keys": "keys", "content_key_file": "content.key", "content_key_per": "subject",
    }  # fmt: skip
    issuer = {"iss": ISS, "algorithms": ["ES256"], "jwks_url": f"{ISS}/jwks.json"}
    config = written(tmp_path, {"audit": table, "issuers": [issuer]})
    command = [
        "audit",
        "erase",
        "--config",
        str(config),
        "--reason",
        "asked",
        "--issuer",
        ISS,
        "--subject",
        "ann",
    ]
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, "the log has a record of it" in done.output) == (0, True), done.output
    from rapidjws.audit import NoteKey
    from rapidjws.config.audit_section import audit_settings_from
    from rapidjws.config.read import load_config

    loaded = load_config(config, check=False)
    settings = audit_settings_from(loaded.section("audit"), loaded.folder)
    assert settings is not None
    public = NoteKey(settings.origin, settings.signer().public, "EdDSA")
    assert TrailReader(settings.folder, public).record(0)["reason"] == "asked"
    for bad in (command[:-2], [*command[:-4], "--month", "13"]):
        assert CliRunner().invoke(app, bad).exit_code == 2


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, '{"kty":"oct"}', '{"kty":"RSA","k":"AAAA"}', "{"])
def test_L_an_operator_key_is_32_octets(tmp_path: Path, text: str) -> None:
    """Another length or form, or a file that others may read, is refused and names the file."""
    path = tmp_path / "content.key"
    path.write_text(text)
    path.chmod(0o600)
    fault = code_of(read_operator_key, path)
    assert (fault.code, fault.place) == ("configuration_invalid", str(path))
    path.write_text('{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}')
    assert read_operator_key(path) == OPERATOR_KEY
    path.chmod(0o644)
    assert code_of(read_operator_key, path).code == "configuration_invalid"
