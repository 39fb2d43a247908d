"""``rapidjws verify``: every serialization, policies, detached payloads, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import forms
import pytest
import tokens
from typer.testing import CliRunner, Result

from rapidjws.cli.app import app
from rapidjws.signing import LocalSigner, sign_compact


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    """Return a JWK Set file with the public keys k1 and k2."""
    keys = [tokens.public("ES256", name).as_dict() for name in ("k1", "k2")]
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": keys}))
    return path


def run(jwks: Path, *words: object, stdin: str = "") -> Result:
    """Run one command line."""
    line = ["verify", "--jwks", str(jwks), "--alg", "ES256", *map(str, words)]
    return CliRunner().invoke(app, line, input=stdin)


A, B = forms.signed(name="k1"), forms.signed(name="k2")


def test_json_serializations(jwks: Path, tmp_path: Path) -> None:
    """JSON tokens verify as argument, one a line beside compact ones, and laid out over several lines."""
    text = json.dumps(forms.general(A, B))
    assert run(jwks, text).exit_code == 0
    mixed = "\n".join([tokens.token(), text, json.dumps(forms.flattened())])
    found = run(jwks, "-", stdin=mixed)
    assert (found.exit_code, found.stdout.count(": verified alg=ES256")) == (0, 3)
    laid_out = tmp_path / "token.json"
    laid_out.write_text(json.dumps(forms.general(A, B), indent=2))
    assert run(jwks, laid_out).exit_code == 0
    assert run(jwks, json.dumps(forms.general(A, forms.spoiled(B)))).exit_code == 1


def test_policies(jwks: Path) -> None:
    """--require and --signer say which signatures must be good."""
    token = json.dumps(forms.general(A, forms.spoiled(B)))
    for words, due in (
        (("--require", "any"), 0),
        (("--require", "1"), 0),
        (("--require", "2"), 1),
        (("--require", "all"), 1),
        (("--signer", "k1-es256"), 0),
        (("--signer", "k2-es256"), 1),
        (("--require", "0"), 2),
        (("--require", "most"), 2),
        (("--require", "any", "--signer", "k1-es256"), 2),
        (("--require", "any", "--issuer", "https://a"), 2),
    ):
        assert run(jwks, token, *words).exit_code == due, words
    row = json.loads(run(jwks, token, "--require", "any", "--json").stdout)
    assert [one["verdict"] for one in row["signatures"]] == ["verified", "refused"]
    assert "signature 1 refused signature_invalid" in run(jwks, token, "--require", "any").stdout


def test_detached(jwks: Path, tmp_path: Path) -> None:
    """--detached verifies one token against a file; a changed file is refused, a missing one is usage."""
    payload = tmp_path / "payload.bin"
    payload.write_bytes(bytes(range(256)))
    signer = LocalSigner(tokens.key("ES256"), "ES256")
    token = sign_compact(payload.read_bytes(), signer, detached=True)
    unencoded = sign_compact(payload.read_bytes(), signer, detached=True, b64=False)
    assert run(jwks, token, "--detached", payload).exit_code == 0
    assert run(jwks, unencoded, "--detached", payload).exit_code == 1
    assert run(jwks, unencoded, "--detached", payload, "--crit", "b64").exit_code == 0
    assert run(jwks, token, "--detached", tmp_path / "absent").exit_code == 2
    assert run(jwks, "-", "--detached", payload, stdin=f"{token}\n{token}\n").exit_code == 2
    payload.write_bytes(b"other")
    assert run(jwks, token, "--detached", payload).exit_code == 1


def test_S7_keys_that_others_may_write_are_refused(jwks: Path) -> None:
    """``--jwks`` takes no file that anybody may write to: its keys decide which tokens are good."""
    assert run(jwks, tokens.token()).exit_code == 0
    jwks.chmod(0o666)
    found = run(jwks, tokens.token())
    assert found.exit_code == 2
    assert "chmod go-w" in found.stderr
