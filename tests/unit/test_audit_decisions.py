"""Decisions in the audit trail: recorded, verified again years later, and each alteration named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from audit_service import ISS, Service, log_key, service
from typer.testing import CliRunner

from rapidjws import Contains, RapidJWSError
from rapidjws.audit import (
    DecisionRecorder,
    Selection,
    SequencerClient,
    TrailReader,
    TrailWriter,
    Verification,
    Wanted,
)
from rapidjws.audit.evidence_bundle import write_bundle
from rapidjws.audit.objects import object_path
from rapidjws.audit.records import FIELDS, digest
from rapidjws.audit.side_content import SALT_BYTES, unpacked
from rapidjws.cli.app import app
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key


def mixed(world: Service) -> list[str | None]:
    """Decide about good and bad tokens, and return them."""
    good = [world.token(n=number) for number in range(3)]
    forged = good[0][:-8] + "AAAAAAAA"
    tokens = [*good, forged, world.token(aud="you"), world.token(exp=1_600_000_000), "x.y.z", None]
    for token in tokens:
        world.decide(token, partner="acme", route="/pay")
    return tokens


def verified(reader: TrailReader, wanted: Wanted | None = None) -> dict[str, Any]:
    """Verify a trail again."""
    return Verification(reader, wanted).run().as_dict()


@pytest.mark.parametrize("durable", [True, False])
def test_L_decisions_are_recorded_and_verified_again(durable: bool) -> None:
    """Good and bad tokens have a record each with every field, and give the same verdict again."""
    with service(durable=durable) as world:
        tokens = mixed(world)
        reader = world.closed()
        records = [reader.record(at) for at in range(reader.size)]
        assert [one["code"] for one in records] == [
            "ok", "ok", "ok", "signature_invalid", "audience_mismatch", "expired", "malformed_base64url",
            "missing_token",
        ]  # fmt: skip
        assert all(tuple(one) == FIELDS for one in records)
        assert records[0]["token"] == digest(str(tokens[0]).encode())
        assert records[0]["key"] == world.key.thumbprint()
        assert (records[0]["partner"], records[0]["route"], records[0]["issuer"]) == ("acme", "/pay", ISS)
        assert (records[3]["kid"], records[3]["alg"], records[3]["key"]) == ("k1", "ES256", None)
        report = verified(reader)
        assert (report["good"], report["agreed"], report["findings"]) == (True, 7, [])
        assert report["not_verified_again"] == {"no token in the request": 1}
        entries = b"".join(reader.entries(0))
        assert not any(str(token).encode() in entries for token in tokens if token)


def test_L_the_key_may_be_gone_and_the_time_past() -> None:
    """Records of before and after a rotation are verified under the key table that each was made with."""
    with service() as world:
        world.decide(world.token())
        from rapidjws import Issuer, JWKSet
        from rapidjws.testing import make_key

        world.key = make_key("ES256", kid="k2")
        world.engine.replace_issuers(
            Issuer(ISS, keys=JWKSet([world.key.public()]), algorithms=["ES256"], audience="me")
        )
        world.decide(world.token())
        reader = world.closed()
        first, second = (reader.record(at) for at in (0, 1))
        assert first["generation"] != second["generation"]
        assert verified(reader)["agreed"] == 2


def test_L_each_part_that_was_altered_is_named() -> None:
    """An altered token, key, policy or key table is named, with record and cause, by verifying again."""
    with service() as world:
        mixed(world)
        reader = world.closed()
        record = reader.record(0)
        table = world.folder / object_path(record["generation"])
        (jwk,) = json.loads(table.read_bytes())["issuers"][ISS]
        (content,) = (one for one in (world.folder / "content").rglob("*") if one.is_file())
        files = {
            content: {"token_altered", "content_altered"},
            table: {"key_altered", "policy_altered"},
            world.folder / object_path(record["policy"]): {"policy_altered"},
            world.folder / object_path(jwk): {"key_altered"},
        }
        for file, codes in files.items():
            octets = file.read_bytes()
            for at in range(0, len(octets), 41):
                file.write_bytes(octets[:at] + bytes([octets[at] ^ 4]) + octets[at + 1 :])
                findings = Verification(TrailReader(world.folder, log_key())).run().findings
                assert findings, (file.name, at)
                assert findings[0].code in codes
                assert str(file.relative_to(world.folder)) in findings[0].place
            file.write_bytes(octets)
            file.unlink()
            missing = Verification(TrailReader(world.folder, log_key())).run()
            assert missing.agreed == 0
            if "objects" in str(file):
                assert {one.code for one in missing.findings} == {"content_missing"}
            file.write_bytes(octets)
        assert verified(TrailReader(world.folder, log_key()))["good"]


def test_L_a_verdict_that_differs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record whose verdict the engine would not give again is named with both codes."""
    with service() as world:
        decision = world.engine.decide(world.token())
        other = world.token(exp=1_600_000_000)
        world.recorder.note_durably(decision, other)
        (found,) = verified(world.closed())["findings"]
        assert (found["code"], found["record"], found["expected"], found["actual"]) == (
            "verdict_differs", 0, "ok", "expired",
        )  # fmt: skip


