"""Checkpoints signed by a key outside of the process: its kinds, and a signer that is slow, away or wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from audit_trails import ORIGIN, entry, killed

from rapidjws import JWK, RapidJWSError
from rapidjws.audit import NoteKey, TrailReader, TrailWriter, Verification
from rapidjws.audit.checkpoint_signer import CheckpointSigner
from rapidjws.audit.evidence_bundle import write_bundle
from rapidjws.audit.notes import key_of, opened_note, sign_note
from rapidjws.audit.records import gap_record
from rapidjws.audit.sequencer import Sequencer
from rapidjws.audit.settings import AuditSettings
from rapidjws.errors import error_for
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key
from rapidjws.verify.protocols import Event

KEY = make_key("ES256")


class Remote:
    """A signer outside of the process, as a test has it answer.

    Attributes:
        fault: What it raises instead of a signature.
        gate: What it waits for before it answers.
    """

    alg, kid = "ES256", None

    def __init__(self, key: JWK = KEY) -> None:
        self.public_jwk = key.public()
        self._signer = LocalSigner(key)
        self.fault: Exception | None = None
        self.gate: threading.Event | None = None

    def sign(self, signing_input: bytes) -> bytes:
        """Return the signature, raise, or wait."""
        if self.gate is not None:
            self.gate.wait(60)
        if self.fault is not None:
            raise self.fault
        return self._signer.sign(signing_input)


def code_of(call: Any, *given: Any, **named: Any) -> RapidJWSError:
    """Return what a call refuses."""
    with pytest.raises(RapidJWSError) as refused:
        call(*given, **named)
    return refused.value


def test_L_a_note_by_es256_is_of_the_type_that_others_read() -> None:
    """Type 0x02 of signed-note: DER over SHA-256, and an id that is a hash of the key alone."""
    import base64
    import hashlib

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = key_of(ORIGIN, LocalSigner(KEY))
    name, key_id, encoded = key.text.split("+", 2)
    material = base64.b64decode(encoded)
    assert (name, material[:1]) == (ORIGIN, b"\x02")
    assert key_id == hashlib.sha256(material[1:]).hexdigest()[:8]
    assert NoteKey.from_text(key.text) == NoteKey(ORIGIN, JWK.from_der(material[1:]), "ES256")
    note = sign_note("a text\n", key, LocalSigner(KEY))
    octets = base64.b64decode(note.split(b" ")[-1])
    assert octets[:4].hex() == key_id
    public = serialization.load_der_public_key(material[1:])
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(octets[4:], b"a text\n", ec.ECDSA(hashes.SHA256()))
    assert opened_note(note, [key]) == ("a text\n", (ORIGIN,))
    raw = LocalSigner(KEY).sign(b"a text\n")  # the signature of JWA is none of a note
    line = base64.b64encode(key.key_id + raw).decode()
    note = f"a text\n\n— {ORIGIN} {line}\n".encode()
    assert code_of(opened_note, note, [key]).code == "audit_trail_invalid"


@pytest.mark.parametrize("alg", ["ES256", "ES384", "RS256", "PS384"])
def test_L_a_trail_by_any_kind_of_key_is_verified_and_exported(tmp_path: Path, alg: str) -> None:
    """The trail verifies, and a bundle's script verifies it by openssl and standard Python."""
    signer = LocalSigner(make_key(alg), alg)
    made = TrailWriter(tmp_path / "trail", origin=ORIGIN, signer=signer)
    made.append([gap_record(at, 1, "late") for at in range(300)])
    made.close()
    reader = TrailReader(tmp_path / "trail", NoteKey.from_text(made.key.text))
    assert Verification(reader).run().findings == []
    write_bundle(reader, made.key, 299, tmp_path / "out")
    script = [sys.executable, "-I", str(tmp_path / "out/verify.py"), made.key.text]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "record 299 is in that log" in done.stdout) == (0, True), done.stderr
    other = make_key(alg)
    assert code_of(TrailReader, tmp_path / "trail", NoteKey(ORIGIN, other.public(), alg)).code == (
        "audit_trail_invalid"
    )


