"""Witnesses: what they are asked, what they sign, and a trail that is another than the one they saw."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from audit_trails import ORIGIN, signer, whole, writer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from rapidjws import RapidJWSError
from rapidjws.audit import NoteKey, TrailReader
from rapidjws.audit.merkle import is_consistent
from rapidjws.audit.witnesses import (
    WitnessKey,
    add_cosignatures,
    check_witnesses,
    cosignatures,
    witness_request,
)
from rapidjws.cli.app import app

SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS = WitnessKey("witness.example/w1", SECRET.public_key().public_bytes_raw())
TIME_S = 1_800_000_000


def line(note: bytes, key: WitnessKey = WITNESS, secret: Ed25519PrivateKey = SECRET) -> bytes:
    """Return a witness's line over a checkpoint, as C2SP tlog-cosignature says."""
    text = note[: note.rfind(b"\n\n") + 1]
    signature = secret.sign(f"cosignature/v1\ntime {TIME_S}\n".encode() + text)
    octets = key.key_id + TIME_S.to_bytes(8, "big") + signature
    return f"— {key.name} {base64.b64encode(octets).decode()}\n".encode()


def code_of(call: Any, *given: Any) -> RapidJWSError:
    """Return what a call refuses."""
    with pytest.raises(RapidJWSError) as refused:
        call(*given)
    return refused.value


def test_L_a_witness_is_asked_with_a_proof_that_it_can_check(tmp_path: Path) -> None:
    """A request has the old size, the consistency proof and the checkpoint."""
    old_root = whole(tmp_path / "old", 300).checkpoint.root
    reader = whole(tmp_path / "new", 700)
    head, _, note = witness_request(reader, 300).partition(b"\n\n")
    first, *rest = head.decode().split("\n")
    assert (first, note) == ("old 300", reader.note)
    path = [base64.b64decode(one) for one in rest]
    assert is_consistent(300, 700, old_root, reader.checkpoint.root, path)
    assert witness_request(reader, 0).startswith(b"old 0\n\n" + ORIGIN.encode())
    assert witness_request(reader, 700).startswith(b"old 700\n\n")
    assert code_of(witness_request, reader, 701).code == "configuration_invalid"


def test_L_good_cosignatures_are_stored_and_no_others(tmp_path: Path) -> None:
    """A line by the witness over this checkpoint is stored; an altered one or a stranger's is not."""
    reader = whole(tmp_path, 5)
    good = line(reader.note)
    for at in range(len(WITNESS.name) + 10, len(good) - 4, 9):
        bad = bytearray(good)
        bad[at] = ord("A") if bad[at] != ord("A") else ord("B")
        assert code_of(add_cosignatures, reader, bytes(bad), [WITNESS]).code == "audit_trail_invalid"
    stranger = Ed25519PrivateKey.generate()
    for answer in (line(reader.note, secret=stranger), b"", b"x\n\ny\n", b"old 5\n"):
        assert code_of(add_cosignatures, reader, answer, [WITNESS]).code == "audit_trail_invalid"
    assert not (tmp_path / "cosigned").exists()
    assert add_cosignatures(reader, good, [WITNESS]) == {WITNESS.name: TIME_S}
    second = WitnessKey("witness.example/w2", stranger.public_key().public_bytes_raw())
    both = add_cosignatures(reader, line(reader.note, second, stranger), [WITNESS, second])
    assert both == {WITNESS.name: TIME_S, second.name: TIME_S}
    assert check_witnesses(reader, [WITNESS, second], 2) == (5, both)
    assert cosignatures(reader.note, [WITNESS]) == {}


def test_L_a_tree_that_was_written_anew_is_named(tmp_path: Path) -> None:
    """With the log's own key another tree is signed: the one that was witnessed is no beginning of it."""
    reader = whole(tmp_path / "trail", 5)
    add_cosignatures(reader, line(reader.note), [WITNESS])
    made = writer(tmp_path / "trail")
    made.append([b'{"kind":"decision","n":5,"time_us":1}'])
    made.close()
    grown = TrailReader(tmp_path / "trail", reader.key)
    sent = witness_request(reader, 0)
    assert add_cosignatures(grown, line(reader.note), [WITNESS], request=sent) == {WITNESS.name: TIME_S}
    assert check_witnesses(grown, [WITNESS], 1)[0] == 5
    other = writer(tmp_path / "other")
    other.append([b'{"kind":"decision","n":9,"time_us":1}'] * 6)
    other.close()
    (tmp_path / "trail" / "cosigned").rename(tmp_path / "other" / "cosigned")
    fault = code_of(check_witnesses, TrailReader(tmp_path / "other", reader.key), [WITNESS], 1)
    assert (fault.code, fault.place) == ("audit_trail_invalid", f"cosigned/{5:016d}:0")
    fault = code_of(check_witnesses, grown, [WITNESS], 1)
    assert (fault.code, fault.place) == ("audit_trail_invalid", "cosigned:0")


def test_L_a_witness_key_is_one_word() -> None:
    """A key is read as it is written; another type, id or length is refused."""
    assert WitnessKey.from_text(WITNESS.text) == WITNESS
    log_key = NoteKey(ORIGIN, signer().public, "EdDSA").text
    for text in ("", "a+b+c", log_key, WITNESS.text.replace("w1", "w2"), WITNESS.text[:-8]):
        assert code_of(WitnessKey.from_text, text).code == "configuration_invalid"
    assert code_of(WitnessKey, "a b", bytes(32)).place == "name"


def test_L_the_commands_ask_store_and_check(tmp_path: Path) -> None:
    """``witness-request``, ``witness-add`` and ``witness-check`` go together."""
    reader = whole(tmp_path, 5)

    def run(command: str, *words: str, **given: Any) -> Any:
        given_words = ["audit", command, str(tmp_path), "--key", reader.key.text, *words]
        return CliRunner().invoke(app, given_words, **given)

    assert run("witness-request").stdout_bytes == witness_request(reader, 0)
    assert run("witness-check", "--witness", WITNESS.text).exit_code == 1
    done = run("witness-add", "--witness", WITNESS.text, input=line(reader.note))
    assert (done.exit_code, WITNESS.name in done.output) == (0, True), done.output
    assert run("witness-add", "--witness", WITNESS.text, input=b"x").exit_code == 2
    done = run("witness-check", "--witness", WITNESS.text)
    assert (done.exit_code, "5 of 5 records are witnessed" in done.output) == (0, True)
    assert run("witness-check", "--witness", "x").exit_code == 2
