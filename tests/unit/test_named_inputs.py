"""Files that a partner sent and a user names in a command: none hangs it, none fills the memory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import tokens
from typer.testing import CliRunner, Result

from rapidjws.cli import files
from rapidjws.cli.app import app

COMMANDS = (
    ("jwks", "lint"),
    ("diagnose", tokens.token(), "--jwks"),
    ("jwk",),
    ("incident", "timeline", "--log"),
    ("sign-log", "--key", "keys/key.jwk"),
)


def run(*words: object) -> Result:
    """Run one command line."""
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_what_never_ends_is_refused(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe without a writer, a device, a folder, behind a link too: wrong usage, at once, by its name."""
    monkeypatch.chdir(tmp_path)
    Path("keys").mkdir()
    assert run("keygen", "ES256", "--out", "keys/key.jwk").exit_code == 0
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path / "link", tmp_path, tmp_path / "loop"):
        answer = run(*command, path)
        assert answer.exit_code == 2
        assert str(path) in answer.output.replace("\n", "")


def test_a_file_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the bound it is read, one octet more is refused; standard input likewise."""
    octets = json.dumps({"keys": [tokens.public("ES256").as_dict()]}).encode()
    monkeypatch.setattr(files, "INPUT_MAX_BYTES", len(octets))
    path = tmp_path / "jwks.json"
    for text, code in ((octets, 0), (octets + b" ", 2)):
        path.write_bytes(text)
        assert run("jwks", "lint", path).exit_code == code
        assert CliRunner().invoke(app, ["jwks", "lint", "-"], input=text).exit_code == code


def test_a_pipe_of_a_shell_is_read() -> None:
    """What a shell hands over as a file is a pipe, and ends when its writer does."""
    octets = json.dumps({"keys": [tokens.public("ES256").as_dict()]}).encode()
    reading, writing = os.pipe()
    os.write(writing, octets)
    os.close(writing)
    try:
        assert run("jwks", "lint", f"/dev/fd/{reading}").exit_code == 0
    finally:
        os.close(reading)


def test_what_is_nested_too_deeply_is_refused_without_a_traceback(tmp_path: Path) -> None:
    """JSON of 100 000 levels is wrong usage or a refused token, for whatever a command reads."""
    deep = tmp_path / "deep.json"
    deep.write_bytes(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    key, jwks = tmp_path / "key.jwk", tmp_path / "jwks.json"
    assert run("keygen", "ES256", "--out", key).exit_code == 0
    jwks.write_text(json.dumps({"keys": [tokens.public("ES256").as_dict()]}))
    named = ("--predicate-type", "https://example.com/a", "--key", key)
    for code, words in (
        (1, ("verify", "--jwks", jwks, "--alg", "ES256", deep)),
        (2, ("sign", "--key", key, "--issuer", "https://issuer.example", deep)),
        (2, ("attest", "sign", deep, *named, "--predicate", deep)),
        (2, ("attest", "sign", deep, "--key", key, "--add-to", deep)),
        (1, ("jwks", "lint", deep)),
    ):
        answer = run(*words)
        assert answer.exit_code == code, (words, answer.output[-500:], answer.exception)
        assert answer.exception is None or isinstance(answer.exception, SystemExit)
