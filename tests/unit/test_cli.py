"""The command line as people use it: verify with its exit codes, demo, version. Tokens, files, stdin."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tokens
from typer.testing import CliRunner, Result

import rapidjws
from rapidjws.cli.app import COMMANDS, app, load_command

GOOD, FORGED = tokens.token(), tokens.token()[:-8] + "AAAAAAAA"


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    """Return a JWK Set file with one key."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [tokens.public("ES256").as_dict()]}))
    return path


def run(*words: object, stdin: str | bytes | None = None) -> Result:
    """Run one command line."""
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin)


def verify(jwks: Path, *words: object, stdin: str | bytes | None = None) -> Result:
    """Run ``rapidjws verify`` with the key set and ES256."""
    return run("verify", *words, "--jwks", jwks, "--alg", "ES256", stdin=stdin)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_itself(name: str) -> None:
    """The list is written down so that it imports no command: it holds each one's own first paragraph."""
    loaded = load_command(name)
    words = loaded.__doc__ if inspect.isfunction(loaded) else loaded.info.help
    assert COMMANDS[name].help == " ".join(inspect.cleandoc(words).partition("\n\n")[0].split())
    assert run(name, "--help").exit_code == 0


def test_a_command_that_is_not_there_is_refused_with_its_like() -> None:
    """A mistyped command is wrong usage, and the nearest one is named."""
    refused = run("rolout", "status")
    assert refused.exit_code == 2
    assert "Did you mean 'rollout'?" in refused.output


def test_one_token(jwks: Path) -> None:
    """A good token exits 0 and names alg and kid; a refused one exits 1 and gives its code."""
    good, bad = verify(jwks, GOOD), verify(jwks, FORGED)
    assert (good.exit_code, good.stdout) == (0, "1: verified alg=ES256 kid='k1-es256'\n")
    assert bad.exit_code == 1
    assert bad.stdout.startswith("1: refused signature_invalid at signature")


def test_a_file_and_stdin(jwks: Path, tmp_path: Path) -> None:
    """A file and stdin hold a token a line; blank lines count for nothing; one refusal makes it exit 1."""
    path = tmp_path / "tokens.txt"
    path.write_text(f"{GOOD}\n\n{GOOD}\r\n{FORGED}\n")
    for found in (
        verify(jwks, path),
        verify(jwks, "-", stdin=path.read_text()),
        verify(jwks, stdin=path.read_text()),
    ):
        assert found.exit_code == 1
        assert [line.split()[1] for line in found.stdout.splitlines()] == ["verified", "verified", "refused"]
        assert "3 tokens" in found.stderr
    path.write_text(f"{GOOD}\n{GOOD}")
    assert verify(jwks, path).exit_code == 0


def test_json_lines(jwks: Path) -> None:
    """With --json each token gives one JSON object, and nothing else stands on stdout."""
    found = verify(jwks, "--json", stdin=f"{GOOD}\n{FORGED}\nx\n")
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert found.exit_code == 1
    assert [(row["line"], row["verdict"]) for row in rows] == [
        (1, "verified"),
        (2, "refused"),
        (3, "refused"),
    ]
    assert (rows[0]["alg"], rows[0]["kid"]) == ("ES256", "k1-es256")
    assert [row["code"] for row in rows[1:]] == ["signature_invalid", "malformed_token"]
    assert all(part not in found.stdout for part in FORGED.split("."))


def test_claims(jwks: Path) -> None:
    """With --issuer the claims are checked too, at the wall clock."""
    now_s = int(time.time())
    options = ("--issuer", tokens.ISS, "--audience", tokens.AUD, "--json")
    good = tokens.token(iat=now_s, exp=now_s + 60)
    for text, code in (
        (good, 0),
        (tokens.token(iat=now_s - 900, exp=now_s - 600), "expired"),
        (tokens.token(iat=now_s, exp=now_s + 60, aud="other"), "audience_mismatch"),
        (tokens.token(iat=now_s, exp=now_s + 60, iss="other"), "issuer_mismatch"),
    ):
        found = verify(jwks, text, *options)
        row = json.loads(found.stdout)
        assert (found.exit_code, row.get("code", 0)) == (1 if code else 0, code)
    late = tokens.token(iat=now_s - 900, exp=now_s - 600)
    assert verify(jwks, late, *options, "--leeway", 3600).exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("verify",),
        ("verify", "a.b.c"),
        ("verify", "a.b.c", "--alg", "ES256"),
        ("verify", "a.b.c", "--jwks", "absent.json", "--alg", "ES256"),
        ("nonsense",),
        ("verify", "a.b.c", "--leeway", "-1"),
    ],
    ids=" ".join,
)
def test_wrong_usage(words: tuple[str, ...]) -> None:
    """Wrong usage exits 2 and says on stderr what was missing."""
    found = run(*words)
    assert found.exit_code == 2
    assert found.stdout == ""
    assert found.stderr