def test_L_records_are_taken_while_the_signer_is_away(tmp_path: Path) -> None:
    """Tiles are written, memory does not grow, the next checkpoint signs all, and a start waits for none."""
    events: list[Event] = []
    remote = Remote()
    made = TrailWriter(tmp_path, origin=ORIGIN, signer=remote, events=events.append)
    made.append([entry(at) for at in range(10)])
    made.publish()
    remote.fault = error_for("signer_unavailable", "aws_kms in eu-west-1", actual="ReadTimeout")
    for size in (300, 600, 900):
        made.append([entry(at) for at in range(made.size, size)])
        assert code_of(made.publish).code == "signer_unavailable"
    made.prepare()
    assert len(made._kept[0]) == 900 % 256
    assert made.signed_size == 10
    assert {one.name for one in events} == {"audit_checkpoint_unsigned"}
    assert events[0].detail == "signer_unavailable: ReadTimeout"
    key = key_of(ORIGIN, remote)
    assert Verification(TrailReader(tmp_path, key)).run().size == 10
    partial = sorted(path.name for path in (tmp_path / "tile/entries").glob("*.p/*"))
    assert partial == ["10", "132"]  # those of the signed checkpoint and of the last one that is not
    killed(made)
    again = TrailWriter(tmp_path, origin=ORIGIN, signer=remote, events=events.append)
    assert (again.size, again.signed_size) == (900, 0)
    remote.fault = None
    again.publish()
    again.close()
    reader = TrailReader(tmp_path, key)
    report = Verification(reader).run()
    assert (report.size, report.findings) == (900, [])


def test_L_tiles_after_an_old_checkpoint_that_do_not_fit_it_are_refused(tmp_path: Path) -> None:
    """A start compares what the signer did not sign with what it signed last."""
    remote = Remote()
    made = TrailWriter(tmp_path, origin=ORIGIN, signer=remote)
    made.append([entry(at) for at in range(100)])
    made.publish()
    remote.fault = error_for("signer_unavailable", "x")
    made.append([entry(at) for at in range(100, 600)])
    for _ in range(2):
        code_of(made.publish)
    made._older.append(made._segment.path)  # type: ignore[union-attr]
    made._segment = made._begun(made._complete_tree(), (*made._open, made._tree.levels[0]))
    code_of(made.publish)
    killed(made)
    assert len(list((tmp_path / "journal").iterdir())) == 1
    tile = tmp_path / "tile/0/000"
    octets = bytearray(tile.read_bytes())
    octets[0] ^= 1
    tile.write_bytes(bytes(octets))
    fault = code_of(TrailWriter, tmp_path, origin=ORIGIN, signer=remote)
    assert (fault.code, fault.place) == ("audit_trail_invalid", "checkpoint:0")
    octets[0] ^= 1
    tile.write_bytes(bytes(octets))
    remote.fault = None
    again = TrailWriter(tmp_path, origin=ORIGIN, signer=remote)
    again.close()
    assert Verification(TrailReader(tmp_path, again.key)).run().findings == []


def test_L_a_checkpoint_that_was_not_signed_is_signed_without_another_record(tmp_path: Path) -> None:
    """The sequencer tries again, though no record comes."""
    remote = Remote()
    sequencer = Sequencer(TrailWriter(tmp_path, origin=ORIGIN, signer=remote), checkpoint_s=0.05)
    writer = sequencer._writer
    remote.fault = error_for("signer_throttled", "x")
    writer.append([entry(0)])

    def turned(until: Any) -> None:
        for _ in range(600):
            sequencer.turn(0.02)
            if until():
                return
        raise AssertionError("too long")

    turned(lambda: sequencer._publishing is not None)
    turned(lambda: sequencer._publishing is None)
    assert writer.signed_size == 0
    remote.fault = None
    turned(lambda: writer.signed_size == 1)
    sequencer.close()