def test_L_what_is_not_stored_is_said() -> None:
    """Without the token, or with a rule that JSON cannot hold, nothing is said to agree."""
    with service(content=()) as world:
        world.decide(world.token())
        reader = world.closed()
        assert not (world.folder / "content").exists()
        report = verified(reader)
        assert (report["good"], report["agreed"]) == (True, 0)
        assert report["not_verified_again"] == {"token not stored": 1}
    with service(issuer={"claims": {"role": Contains("a")}}) as world:
        world.decide(world.token(role=["a"]))
        report = verified(world.closed())
        assert report["not_verified_again"] == {"keys or policy not stored": 1}


def test_L_listed_claims_are_stored_and_checked() -> None:
    """Chosen claims lie beside the record, which has their digest, and no others."""
    with service(content=("claims",), claims=("sub", "absent")) as world:
        world.decide(world.token(secret="x"))
        reader = world.closed()
        parts = unpacked(reader.contents(0)[0], "record 0")
        assert parts["claims"][SALT_BYTES:] == b'{"sub":"ann"}'
        assert reader.record(0)["claims"] == digest(parts["claims"])
        assert b"secret" not in reader.contents(0)[0]


def test_L_a_selection_records_what_it_names() -> None:
    """Refusals, partners, routes and a sample of accepted tokens are chosen by rule; refusals always stay."""
    with service(selection=Selection(record="refusals")) as world:
        mixed(world)
        assert world.closed().size == 5
    with service(selection=Selection(sample=0.25)) as world:
        for _ in range(8):
            world.decide(world.token())
        world.decide("x.y.z")
        assert world.closed().size == 3
    with service(selection=Selection(partners=["b"], routes=["/pay"])) as world:
        for partner, route in (("a", "/pay/1"), ("b", "/pay/1"), ("b", "/see"), ("b", None)):
            world.decide(world.token(), partner=partner, route=route)
        assert world.closed().size == 1
    for wrong in ({"record": "some"}, {"sample": 1.5}):
        with pytest.raises(RapidJWSError):
            Selection(**wrong)  # type: ignore[arg-type]


def test_A8_without_a_sequencer_a_permit_is_refused_and_a_deny_stays(tmp_path: Path) -> None:
    """With "refuse" a permit without a record becomes indeterminate; a deny stays a deny."""
    with service(start=False) as world:
        for durable in (True, False):
            client = SequencerClient(tmp_path / "none", durable=durable, queue_records=1)
            recorder = DecisionRecorder(world.engine, client, timeout_s=0.2)
            good = world.engine.decide(world.token())
            bad = world.engine.decide("x.y.z")
            if not durable:
                assert recorder.note(good, world.token()).outcome == "permit"  # the queue has room for one
            found = recorder.note_durably(good, world.token())
            assert (found.outcome, found.code, found.verified) == ("indeterminate", "audit_unavailable", None)
            kept = recorder.note_durably(bad, "x.y.z")
            assert (kept.outcome, kept.code) == ("deny", bad.code)
            client.close(0.1)


def test_A8_with_count_a_gap_record_follows() -> None:
    """With "count" the decision stands, and a record says how many have none."""
    with service(durable=False, on_failure="count") as world:
        full = SequencerClient(world.sequencer.path, durable=False, queue_records=1, flush_ms=1)
        recorder = DecisionRecorder(world.engine, full, on_failure="count")
        full._closing = True  # it does not send yet
        decision = world.engine.decide(world.token())
        for _ in range(4):
            assert recorder.note(decision, world.token()).outcome == "permit"
        assert (recorder.recorded, recorder.lost) == (1, 3)
        full.close()
        report = verified(world.closed())
        assert (report["lost"], report["agreed"], report["size"]) == (3, 1, 2)


def test_L_a_sequencer_that_starts_anew_costs_no_record() -> None:
    """Records that wait while no sequencer runs are in the trail once one does."""
    with service(durable=False, start=False) as world:
        for number in range(50):
            world.decide(world.token(n=number))
        world.start()
        assert world.closed().size == 50


def command(*words: str) -> Any:
    """Run a command."""
    return CliRunner().invoke(app, ["audit", *words])


