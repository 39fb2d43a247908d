"""The commands around keys: keygen, sign, jwk, jwks lint."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rapidjws import JWK, Verifier
from rapidjws.cli.app import app
from rapidjws.testing import make_key


def run(*words: object, stdin: str = "") -> Result:
    """Run one command line."""
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """Return the file of a fresh private ES256 key with the kid ``one``."""
    made = run("keygen", "ES256", "--kid", "one", "--out", tmp_path / "key.jwk")
    assert made.exit_code == 0
    return tmp_path / "key.jwk"


def test_keygen_keeps_the_secret_to_its_owner(private: Path) -> None:
    """The private key goes to a file of mode 0600, the public half alone to the terminal."""
    secret = json.loads(private.read_text())["d"]
    again = run("keygen", "ES256", "--out", private.with_name("second.jwk"))
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert "d" not in json.loads(again.stdout)
    assert secret not in again.output


def test_keygen_does_not_overwrite(private: Path) -> None:
    """An existing file is kept unless --force is given."""
    before = private.read_text()
    assert run("keygen", "ES256", "--out", private).exit_code == 2
    assert private.read_text() == before
    assert run("keygen", "ES256", "--out", private, "--force").exit_code == 0
    assert private.read_text() != before


def test_lint_has_nothing_to_say_of_a_key_of_keygen(private: Path, tmp_path: Path) -> None:
    """The public half, as it is printed and as it is read from the file, can be published as it is."""
    printed = json.loads(run("keygen", "ES256", "--out", tmp_path / "second.jwk").stdout)
    read = JWK.from_json(private.read_bytes(), private=True).public().as_dict()
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [printed, read]}))
    found = run("jwks", "lint", tmp_path / "jwks.json", "--json")
    assert (found.exit_code, found.stdout) == (0, "")


def test_keygen_of_a_secret_prints_nothing(tmp_path: Path) -> None:
    """A shared secret has no public half to print."""
    made = run("keygen", "HS256", "--out", tmp_path / "secret.jwk")
    assert made.exit_code == 0
    assert made.output == ""


def test_keygen_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    """Unknown algorithms and curves are wrong usage."""
    assert run("keygen", "none", "--out", tmp_path / "x").exit_code == 2
    assert run("keygen", "EdDSA", "--crv", "X25519", "--out", tmp_path / "x").exit_code == 2


def test_sign_then_verify(private: Path, tmp_path: Path) -> None:
    """What sign prints verifies with the public half, in every serialization."""
    (tmp_path / "payload").write_bytes(b"hello")
    key = JWK.from_json(private.read_bytes(), private=True).public()
    token = run("sign", tmp_path / "payload", "--key", private).stdout.strip()
    assert Verifier(key, algorithms=["ES256"]).verify(token).payload == b"hello"
    flattened = json.loads(run("sign", tmp_path / "payload", "--key", private, "--form", "flattened").stdout)
    assert set(flattened) == {"payload", "protected", "signature"}
    general = run("sign", tmp_path / "payload", "--key", private, "--key", private, "--form", "general")
    assert len(json.loads(general.stdout)["signatures"]) == 2
    assert run("sign", tmp_path / "payload", "--key", private, "--key", private).exit_code == 2


def test_sign_a_jwt(private: Path) -> None:
    """--issuer makes a JWT of the claims given, with iat, exp and jti."""
    made = run("sign", "-", "--key", private, "--issuer", "https://a.example", stdin='{"sub":"u"}')
    key = JWK.from_json(private.read_bytes(), private=True).public()
    claims = json.loads(Verifier(key, algorithms=["ES256"]).verify(made.stdout.strip()).payload)
    assert claims["exp"] - claims["iat"] == 300
    assert claims["sub"] == "u"
    assert run("sign", "-", "--key", private, "--issuer", "a", stdin="[]").exit_code == 2


def test_sign_needs_a_private_key(private: Path, tmp_path: Path) -> None:
    """A public key, or no key at all, is wrong usage."""
    (tmp_path / "public.jwk").write_text(run("jwk", private).stdout)
    assert run("sign", "-", "--key", tmp_path / "public.jwk", stdin="x").exit_code == 2
    assert run("sign", "-", "--key", tmp_path / "absent", stdin="x").exit_code == 2


def test_jwk_converts_there_and_back(private: Path, tmp_path: Path) -> None:
    """JWK to PEM or DER and back is the same key; the thumbprint is the same in every form."""
    thumbprint = run("jwk", private, "--thumbprint").stdout
    for form in ("pem", "der"):
        out = tmp_path / f"key.{form}"
        assert run("jwk", private, "--private", "--to", form, "--out", out).exit_code == 0
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        assert run("jwk", out, "--thumbprint").stdout == thumbprint
        assert "d" not in json.loads(run("jwk", out, "--kid", "thumbprint").stdout)


def test_jwk_keeps_secrets_off_the_terminal(private: Path, tmp_path: Path) -> None:
    """A private key or a secret is written to a file only."""
    assert run("jwk", private, "--private").exit_code == 2
    run("keygen", "HS256", "--out", tmp_path / "secret.jwk")
    assert run("jwk", tmp_path / "secret.jwk").exit_code == 2
    assert run("jwk", tmp_path / "secret.jwk", "--private").exit_code == 2


def lint(tmp_path: Path, *keys: object) -> tuple[int, dict[str, str]]:
    """Lint a set; return the exit code and code -> level."""
    (tmp_path / "set.json").write_text(json.dumps({"keys": keys}))
    made = run("jwks", "lint", tmp_path / "set.json", "--json")
    rows = [json.loads(line) for line in made.stdout.splitlines()]
    return made.exit_code, {row["code"]: row["level"] for row in rows}


def test_lint_finds_nothing_in_a_good_set(tmp_path: Path) -> None:
    """A named, bound signature key has nothing to mend."""
    good = {**make_key("ES256", kid="a").public().as_dict(), "use": "sig"}
    assert lint(tmp_path, good) == (0, {})


@pytest.mark.parametrize(
    ("change", "code", "level"),
    [
        ({"kid": None}, "missing_kid", "warning"),
        ({"alg": None}, "missing_alg", "warning"),
        ({"kty": "FUTURE"}, "key_unsupported", "warning"),
        ({"use": "enc"}, "key_use_mismatch", "warning"),
        ({"d": "AAAA"}, "key_private", "error"),
        ({"x": "AAAA"}, "key_malformed", "error"),
    ],
)
def test_lint_names_what_is_wrong(
    tmp_path: Path, change: dict[str, str | None], code: str, level: str
) -> None:
    """Each fault of a key is found under its code and level."""
    members = {**make_key("ES256", kid="a").public().as_dict(), "use": "sig", **change}
    changed = {name: value for name, value in members.items() if value is not None}
    exit_code, found = lint(
        tmp_path, changed, {**make_key("ES256", kid="b").public().as_dict(), "use": "sig"}
    )
    assert found.get(code) == level
    assert exit_code == (1 if level == "error" else 0)


def test_lint_names_what_is_wrong_with_the_set(tmp_path: Path) -> None:
    """Duplicate kids, small RSA keys, one key twice, and an empty set are found."""
    one = make_key("ES256", kid="a").public().as_dict()
    assert lint(tmp_path, one, make_key("ES256", kid="a").public().as_dict())[1]["duplicate_kid"] == "error"
    assert lint(tmp_path, one, make_key("ES384", kid="a").public().as_dict())[1]["shared_kid"] == "warning"
    assert lint(tmp_path, one, {**one, "kid": "b"})[1]["same_key_twice"] == "warning"
    assert lint(tmp_path, make_key("RS256", kid="r").public().as_dict())[1]["rsa_size"] == "note"
    assert lint(tmp_path)[0] == 1
    many = [make_key("ES256", kid=str(index)).public().as_dict() for index in range(11)]
    assert lint(tmp_path, *many)[1]["many_keys"] == "warning"
    (tmp_path / "no.json").write_text("[]")
    assert run("jwks", "lint", tmp_path / "no.json").exit_code == 1
    assert run("jwks", "lint", tmp_path / "absent.json").exit_code == 2