def test_wrong_usage_of_verify(jwks: Path, tmp_path: Path) -> None:
    """An unknown algorithm, an audience without issuer, a broken set and an empty input exit 2."""
    broken = tmp_path / "broken.json"
    broken.write_text("<html>")
    for words in (
        (GOOD, "--jwks", jwks, "--alg", "none"),
        (GOOD, "--jwks", jwks, "--alg", "ES256", "--audience", "x"),
        (GOOD, "--jwks", broken, "--alg", "ES256"),
        ("no-such-file", "--jwks", jwks, "--alg", "ES256"),
        ("-", "--jwks", jwks, "--alg", "ES256"),
    ):
        found = run("verify", *words, stdin="")
        assert (found.exit_code, found.stdout) == (2, "")
        assert found.stderr.startswith("rapidjws verify: ")


def test_usage_shows_no_secret(jwks: Path) -> None:
    """What may be an opaque token is not repeated on the screen."""
    secret = "Zq7Xw9Kp3Vt5" * 4
    found = verify(jwks, secret)
    assert (found.exit_code, "Zq7X" in found.output + found.stderr) == (2, False)


def test_keys_left_out_are_named(tmp_path: Path) -> None:
    """A key of the set that cannot be used is named on stderr; the others serve."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [{"kty": "EC"}, tokens.public("ES256").as_dict()]}))
    found = verify(path, GOOD)
    assert found.exit_code == 0
    assert "key 0 of" in found.stderr


@pytest.mark.parametrize(
    "octets", [b"\xff\xfe\n", b"\0\0\0", b"." * 100_000, b"{" * 5000, "é.ü.ö\n".encode()]
)
def test_bad_input_is_refused_without_a_traceback(jwks: Path, octets: bytes, tmp_path: Path) -> None:
    """Whatever bytes come by stdin or in a file, they are refused, and nothing falls over."""
    path = tmp_path / "octets"
    path.write_bytes(octets)
    command = [sys.executable, "-c", "from rapidjws.cli import main; main()", "verify"]
    options = ["--jwks", str(jwks), "--alg", "ES256", "--json"]
    roots = os.pathsep.join(
        [str(Path(next(iter(rapidjws.__path__))).parent), os.environ.get("PYTHONPATH", "")]
    )
    for source in (str(path), "-"):
        done = subprocess.run(
            [*command, source, *options],
            input=octets,
            env={**os.environ, "PYTHONPATH": roots, "PYTHONIOENCODING": "utf-8:strict"},
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, b"")
        assert {json.loads(line)["verdict"] for line in done.stdout.splitlines()} == {"refused"}


def test_a_long_file(jwks: Path, tmp_path: Path) -> None:
    """A file of more than one batch and past the size that earns a progress bar is counted in full."""
    path = tmp_path / "many"
    count = (1 << 20) // len(GOOD) + 100
    path.write_text(f"{GOOD}\n" * count)
    found = verify(jwks, path, "--json")
    assert (found.exit_code, len(found.stdout.splitlines())) == (0, count)


def test_demo() -> None:
    """The demonstration makes its keys and tokens, and every verdict is the expected one."""
    found = run("demo", "--tokens", 400)
    assert found.exit_code == 0
    for word in ("verified", "expired", "signature_invalid", "unknown_kid", "unsupported_algorithm", "p99"):
        assert word in found.stdout
    assert "every verdict is the expected one" in found.stdout


def test_N3_the_demo_compares_first_batch_warm_batch_and_one_by_one() -> None:
    """Three lines, each with a rate and how many times that of one by one, in this order."""
    found = run("demo", "--tokens", 400)
    rows = re.findall(
        r"^(\S.*?), (\d+) threads?  +([\d,]+) tokens a second  +([\d.]+) x$", found.stdout, re.M
    )
    names = [name for name, *_ in rows]
    warm, one = "warm batch, median of 25", "one by one, warm, median of 25"
    assert names == ["first batch of a fresh engine", warm, one]
    assert (rows[-1][1], rows[-1][3]) == ("1", "1.0")
    rates = [int(rate.replace(",", "")) for _, _, rate, _ in rows]
    for rate, (*_, times) in zip(rates, rows, strict=True):
        assert float(times) == pytest.approx(rate / rates[-1], abs=0.06)


def test_version() -> None:
    """version names the package and the libcrypto in use, and who verifies what."""
    found = run("version")
    assert found.exit_code == 0
    assert rapidjws.__version__ in found.stdout
    assert rapidjws.backends().libcrypto in found.stdout
    assert "ES256" in found.stdout