def test_L_the_commands_read_a_trail(tmp_path: Path) -> None:
    """verify, show, search and prove read a trail, and say by their status what they found."""
    with service() as world:
        tokens = mixed(world)
        world.closed()
        where = (str(world.folder), "--key", log_key().text)
        found = command("verify", *where)
        assert (found.exit_code, "agree" in found.output or "same verdict: 7" in found.output) == (0, True)
        assert json.loads(command("verify", *where, "--json").output)["agreed"] == 7
        past = command("verify", *where, "--json", "--until", "2020-01-01")
        assert json.loads(past.output)["records"] == 0
        assert json.loads(command("show", *where, "--record", "4").output)["code"] == "audience_mismatch"
        lines = command("search", *where, "--token", digest(str(tokens[1]).encode())).output.splitlines()
        assert [line.split("\t")[0] for line in lines] == ["1"]
        assert command("search", *where, "--code", "revoked").exit_code == 1
        assert command("prove", *where, "--record", "0").output.startswith(
            "c2sp.org/tlog-proof@v1\nindex 0\n"
        )
        assert command("show", *where, "--record", "8").exit_code == 2
        assert command("verify", str(tmp_path), "--key", log_key().text).exit_code == 2
        bundle = world.folder / "tile/entries/000.p/8"
        bundle.write_bytes(bundle.read_bytes().replace(b'"permit"', b'"Permit"', 1))
        broken = command("verify", *where)
        assert broken.exit_code == 1
        assert "record_altered at tile/entries/000.p/8:0 record 0" in broken.output


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine")
def test_L_a_bundle_is_verified_without_this_package(tmp_path: Path) -> None:
    """The exported script says good by openssl and Python alone, and not where a file is altered."""
    with service() as world:
        mixed(world)
        world.closed()
        out = tmp_path / "evidence"
        where = (str(world.folder), "--key", log_key().text, "--record", "1", "--out", str(out))
        assert command("export", *where).exit_code == 0
        run = [sys.executable, "-I", "-S", str(out / "verify.py")]
        good = subprocess.run(run, capture_output=True, text=True, timeout=60)
        assert (good.returncode, good.stdout.count("good:"), good.stderr) == (0, 5, "")
        assert good.stdout.endswith("decision: permit (ok), verdict permit\n")
        for known, status in ((log_key().text, 0), (log_key().text.replace("+", "x+", 1), 1)):
            assert subprocess.run([*run, known], capture_output=True, timeout=60).returncode == status
        for name in ("record.json", "checkpoint", "proof.json", "token", "jwk.json", "log-key"):
            octets = (out / name).read_bytes()
            at = octets.index(b"path") + 12 if name == "proof.json" else len(octets) * 2 // 3
            (out / name).write_bytes(octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :])
            assert subprocess.run(run, capture_output=True, timeout=60).returncode != 0, name
            (out / name).write_bytes(octets)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine")
@pytest.mark.parametrize("alg", ["ES256", "ES384", "RS256", "PS256"])
def test_L_a_bundle_of_a_log_whose_key_is_in_a_kms(alg: str, tmp_path: Path) -> None:
    """A log that is signed by another algorithm, as by a KMS or an HSM, has bundles that verify too."""
    signer = LocalSigner(make_key(alg), alg)
    writer = TrailWriter(tmp_path / "trail", origin="gateway.example/audit", signer=signer)
    entry = b'{"code":"ok","kind":"decision","outcome":"permit","time_us":%d,"verdict":"permit"}'
    writer.append([entry % at for at in range(3)])
    writer.close()
    out = tmp_path / "evidence"
    write_bundle(TrailReader(tmp_path / "trail", writer.key), writer.key, 1, out)
    run = [sys.executable, "-I", "-S", str(out / "verify.py")]
    good = subprocess.run([*run, writer.key.text], capture_output=True, text=True, timeout=60)
    assert (good.returncode, good.stdout.count("good:"), good.stderr) == (0, 3, "")
    note = (out / "checkpoint").read_bytes()
    (out / "checkpoint").write_bytes(note.replace(b"\n3\n", b"\n4\n"))
    assert subprocess.run(run, capture_output=True, timeout=60).returncode == 1


def test_L_a_middleware_records_its_decisions() -> None:
    """An Authenticator with an audit recorder leaves a record of each decision, and refuses without one."""
    from rapidjws.middleware import Authenticator
    from rapidjws.middleware.requests import RequestContext

    with service() as world:
        made: Authenticator[Any] = Authenticator(engine=world.engine, audit=world.recorder)
        context = RequestContext([f"Bearer {world.token()}".encode()], b"", None, "/pay")
        assert made.decide(context).outcome == "permit"
        assert world.closed().size == 1
        world.recorder.timeout_s = 0.2
        assert made.decide(context).code == "audit_unavailable"
