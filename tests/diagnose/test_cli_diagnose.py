"""The commands diagnose, diagnose key, diff, openssl and contract, as a shell sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from broken_world import AUD, BANK, NOW, bank_keys, claims, dumps, key, token

from rapidjws.jose.jwks import JWKSet

pytest.importorskip("typer", reason="the extra `cli` is not installed")

from typer.testing import CliRunner, Result

from rapidjws.cli.app import app

NAMED = ("--issuer", BANK, "--audience", AUD, "--now", str(NOW))


def run(*arguments: str, stdin: str | None = None) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, list(arguments), input=stdin)


@pytest.fixture
def jwks(tmp_path: Path) -> str:
    """Give the bank's keys as a file."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(JWKSet(bank_keys()).as_dict()), "utf-8")
    return str(path)


def test_diagnose_exit_codes(jwks: str, tmp_path: Path) -> None:
    """0 for a good token, from argument, file or stdin; 1 for a refused one; 2 on wrong usage."""
    good = token()
    (tmp_path / "token").write_text(good + "\n", "utf-8")
    assert run("diagnose", good, "--jwks", jwks, *NAMED).exit_code == 0
    assert run("diagnose", str(tmp_path / "token"), "--jwks", jwks, *NAMED).exit_code == 0
    assert run("diagnose", "--jwks", jwks, *NAMED, stdin=good + "\n").exit_code == 0
    answer = run("diagnose", f"Bearer {good}", "--jwks", jwks, *NAMED)
    assert answer.exit_code == 1
    assert "bearer_prefix" in answer.output
    assert run("diagnose", good).exit_code == 2


def test_diagnose_formats(jwks: str) -> None:
    """JSON is JSON, Markdown has a heading; neither holds the token unless asked."""
    bad = token(payload=claims(iat=NOW - 1200, exp=NOW - 900))
    report = json.loads(run("diagnose", bad, "--jwks", jwks, *NAMED, "-f", "json").output)
    assert (report["code"], report["probable_cause"]["id"]) == ("expired", "expired")
    assert run("diagnose", bad, "--jwks", jwks, *NAMED, "-f", "markdown").output.startswith(
        "## Token deny: `expired`"
    )
    assert bad not in run("diagnose", bad, "--jwks", jwks, *NAMED, "-f", "json").output
    assert bad in run("diagnose", bad, "--jwks", jwks, *NAMED, "-f", "json", "--show-token").output


def test_diagnose_error_page(tmp_path: Path) -> None:
    """An error page in place of the key set is named as such."""
    page = tmp_path / "page"
    page.write_text("<html>", "utf-8")
    answer = run("diagnose", token(), "--jwks", str(page), "-f", "json")
    assert json.loads(answer.output)["probable_cause"]["id"] == "jwks_not_json"


@pytest.mark.parametrize(
    ("kid", "in_use", "fresh", "state"),
    [
        ("a", {"a": 1}, {"a": 1}, "available"),
        ("b", {"a": 1}, {"a": 1, "b": 2}, "stale_cache"),
        ("a", {"a": 1}, {"b": 2}, "withdrawn"),
        ("a", {"a": 1}, {"a": 2}, "replaced"),
        ("kid-A", {"kid-a": 1}, None, "near_miss"),
        ("x", {"a": 1}, None, "unknown"),
    ],
)
def test_diagnose_key(
    kid: str, in_use: dict[str, int], fresh: dict[str, int] | None, state: str, tmp_path: Path
) -> None:
    """The state of a key is named from the keys in use and a fresh fetch."""

    def write(name: str, kids: dict[str, int]) -> str:
        keys = [{**key("ES256", f"k{number}").public().as_dict(), "kid": one} for one, number in kids.items()]
        (tmp_path / name).write_text(json.dumps({"keys": keys}), "utf-8")
        return str(tmp_path / name)

    more = [] if fresh is None else ["--fresh", write("fresh", fresh)]
    arguments = ("diagnose", "key", "--kid", kid, "--jwks", write("in_use", in_use), *more)
    answer = run(*arguments, "--cache-age", "7200", "-f", "json")
    found = json.loads(answer.output)
    assert found["state"] == state
    assert answer.exit_code == (0 if state == "available" else 1)
    assert found["is_old"]
    assert "stale" in found["text"]
    assert state in run(*arguments).output


def test_diff(tmp_path: Path) -> None:
    """diff exits 0 for equal bytes and names the kind of a difference."""
    body = tmp_path / "body"
    body.write_bytes(dumps(claims()))
    assert run("diff", token(), str(body)).exit_code == 0
    body.write_bytes(json.dumps(claims()).encode())
    answer = run("diff", token(), str(body), "--json")
    assert (answer.exit_code, json.loads(answer.output)["kinds"]) == (1, ["whitespace"])
    assert "whitespace" in run("diff", token(), str(body)).output
    assert run("diff", "a.b", str(body)).exit_code in (1, 2)


def test_openssl(jwks: str, tmp_path: Path) -> None:
    """openssl writes a folder, and says in a line why it cannot."""
    answer = run("openssl", token(), "--jwks", jwks, "-o", str(tmp_path / "out"))
    assert answer.exit_code == 0
    assert (tmp_path / "out" / "verify.sh").is_file()
    assert run("openssl", "a.b", "--jwks", jwks, "-o", str(tmp_path / "x")).exit_code == 2


def test_contract(tmp_path: Path) -> None:
    """init, send, check and leeway do their work, and refuse in a line."""
    folder = str(tmp_path / "acme")
    assert run("contract", "init", folder).exit_code == 0
    assert run("contract", "init", folder).exit_code == 2
    assert "good tokens" in run("contract", "send", folder).output
    answer = run("contract", "check", folder)
    assert answer.exit_code == 1
    assert "open points" in answer.output
    assert (tmp_path / "acme" / "report.jws").is_file()
    assert "leeway_s=300 until" in run("contract", "leeway", folder, "300", "--hours", "2").output
    assert run("contract", "check", str(tmp_path)).exit_code == 2
