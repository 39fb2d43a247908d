"""Signed logs: the first entry that was altered, removed or moved is named, late ones stand apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import rapidjws
from rapidjws import Verifier
from rapidjws.audit.merkle import leaf_hash
from rapidjws.cli.app import load_command
from rapidjws.signedlog import LogSigner, verify_log
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key

KEY = make_key("EdDSA", kid="log-1")
ENTRIES = [
    json.dumps({"time": 1_800_000_000 + at, "text": f"entry {at}"}).encode() + b"\n" for at in range(10)
]


def verifier(key: Any = KEY) -> Verifier:
    """Return a verifier of the manifests."""
    return Verifier([key.public()], algorithms=["EdDSA"])


def signed(folder: Path, entries: list[bytes] = ENTRIES, **options: Any) -> Path:
    """Return a folder with signed entries, four a bundle."""
    LogSigner(folder, LocalSigner(KEY), bundle_lines=4).sign(entries, **options)
    return folder


def refusal(folder: Path, **options: Any) -> tuple[str, str | None, Any]:
    """Return why a signed log is refused."""
    with pytest.raises(rapidjws.RapidJWSError) as refused:
        verify_log(folder, verifier(), **options)
    return refused.value.code, refused.value.place, refused.value.actual


def test_a_signed_log(tmp_path: Path) -> None:
    """What was signed verifies, and goes on where it ended."""
    folder = signed(tmp_path / "log")
    first = verify_log(folder, verifier())
    assert (first.bundles, first.entries, first.late) == (3, 10, 0)
    signed(folder, [b"more\n"])
    again = verify_log(folder, verifier(), head=first.head)
    assert (again.bundles, again.entries) == (4, 11)
    assert (folder / "0000000000.log").read_bytes() == b"".join(ENTRIES[:4])


def rewrite(folder: Path, change: Any, bundle: int = 1) -> None:
    """Change the entries of a bundle."""
    path = folder / f"{bundle:010}.log"
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


CHANGES = {
    "altered": (lambda e: [e[0], e[1].replace(b"entry", b"Entry"), *e[2:]], "bundle 1, entry 2", "altered"),
    "removed": (lambda e: [e[0], *e[2:]], "bundle 1, entry 2", "missing"),
    "removed-last": (lambda e: e[:3], "bundle 1, entry 4", "missing"),
    "swapped": (lambda e: [e[0], e[2], e[1], e[3]], "bundle 1, entry 2", "it is in another place"),
    "inserted": (lambda e: [*e, b"new\n"], "bundle 1, entry 5", "one that was never signed"),
    "emptied": (lambda e: [], "bundle 1, entry 1", "missing"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_first_changed_entry_is_named(name: str, tmp_path: Path) -> None:
    """Bundle and entry are named, and whether it was altered, is missing, or was moved."""
    folder = signed(tmp_path / "log")
    change, place, what = CHANGES[name]
    rewrite(folder, change)
    assert refusal(folder) == ("log_altered", place, what)


def test_hashes_that_were_made_to_fit_are_no_signed_ones(tmp_path: Path) -> None:
    """Entries that were altered together with the list of their hashes are found by the signed root."""
    folder = signed(tmp_path / "log")
    rewrite(folder, lambda e: [e[0], e[1].replace(b"entry", b"Entry"), *e[2:]])
    entries = (folder / "0000000001.log").read_bytes().splitlines(keepends=True)
    cells = [len(one).to_bytes(4, "big") + leaf_hash(one) for one in entries]
    (folder / "0000000001.leaves").write_bytes(b"".join(cells))
    assert refusal(folder) == ("log_altered", "bundle 1", "others")


def test_every_octet_counts(tmp_path: Path) -> None:
    """One bit changed anywhere in any file of any bundle is found."""
    folder = signed(tmp_path / "log")
    for path in sorted(folder.glob("0*")):
        octets = path.read_bytes()
        for at in range(0, len(octets), 29):
            path.write_bytes(octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :])
            with pytest.raises(rapidjws.RapidJWSError):
                verify_log(folder, verifier())
        path.write_bytes(octets)
    verify_log(folder, verifier())


def test_bundles_that_are_missing_or_moved(tmp_path: Path) -> None:
    """A bundle that is gone, in another's place, or of another chain is named; a cut end by a kept head."""
    folder = signed(tmp_path / "log")
    head = verify_log(folder, verifier()).head
    for path in folder.glob("0000000002.*"):
        path.rename(path.with_name("kept-" + path.name))
    assert verify_log(folder, verifier()).bundles == 2
    assert refusal(folder, head=head)[:2] == ("log_altered", "bundle 2")
    for path in folder.glob("kept-*"):
        path.rename(path.with_name(path.name[5:]))
    for path in folder.glob("0000000001.*"):
        path.rename(path.with_name("kept-" + path.name))
    assert refusal(folder)[:2] == ("log_altered", "bundle 1")
    other = signed(tmp_path / "other", [b"x\n"] * 10)
    for path in other.glob("0000000001.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    assert refusal(folder)[:2] == ("log_altered", "bundle 1")
    for path in other.glob("0000000000.*"):
        (folder / path.name).write_bytes(path.read_bytes())
        (folder / path.name.replace("0.", "1.")).write_bytes(path.read_bytes())
    assert refusal(folder)[:2] == ("log_altered", "bundle 1")


def test_another_key_and_another_purpose(tmp_path: Path) -> None:
    """Manifests of a stranger, and a good signature made for something else, are refused."""
    folder = signed(tmp_path / "log")
    with pytest.raises(rapidjws.TokenRefused):
        verify_log(folder, verifier(make_key("EdDSA", kid="log-1")))
    from rapidjws.signing import sign_compact

    manifest = (folder / "0000000000.json").read_bytes()
    token = sign_compact(manifest, LocalSigner(KEY), header={"cty": "json"}, detached=True)
    (folder / "0000000000.jws").write_text(token)
    assert refusal(folder)[:2] == ("claim_mismatch", "bundle 0")
    with pytest.raises(rapidjws.ConfigurationError):
        verify_log(tmp_path / "none", verifier())


def test_late_entries_get_a_bundle_of_their_own(tmp_path: Path) -> None:
    """Entries that are older than what is signed already stand in a bundle that says so."""
    folder = signed(tmp_path / "log", ENTRIES[2:])
    signed(folder, [*ENTRIES[:2], b'{"time": 1800000100}\n'])
    manifests = [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    assert [(one["late"], one["entries"]) for one in manifests] == [
        (False, 4),
        (False, 4),
        (True, 2),
        (False, 1),
    ]
    assert verify_log(folder, verifier()).late == 2


def test_a_bundle_without_its_signature_is_none(tmp_path: Path) -> None:
    """What a crash left of a bundle is written over, and nothing is signed twice."""
    folder = signed(tmp_path / "log")
    (folder / "0000000002.jws").unlink()
    signed(folder, ENTRIES[8:])
    assert verify_log(folder, verifier()).entries == 10
    assert signed(folder, [b"x\n"], lost=3)
    assert verify_log(folder, verifier()).lost == 3


def run(name: str, *arguments: object, **options: Any) -> Any:
    """Run a command."""
    import typer

    app = typer.Typer()
    app.command()(load_command(name))
    return CliRunner().invoke(app, [str(one) for one in arguments], **options)


JOURNAL = (
    b"__CURSOR=a\n__REALTIME_TIMESTAMP=1800000000000000\nMESSAGE=one\n\n"
    b"__CURSOR=b\n__REALTIME_TIMESTAMP=1800000001000000\nMESSAGE\n\x08\0\0\0\0\0\0\0two\n\nxyz\n\n"
)


def test_the_commands(tmp_path: Path) -> None:
    """A growing log is signed from where it was; a line that is being written is left for the next time."""
    (tmp_path / "key.jwk").write_text(json.dumps(KEY.as_dict(private=True)))
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [KEY.public().as_dict()]}))
    key, keys = ("--key", tmp_path / "key.jwk"), ("--jwks", tmp_path / "jwks.json", "--alg", "EdDSA")
    log, out = tmp_path / "app.log", tmp_path / "app.log.signed"
    log.write_bytes(b"".join(ENTRIES) + b"half")
    first = run("sign-log", log, *key)
    assert first.exit_code == 0, first.output
    assert "10 entries signed, 1 bundles" in first.output
    with log.open("ab") as file:
        file.write(b" a line\n")
    assert "1 entries signed, 2 bundles" in run("sign-log", log, *key).output
    assert "0 entries signed" in run("sign-log", log, *key).output
    done = run("verify-log", out, *keys, "--json")
    assert json.loads(done.stdout)["entries"] == 11
    rewrite(out, lambda e: [b"other\n"])
    altered = run("verify-log", out, *keys)
    assert altered.exit_code == 1
    assert "bundle 1, entry 1" in altered.output
    assert run("verify-log", tmp_path / "none", *keys).exit_code == 2
    piped = run("sign-log", "-", *key, "--out", tmp_path / "piped", input=b"one\ntwo")
    assert "2 entries signed" in piped.output, piped.output
    assert run("sign-log", "-", *key).exit_code == 2
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "journal").write_bytes(JOURNAL)
    (tmp_path / "logs" / "app.log").write_bytes(ENTRIES[0])
    both = run("sign-log", tmp_path / "logs", *key, "--out", tmp_path / "all")
    assert both.exit_code == 0, both.output
    assert verify_log(tmp_path / "all" / "journal.signed", verifier()).entries == 2


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda octets: octets.replace(b"two", b"TWO"), "line 2"),
        (lambda octets: octets.replace(b"one\n", b""), "line 1"),
        (lambda octets: octets[: octets.index(b"three")], "line 3"),
    ],
)
def test_a_log_that_was_altered_after_it_was_signed(change: Any, found: str, tmp_path: Path) -> None:
    """With the log itself given, its first line that is not as it was signed is named."""
    (tmp_path / "key.jwk").write_text(json.dumps(KEY.as_dict(private=True)))
    (tmp_path / "public.jwk").write_text(json.dumps(KEY.public().as_dict()))
    log, out = tmp_path / "app.log", tmp_path / "app.log.signed"
    log.write_bytes(b"one\ntwo\n")
    assert run("sign-log", log, "--key", tmp_path / "key.jwk").exit_code == 0
    log.write_bytes(b"one\ntwo\nthree\n")
    assert run("sign-log", log, "--key", tmp_path / "key.jwk").exit_code == 0
    log.write_bytes(b"one\ntwo\nthree\nnot signed yet\n")
    given = (out, "--jwks", tmp_path / "public.jwk", "--alg", "EdDSA")
    assert run("verify-log", *given, "--log", log).exit_code == 0
    log.write_bytes(change(log.read_bytes()))
    assert run("verify-log", *given).exit_code == 0
    altered = run("verify-log", *given, "--log", log)
    assert altered.exit_code == 1
    assert f"{found} of the log: a signed log is not as it was signed" in altered.output


def test_a_log_that_was_rotated_and_grew_is_signed_from_its_beginning(tmp_path: Path) -> None:
    """No line is left unsigned where another log of the same name is longer than what was signed of it."""
    (tmp_path / "key.jwk").write_text(json.dumps(KEY.as_dict(private=True)))
    log, out = tmp_path / "app.log", tmp_path / "app.log.signed"
    log.write_bytes(b"one\n")
    assert run("sign-log", log, "--key", tmp_path / "key.jwk").exit_code == 0
    log.write_bytes(b"first\nsecond\n")
    again = run("sign-log", log, "--key", tmp_path / "key.jwk")
    assert "2 entries signed" in again.output
    assert "rotated, or altered where it was signed" in again.output
    report = verify_log(out, verifier(), source=log)
    assert (report.entries, report.bundles) == (3, 2)


def test_a_key_file_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    """A file of keys that cannot be read is no finding about the log: exit 2."""
    signed(tmp_path / "log")
    for text in ("{}", "[]", "1", "no JSON", '{"kty": "EC"}'):
        (tmp_path / "keys").write_text(text)
        assert (
            run("verify-log", tmp_path / "log", "--jwks", tmp_path / "keys", "--alg", "EdDSA").exit_code == 2
        )
