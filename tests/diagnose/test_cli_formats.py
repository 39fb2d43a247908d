"""``rapidjws diagnose`` as a user meets it: whatever is pasted or piped is named with the next step."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from broken_world import AUD, BANK, NOW, b64, bank_keys, claims, dumps, header, key, token

from rapidjws.diagnose.causes import CAUSES

pytest.importorskip("typer", reason="the extra `cli` is not installed")

from typer.testing import CliRunner

from rapidjws.cli.app import app

GOOD = token()
FIRST, SECOND, THIRD = GOOD.split(".")
LOGOUT = {"http://schemas.openid.net/event/backchannel-logout": {}}
DPOP = {"htm": "GET", "htu": "https://api.example/", "jti": "1", "iat": NOW}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
DISCOVERY = {"issuer": BANK, "jwks_uri": f"{BANK}/keys", "token_endpoint": f"{BANK}/token"}

SURROUNDED = {
    "bearer_prefix": (f"Bearer {GOOD}", f"Authorization: Bearer {GOOD}\r\n", f"authorization:bearer {GOOD}"),
    "quoted": (f'"{GOOD}"', f"'{GOOD}'\n"),
    "line_breaks": (f"{GOOD[:40]}\n{GOOD[40:90]}\r\n{GOOD[90:]}",),
    "name_prefix": (f"session={GOOD}", f"Cookie: id={GOOD}"),
    "trailing_separator": (f"{GOOD},", f"{GOOD};"),
    "text_around": (
        f"curl -H 'Authorization: Bearer {GOOD}' https://api.example",
        f"https://app.example/cb#id_token={GOOD}&state=1",
        f"https://app.example/cb?access_token={GOOD}",
        f"2027-01-15 08:00:00 DEBUG token={GOOD} user=7",
    ),
    "encoded_token": (base64.b64encode(GOOD.encode()).decode(), base64.encodebytes(GOOD.encode()).decode()),
    "sd_jwt": (f"{GOOD}~WyJhIiwgIm4iLCAidiJd~", f"{GOOD}~WyJhIiwgIm4iLCAidiJd~{GOOD}"),
    "json_document": (json.dumps({"access_token": GOOD, "token_type": "Bearer"}, indent=2),),
    "json_serialization": (json.dumps({"payload": SECOND, "protected": FIRST, "signature": THIRD}),),
}
"""The token is good inside: the words say so, and the cause is proven."""

OTHER = {
    "dpop_proof": (token(head={"alg": "ES256", "typ": "dpop+jwt"}, payload=DPOP),),
    "paseto": ("v4.public." + "A" * 90, "v2.local." + "A" * 90),
    "encrypted_token": (
        f"{b64(dumps({'alg': 'RSA-OAEP', 'enc': 'A256GCM'}))}.aaaa.bbbb.cccc.dddd",
        json.dumps({"protected": "e30", "ciphertext": "abc", "iv": "x", "tag": "y"}),
    ),
    "dsse_envelope": (json.dumps({"payloadType": "x", "payload": "", "signatures": [{"sig": "a"}]}),),
    "http_message_signature": (f"sig1=:{'A' * 86}==:", 'sig1=("@method" "@authority");created=1;keyid="k"'),
    "webhook_mac": ("t=1614556800,v1=" + "ab" * 32, "sha256=" + "ab" * 32),
    "logout_token": (token(head=header("ES256", typ="logout+jwt"), payload=claims(exp=None, events=LOGOUT)),),
    "security_event": (
        token(head=header("ES256", typ="secevent+jwt"), payload=claims(exp=None, events={"x": {}})),
    ),
    "provider_token": ("gho_16C7e42F292c6912E7710c838347Ae178B4a", "ya29.a0AfH6SMBx-abcdefghijklmnop"),
    "opaque_token": ("2YotnFZFEjr1zCsicMWpAA", "3f2c7d10-0b6b-4e4f-8a51-6f0c9d7f3c11"),
    "key_as_token": (
        "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMq user@host",
        json.dumps(key("ES256").public().as_dict()),
        json.dumps({"spiffe_sequence": 1, "keys": []}),
        json.dumps({"a1": CERTIFICATE}),
    ),
    "json_document": (json.dumps(DISCOVERY), json.dumps({"error": "invalid_request"})),
    "html_page": ("<!DOCTYPE html><html><body>Sign in</body></html>", "<html>\n<head></head></html>"),
    "saml_assertion": ("<saml:Assertion/>", base64.b64encode(b"<?xml version='1.0'?><a/>").decode()),
    "basic_credentials": ("Basic dXNlcjpwYXNz",),
    "id_token": (token(payload=claims(nonce="x", at_hash="y", aud="client-7")),),
    "detached_without_body": (f"{FIRST}..{THIRD}",),
    "empty": ("", "\n"),
}

SETS: dict[str, tuple[Any, ...]] = {
    "jwks_single_jwk": (key("ES256").public().as_dict(),),
    "jwks_pem": ("-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n", CERTIFICATE),
    "jwks_certificate_map": ({"a1": CERTIFICATE},),
    "jwks_discovery_document": (DISCOVERY,),
    "jwks_bare_array": ([key("ES256").public().as_dict()],),
    "jwks_is_token": (GOOD,),
    "jwks_not_json": ("<html>502</html>", "", {"error": "not_found"}, {"keys": {}}),
    "spiffe_bundle": (
        {"spiffe_sequence": 1, "keys": [{**key("ES256", bound=False).public().as_dict(), "use": "jwt-svid"}]},
    ),
    "key_left_out": ({"keys": [key("ES256").as_dict(private=True)]},),
}


@pytest.fixture(scope="module")
def jwks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file of the bank's keys."""
    file = tmp_path_factory.mktemp("keys") / "jwks.json"
    file.write_text(json.dumps({"keys": [jwk.as_dict() for jwk in bank_keys()]}))
    return file


