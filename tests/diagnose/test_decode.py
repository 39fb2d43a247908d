"""``rapidjws decode``: what a token says, and the next step; its first words: nothing is verified."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest
from broken_world import b64, claims, dumps, header, token

from rapidjws.diagnose.decode import NOT_VERIFIED, decode, spelled

pytest.importorskip("typer", reason="the extra `cli` is not installed")

from typer.testing import CliRunner

from rapidjws.cli.app import app

NOW = 1_800_000_000
GOOD = token()
FIRST, SECOND, THIRD = GOOD.split(".")
RAW_HEAD = b64(dumps({"alg": "ES256", "b64": False, "crit": ["b64"]}))


def run(text: str | bytes, *more: str) -> tuple[int, str]:
    """Run the command over stdin; return its exit code and what it printed, in one line."""
    result = CliRunner().invoke(app, ["decode", "-", "--now", str(NOW), *more], input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


SERIALIZATIONS = {
    "compact": GOOD,
    "bearer": f"Authorization: Bearer {GOOD}\n",
    "quoted": f'"{GOOD}"\r\n',
    "wrapped": f"{GOOD[:64]}\n{GOOD[64:]}",
    "detached": f"{FIRST}..{THIRD}",
    "unencoded": f"{RAW_HEAD}.hello.{THIRD}",
    "flattened": json.dumps({"payload": SECOND, "protected": FIRST, "signature": THIRD}),
    "general": json.dumps({"payload": SECOND, "signatures": [{"protected": FIRST, "signature": THIRD}] * 2}),
    "unprotected": json.dumps({"payload": SECOND, "header": header("ES256"), "signature": THIRD}),
    "utf-16": GOOD.encode("utf-16"),
}


@pytest.mark.parametrize("name", SERIALIZATIONS)
def test_every_serialization_is_shown_and_called_unverified_first(name: str) -> None:
    """The first words are that nothing is verified; header members follow; the exit code is 0."""
    code, output = run(SERIALIZATIONS[name])
    assert code == 0
    assert output.startswith(NOT_VERIFIED)
    assert "alg ES256" in output
    assert ("claims, not verified" in output) == (name not in ("detached", "unencoded"))
    assert "the text starts with" not in output


def test_times_are_in_words() -> None:
    """Each date is a moment in UTC and a distance from now."""
    _, output = run(token(payload=claims(iat=NOW - 7200, exp=NOW + 3 * 86_400)))
    assert "2027-01-15 06:00:00 UTC (2 hours ago)" in output
    assert "2027-01-18 08:00:00 UTC (in 3 days)" in output


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (NOW, "2027-01-15 08:00:00 UTC (0 seconds ago)"),
        (0, "1970-01-01 00:00:00 UTC (57 years ago)"),
        (253_402_300_799, "9999-12-31 23:59:59 UTC (in 7978 years)"),
        (NOW * 1000, "no date: out of range; in milliseconds it would be 2027-01-15 08:00:00 UTC"),
        (NOW * 10**6, "no date: out of range; in microseconds it would be 2027-01-15 08:00:00 UTC"),
        (NOW * 10**9, "no date: out of range; in nanoseconds it would be 2027-01-15 08:00:00 UTC"),
        (10**400, "no date: out of range"),
        (1e300, "no date: out of range"),
        (-1, "no date: before 1970"),
        (-(10**400), "no date: before 1970"),
        (math.nan, "no date: not a finite number"),
        (math.inf, "no date: not a finite number"),
        (-math.inf, "no date: not a finite number"),
        (True, "no date: true"),
        (None, "no date: null"),
        ("2027-01-15", 'no date: "2027-01-15"'),
        ([1], "no date: [1]"),
    ],
    ids=repr,
)
def test_hostile_dates(value: Any, words: str) -> None:
    """Whatever stands for a date gives words, and no error."""
    assert spelled(value, NOW) == words


NO_JWS = {
    "jwe": (
        b64(dumps({"alg": "RSA-OAEP", "enc": "A256GCM"})) + ".aaaa.bbbb.cccc.dddd",
        "encrypted token (JWE)",
    ),
    "paseto": ("v4.public." + "A" * 90, "Use a PASETO library"),
    "provider": ("gho_16C7e42F292c6912E7710c838347Ae178B4a", "opaque token of a provider"),
    "opaque": ("2YotnFZFEjr1zCsicMWpAA", "introspect it (RFC 7662)"),
    "jwk": (json.dumps({"kty": "EC", "crv": "P-256"}), "This is a key"),
    "pem": ("-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n", "This is a key"),
    "dsse": (json.dumps({"payloadType": "x", "payload": "", "signatures": []}), "DSSE library"),
    "rfc 9421": ("sig1=:" + "A" * 86 + "==:", "RFC 9421 library"),
    "stripe": ("t=1614556800,v1=" + "ab" * 32, "with the endpoint's secret"),
    "response": (json.dumps({"token_type": "Bearer", "expires_in": 3600}), "access_token or id_token"),
    "saml": ("<saml:Assertion/>", "SAML library"),
    "basic": ("Basic dXNlcjpwYXNz", "Send 'Authorization: Bearer TOKEN'"),
    "empty": ("", "There is no token."),
    "two parts": (f"{FIRST}.{SECOND}.{THIRD}.x", "not three parts"),
}


@pytest.mark.parametrize("name", NO_JWS)
def test_what_is_no_jws_is_named_with_the_next_step(name: str) -> None:
    """The exit code is 1, and the words say what it is and what to do."""
    text, words = NO_JWS[name]
    code, output = run(text)
    assert code == 1
    assert output.startswith(NOT_VERIFIED)
    assert words in output
    assert "next: " in output
    assert "fault: " in output


INSIDE = {
    "sd-jwt": (f"{GOOD}~WyJhIiwgIm4iLCAidiJd~", "SD-JWT library"),
    "base64": (base64.b64encode(GOOD.encode()).decode(), "Decode it once"),
    "dpop": (token(head=header("ES256", typ="dpop+jwt")), "the proof in the header DPoP"),
    "logout": (token(head=header("ES256", typ="logout+jwt")), "back-channel logout address only"),
    "event": (token(head=header("ES256", typ="secevent+jwt")), "RFC 8935"),
    "none": (f"{b64(dumps({'alg': 'none'}))}.{SECOND}.", "Never accept it"),
    "detached": (f"{FIRST}..{THIRD}", "Give the octets that were signed"),
}


@pytest.mark.parametrize("name", INSIDE)
def test_what_is_a_jws_for_something_else_is_named(name: str) -> None:
    """Header and claims are shown, with what to do."""
    text, words = INSIDE[name]
    code, output = run(text)
    assert code == 0
    assert words in output


def test_encrypted_header_is_shown() -> None:
    """The protected header of a JWE is not encrypted: it is shown, and nothing else."""
    _, output = run("Bearer " + b64(dumps({"alg": "RSA-OAEP", "enc": "A256GCM"})) + ".aa.bb.cc.dd")
    assert "enc A256GCM" in output
    assert "claims" not in output


def test_every_signature_of_a_general_serialization_is_shown() -> None:
    """Two signatures, two headers."""
    other = b64(dumps({"alg": "RS256", "kid": "second"}))
    signatures = [{"protected": FIRST, "signature": THIRD}, {"protected": other, "signature": THIRD}]
    found = decode(json.dumps({"payload": SECOND, "signatures": signatures}))
    assert found.other_headers == ({"alg": "RS256", "kid": "second"},)
    _, output = run(json.dumps({"payload": SECOND, "signatures": signatures}))
    assert "2 signatures" in output
    assert "header of signature 2, not verified alg RS256 kid second" in output


HOSTILE = {
    "nan": token(payload=b'{"exp":NaN,"iat":Infinity,"x":[{"y":-Infinity}]}'),
    "digits": token(payload=b'{"exp":' + b"9" * 5000 + b"}"),
    "deep": token(payload=b"[" * 20_000 + b"]" * 20_000),
    "deep and not strict": token(payload=b'{"a":NaN,"b":' + b"[" * 900 + b"]" * 900 + b"}"),
    "controls": token(payload=dumps({"sub": "a\x1b[31m\u202e\x07", "n\x1b": "v\n\nverified"})),
    "twice": token(payload=b'{"a":1,"a":2}'),
    "surrogate": token(payload=b'{"sub":"\\ud800"}'),
    "binary": token(payload=bytes(range(256))),
    "many": token(payload=dumps({f"n{number}": number for number in range(3000)})),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_payloads(name: str) -> None:
    """No error, no character that a terminal obeys, and JSON that any reader takes."""
    code, output = run(HOSTILE[name])
    assert code == 0
    assert output.startswith(NOT_VERIFIED)
    assert not set(output) & set("\x1b\x07\u202e")
    _, text = run(HOSTILE[name], "--json")
    value = json.loads(text, parse_constant=lambda constant: pytest.fail(constant))
    assert next(iter(value)) == "verified"
    assert value["verified"] is False


def test_file_and_argument(tmp_path: Path) -> None:
    """A file's name, or the token itself."""
    file = tmp_path / "token.jwt"
    file.write_text(GOOD + "\n")
    for source in (str(file), GOOD):
        result = CliRunner().invoke(app, ["decode", source])
        assert result.exit_code == 0
        assert "user-1" in result.output


@pytest.mark.parametrize("text", ["hello", f"{b64(dumps({'kid': 'a'}))}.{SECOND}.{THIRD}"])
def test_a_missing_alg_is_not_unsecured(text: str) -> None:
    """Only ``alg`` none is unsecured: an opaque text, and a header without ``alg``, say nothing of it."""
    assert not [step for step in decode(text).next_steps if "unsecured" in step]


@pytest.mark.parametrize("signature", ["", THIRD])
def test_alg_none_is_unsecured(signature: str) -> None:
    """Whatever its case, and with a signature or without, ``alg`` none is reported as what it is."""
    unsecured = f"{b64(dumps({'alg': 'nOnE'}))}.{SECOND}.{signature}"
    assert [step for step in decode(unsecured).next_steps if "unsecured" in step]


def test_a_token_with_one_dot_is_no_jws() -> None:
    """Header and payload alone are shown, and exit 1: a script must not take them for a token."""
    code, output = run(f"{FIRST}.{SECOND}")
    assert code == 1
    assert "The signature part is missing" in output
    assert "alg" in output
    assert run(f"{FIRST}.{SECOND}.")[0] == 0, "an empty signature is a part"
    code, output = run("aaaa.bbbb")
    assert code == 1
    assert "no dots" not in output