def test_L_a_signer_that_hangs_is_waited_for_once() -> None:
    """Its call has a bound, no other is begun while it hangs, and afterwards it signs again."""
    remote = Remote()
    signer = CheckpointSigner(lambda: remote, None, wait_s=0.05)
    assert "secret" not in repr(signer)
    remote.gate = gate = threading.Event()
    assert "no answer in 0.05 s" in str(code_of(signer.sign, b"a").actual)
    remote.gate = None
    assert "no answer yet" in str(code_of(signer.sign, b"b").actual)
    gate.set()
    task = signer._task
    assert task is not None
    task.future.result(60)
    slow = CheckpointSigner(lambda: remote, None)
    assert NoteKey(ORIGIN, KEY.public(), "ES256").verifies(
        b"c", key_of(ORIGIN, slow)._as_in_notes(slow.sign(b"c"))
    )


def test_L_with_its_key_known_a_signer_may_be_away_at_the_start() -> None:
    """It is made at the first signature; one that has another key signs nothing."""
    made: list[Remote] = []
    known = NoteKey(ORIGIN, KEY.public(), "ES256")

    def make() -> Remote:
        if not made:
            raise error_for("signer_unavailable", "x")
        return made[0]

    assert code_of(CheckpointSigner, make, None).code == "signer_unavailable"
    signer = CheckpointSigner(make, known)
    assert code_of(signer.sign, b"a").code == "signer_unavailable"
    made.append(Remote(make_key("ES256")))
    assert code_of(signer.sign, b"a").code == "signer_refused"
    made[0] = Remote()
    assert len(signer.sign(b"a")) == 64


def settings(**given: Any) -> AuditSettings:
    """Return settings with a signer."""
    return AuditSettings(folder="trail", origin=ORIGIN, **given)


KMS = {"kms_key": "alias/audit", "kms_regions": ("eu-west-1",)}
TOKEN = {
    "pkcs11_module": "/nowhere.so",
    "pkcs11_token": "log",
    "pkcs11_key": "log",
    "pkcs11_pin_file": "pin",
}
LOG_KEY = NoteKey(ORIGIN, KEY.public(), "ES256").text


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, "audit.key_file"),
        ({**KMS, "key_file": "k"}, "audit.kms_key"),
        ({**KMS, **TOKEN}, "audit.pkcs11_module"),
        ({"kms_key": "a"}, "audit.kms_key"),
        ({"key_file": "k", "kms_regions": ("eu-west-1",)}, "audit.kms_regions"),
        *[({**TOKEN, name: ""}, "audit.pkcs11_module") for name in TOKEN if name != "pkcs11_module"],
        ({"key_file": "k", "pkcs11_token": "a"}, "audit.pkcs11_token"),
        ({"key_file": "k", "signer_alg": "ES256"}, "audit.signer_alg"),
        ({"key_file": "k", "log_key": LOG_KEY}, "audit.log_key"),
        ({**KMS, "signer_alg": "HS256"}, "audit.signer_alg"),
        ({**KMS, "signer_alg": "ES384", "log_key": LOG_KEY}, "audit.log_key"),
        ({**KMS, "log_key": LOG_KEY.replace("gateway", "other")}, "audit.log_key"),
        ({**KMS, "log_key": "x"}, "audit.log_key"),
    ],
)
def test_L_settings_of_a_signer_that_do_not_go_together_are_named(given: dict[str, Any], place: str) -> None:
    """Each combination that says nothing, or two things, is refused with the setting."""
    fault = code_of(settings, **given)
    assert (fault.code, fault.place) == ("configuration_invalid", place)


def test_L_a_library_or_a_pin_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Files are looked at where a configuration is checked; the token is not asked."""
    pin = tmp_path / "pin"
    token = {**TOKEN, "pkcs11_pin_file": str(pin)}
    assert code_of(settings(**token).check_files).place == "audit.pkcs11_pin_file"
    pin.write_text("4711")
    pin.chmod(0o644)
    assert code_of(settings(**token).check_files).place == "audit.pkcs11_pin_file"
    pin.chmod(0o600)
    assert code_of(settings(**token).check_files).place == "audit.pkcs11_module"


def test_L_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    """A check of the configuration says so, before a service starts."""
    key = tmp_path / "key.json"
    key.write_text(json.dumps(make_key("EdDSA").as_dict(private=True)))
    key.chmod(0o600)
    made = AuditSettings(folder=str(key), origin=ORIGIN, key_file=str(key))
    assert code_of(made.check_files).place == "audit.folder"