def diagnosed(source: str, jwks: Path, stdin: str | None = None) -> tuple[int, dict[str, Any]]:
    """Run the command and return its exit code and report."""
    named = ("--issuer", BANK, "--audience", AUD, "--now", str(NOW))
    result = CliRunner().invoke(
        app, ["diagnose", source, "--jwks", str(jwks), *named, "-f", "json"], input=stdin
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, json.loads(result.output)


def pairs(table: dict[str, tuple[Any, ...]]) -> list[Any]:
    """Return each cause with each of its texts."""
    return [
        pytest.param(cause, text, id=f"{cause}-{number}")
        for cause, texts in table.items()
        for number, text in enumerate(texts)
    ]


def hold(report: dict[str, Any], cause: str) -> None:
    """Hold the cause, its next step, and that nobody else is blamed."""
    found = report["probable_cause"]
    assert found["id"] == cause, (found, report["message"])
    assert found["fix"] == CAUSES[cause].fix
    blamed = {one["id"] for one in (found, *report["other_causes"]) if one["escalate"] == "security"}
    assert not blamed


@pytest.mark.parametrize(("cause", "text"), pairs(SURROUNDED))
def test_B9_good_token_in_something_else(cause: str, text: str, jwks: Path, tmp_path: Path) -> None:
    """By stdin and by file: what surrounds it is proven to be the only fault."""
    file = tmp_path / "token.txt"
    file.write_text(text)
    for source, stdin in (("-", text), (str(file), None)):
        code, report = diagnosed(source, jwks, stdin)
        assert code == 1
        hold(report, cause)
        assert report["probable_cause"]["certainty"] == "proven"
        assert "without the faults of shape the token is accepted" in report["probable_cause"]["evidence"]


@pytest.mark.parametrize(("cause", "text"), pairs(OTHER))
def test_B9_other_formats_are_named(cause: str, text: str, jwks: Path) -> None:
    """By stdin, and as an argument where a shell would pass it."""
    code, report = diagnosed("-", jwks, text)
    assert code == 1
    hold(report, cause)
    if text.strip() and not text.startswith("-"):
        assert diagnosed(text, jwks)[1]["probable_cause"]["id"] == cause


@pytest.mark.parametrize(("cause", "document"), pairs(SETS))
def test_B9_what_is_no_usable_set_is_named(cause: str, document: Any, tmp_path: Path) -> None:
    """The operator is reported what stands for the set; the token is not blamed."""
    file = tmp_path / "set"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    code, report = diagnosed("-", file, GOOD)
    assert code == 1
    hold(report, cause)


def test_B9_line_break_at_the_end_is_no_fault(jwks: Path) -> None:
    """What every editor and echo adds is taken off."""
    for text in (GOOD, f"{GOOD}\n", f"{GOOD}\r\n\r\n"):
        assert diagnosed("-", jwks, text)[0] == 0
