"""Hostile values through every command and page that prints foreign text: none reaches a medium (S26)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from broken_world import AUD, BANK, NOW, b64, bank_keys, claims, dumps, header, key, token

from rapidjws.diagnose import diagnose
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.middleware import answer_for, trusted_headers

pytest.importorskip("typer", reason="the extra `cli` is not installed")

from typer.testing import CliRunner

from rapidjws.cli.app import app

CANARIES = {
    "escape": "k\x1b]0;owned\x07\x1b[2J",
    "c1": "k\x9b2J",
    "newline": "k\nFORGED line: accepted",
    "return": "k\rFORGED",
    "bidi": "k\u202eFORGED\u2066",
    "invisible": "k\u200b\u2060x",
    "html": "k<script>alert(1)</script><img src=x onerror=alert(1)>",
    "markdown": "k](https://evil.example) | [x](https://evil.example) `c` ![i](https://evil.example/i)",
    "shell": "k';touch owned;$(touch owned)`touch owned`\"",
    "rich": "k[bold red]x[/bold red][link=https://evil.example]y[/link][/]",
    "huge": "k" * 200,
}
TOGETHER = {
    "terminal": "k\x1b]0;o\x07\x1b[2J\x9b2J\u202eF\u2066\u200b\u2060\rFORGED\nFORGED line: accepted",
    "markup": "k[red]x[/]<img src=x onerror=y>](https://evil.example) | `c`';touch owned;$(touch owned)\"",
    "huge": CANARIES["huge"],
}
"""Those of one medium in one value, for the tests that run a hundred commands for each."""
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff]")
NAMED = ("--issuer", BANK, "--audience", AUD, "--now", str(NOW))


def hold(output: str, name: str) -> None:
    """Fail where an output holds what a terminal obeys, a forged line, or markup that was obeyed."""
    assert not FORBIDDEN.search(output), (name, FORBIDDEN.search(output), output[:300])
    assert not any(line.startswith("FORGED") for line in output.splitlines()), (name, output)
    assert "Traceback" not in output
    if name == "huge":
        assert len(output) < 60_000


def run(name: str, *arguments: str, stdin: str | None = None) -> str:
    """Run a command, hold what it printed, and return it."""
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), (arguments, result.exception)
    hold(result.output, name)
    return result.output


def es256(**changes: Any) -> dict[str, Any]:
    """Return the bank's published ES256 key with changes."""
    return {**key("ES256").public().as_dict(), **changes}


@pytest.fixture(params=CANARIES)
def canary(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Give a hostile value with its name."""
    return request.param, CANARIES[request.param]


@pytest.fixture(
    params=[*TOGETHER, *(pytest.param(name, marks=pytest.mark.long) for name in CANARIES if name != "huge")]
)
def canaries(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Give the hostile values of a medium with its name; one by one in `make test-long`."""
    return request.param, {**CANARIES, **TOGETHER}[request.param]


def hostile_tokens(text: str) -> dict[str, str]:
    """Return tokens that carry a hostile value wherever a stranger can put one."""
    return {
        "kid": token(head=header("ES256", text)),
        "alg": token(head={"alg": text, "kid": "bank-es256-2026"}),
        "typ": token(head=header("ES256", typ=text)),
        "crit": token(head=header("ES256", crit=[text], **{text: 1})),
        "member": token(head={**header("ES256"), text: text}),
        "x5t": token(head=header("ES256", None, x5t=text)),
        "iss": token(payload=claims(iss=text)),
        "aud": token(payload=claims(aud=[text])),
        "sub": token(payload=claims(sub={text: text})),
        "claim": token(payload={**claims(), text: text, "exp": text}),
        "payload": token(payload=text.encode()),
        "text": text,
        "around": f"{text} {token()} {text}",
        "part": f"{token()[:40]}{text}{token()[40:]}",
    }


def test_S26_commands_that_read_tokens(canaries: tuple[str, str], tmp_path: Path) -> None:
    """diagnose, decode, diff, verify and openssl, in every format, for a value in every place of a token."""
    name, text = canaries
    (tmp_path / "jwks").write_text(json.dumps({"keys": [es256()]}), "utf-8")
    (tmp_path / "body").write_text(text, "utf-8", newline="")
    jwks, body, file = str(tmp_path / "jwks"), str(tmp_path / "body"), tmp_path / "token"
    for made in hostile_tokens(text).values():
        file.write_text(made, "utf-8", newline="")
        run(name, "diagnose", str(file), "--jwks", jwks, *NAMED)
        run(name, "decode", str(file))
        run(name, "diff", str(file), body)
        run(name, "verify", str(file), "--jwks", jwks, "--alg", "ES256")
    for which in ("kid", "iss", "aud", "claim"):
        file.write_text(hostile_tokens(text)[which], "utf-8", newline="")
        run(name, "diagnose", str(file), "--jwks", jwks, *NAMED, "-f", "json")
        run(name, "diagnose", str(file), "--jwks", jwks, *NAMED, "-f", "markdown", "--show-token")
        run(name, "decode", str(file), "--json")
        run(name, "verify", str(file), "--jwks", jwks, "--alg", "ES256", "--json")
        run(name, "openssl", str(file), "--jwks", jwks, "-o", str(tmp_path / "bundle"))
    script = tmp_path / "bundle" / "verify.sh"
    assert not script.is_file() or "owned" not in script.read_text("utf-8")


def test_S26_commands_that_read_keys(canaries: tuple[str, str], tmp_path: Path) -> None:
    """jwks lint, diagnose key, verify and diagnose, for a value in every place of a JWK Set."""
    name, text = canaries
    path = tmp_path / "jwks"
    for member in ("kid", "alg", "use", "kty", "crv", "x", text):
        members = {member: text}
        path.write_text(json.dumps({"keys": [es256(**members)]}), "utf-8")
        run(name, "jwks", "lint", str(path))
        run(name, "jwks", "lint", str(path), "--json")
        run(name, "diagnose", "key", "--kid", text, "--jwks", str(path), "--fresh", str(path))
        run(name, "diagnose", "key", "--kid", "k", "--jwks", str(path), "-f", "json")
        run(name, "diagnose", token(), "--jwks", str(path), *NAMED)
        run(name, "verify", token(), "--jwks", str(path), "--alg", "ES256")
    path.write_text(text, "utf-8", newline="")
    run(name, "jwks", "lint", str(path))
    run(name, "diagnose", token(), "--jwks", str(path), *NAMED)
    absent = str(tmp_path / f"absent {text[:40]}".replace("/", "_"))
    run(name, "verify", token(), "--jwks", absent, "--alg", "ES256")


def test_S26_contract_report(canary: tuple[str, str], tmp_path: Path) -> None:
    """contract check prints and writes a partner's values harmlessly: terminal, Markdown, HTML and JSON."""
    name, text = canary
    folder = str(tmp_path / "acme")
    run(name, "contract", "init", folder)
    run(name, "contract", "send", folder)
    theirs = tmp_path / "acme" / "theirs"
    samples = [
        {"name": text, "token": token(), "expect": "accepted"},
        {"name": "kid", "token": token(head=header("ES256", text)), "expect": "accepted"},
        {"name": "iss", "token": token(payload=claims(iss=text)), "expect": "accepted"},
        {"name": "expect", "token": text, "expect": text},
        text,
    ]
    (theirs / "samples.json").write_text(json.dumps(samples), "utf-8")
    (theirs / "verdicts.json").write_text(json.dumps({"valid": text, text: "accepted"}), "utf-8")
    (theirs / "jwks.json").write_text(json.dumps({"keys": [es256(kid=text), es256(alg=text)]}), "utf-8")
    run(name, "contract", "check", folder)
    for file in ("report.md", "report.html", "report.json"):
        hold((tmp_path / "acme" / file).read_text("utf-8"), name)
    page = (tmp_path / "acme" / "report.html").read_text("utf-8")
    assert not re.search(r"<(?:script|img|a)\b", page)
    written = (tmp_path / "acme" / "report.md").read_text("utf-8")
    assert "](http" not in written.replace("\\]", "")
    assert "://evil" not in written


def test_S26_markdown_report(canary: tuple[str, str]) -> None:
    """A diagnosis in Markdown has no link, image, HTML or table cell of a stranger."""
    name, text = canary
    engine = Engine(Issuer(BANK, keys=JWKSet(bank_keys()), algorithms=["ES256"], audience=AUD))
    for made in hostile_tokens(text).values():
        written = diagnose(made, engine, now=NOW, show_token=True).to_markdown()
        hold(written, name)
        prose = re.sub(r"`[^`\n]*`", "", written)
        plain = re.sub(r"\\.", "", prose)
        assert not re.search(r"\]\(|<script|<img|://evil", plain), written
        rows = [line for line in plain.splitlines() if line.startswith("|")]
        assert all(line.count("|") == 6 for line in rows), rows


def test_S26_keys_and_rollout(canary: tuple[str, str], tmp_path: Path) -> None:
    """The keys' status and the rollout's history, report and page print foreign values harmlessly."""
    name, text = canary
    kid = text[:100]
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [es256(kid=kid)]}), "utf-8")
    config = {
        "issuers": [{"iss": BANK, "jwks_file": "jwks.json", "algorithms": ["ES256"], "audience": [AUD]}],
        "partners": [{"name": "acme", "issuers": [BANK]}],
        "rollout": {"state": "state"},
    }
    (tmp_path / "state").mkdir(mode=0o700)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), "utf-8")
    run(name, "keys", "status", "--config", str(path), "--wait", "5")
    run(name, "keys", "status", "--config", str(path), "--wait", "5", "--json")
    reason = ("--why", text[:150], "--by", text[:60])
    run(name, "rollout", "promote", "--config", str(path), "--to", "warning", *reason)
    run(name, "rollout", "history", "--config", str(path))
    run(name, "rollout", "history", "--config", str(path), "--json")
    run(name, "rollout", "promote", "--config", str(path), "--to", text, "--partner", text, "--route", text)
    run(name, "rollout", "report", "--config", str(path), "--html", str(tmp_path / "page.html"))
    run(name, "rollout", "report", "--config", str(path))
    hold((tmp_path / "page.html").read_text("utf-8"), name)


def test_S26_commands_that_make_keys_and_tokens(canaries: tuple[str, str], tmp_path: Path) -> None:
    """keygen, jwk and sign, for a value in every option and in the files that they read."""
    name, text = canaries
    private = tmp_path / "private.json"
    run(name, "keygen", "ES256", "-o", str(private), "--kid", text)
    run(name, "keygen", text, "-o", str(tmp_path / "other.json"))
    run(name, "keygen", "EdDSA", "--crv", text, "-o", str(tmp_path / "other.json"))
    made = json.loads(private.read_text("utf-8"))
    assert made["kid"] == text
    run(name, "jwk", str(private))
    run(name, "jwk", str(private), "--kid", text)
    run(name, "jwk", str(private), "--alg", text, "--thumbprint")
    for member in ("alg", "use", "kty", "crv", "x", "key_ops", text):
        private.write_text(json.dumps({**made, member: text}), "utf-8")
        run(name, "jwk", str(private))
        run(name, "sign", "-", "--key", str(private), "--typ", text, stdin="payload")
    private.write_text(json.dumps(made), "utf-8")
    for form in ("compact", "flattened", "general"):
        run(name, "sign", "-", "--key", str(private), "--form", form, "--typ", text, stdin=text)
    run(name, "sign", "-", "--key", str(private), "--issuer", text, "--audience", text, stdin="{}")
    run(name, "sign", "-", "--key", str(private), "--issuer", text, stdin=text)
    run(name, "sign", "-", "--key", str(private), "--alg", text, stdin="x")
    private.write_text(text, "utf-8", newline="")
    run(name, "jwk", str(private))
    run(name, "sign", "-", "--key", str(private), stdin="x")


def test_S26_serve_config_and_notify(canaries: tuple[str, str], tmp_path: Path) -> None:
    """serve and config refuse hostile settings harmlessly; a notice is shown and mailed as plain text."""
    name, text = canaries
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [es256()]}), "utf-8")
    (tmp_path / "state").mkdir(mode=0o700)
    issuer = {"iss": BANK, "jwks_file": "jwks.json", "algorithms": ["ES256"], "audience": [AUD]}
    good: dict[str, Any] = {
        "issuers": [issuer],
        "partners": [{"name": "acme", "issuers": [BANK], "contact": "ann@acme.example"}],
        "rollout": {"state": "state"},
        "notices": {"host": "mail.example", "sender": "gateway@bank.example"},
    }
    path = tmp_path / "config.json"
    changes: list[dict[str, Any]] = [
        {text: {}},
        {"issuers": [{**issuer, text: 1}]},
        {"issuers": [{**issuer, "iss": text, "algorithms": [text]}]},
        {"issuers": [{**issuer, "jwks_file": text}]},
        {"partners": [{"name": text, "issuers": [text]}]},
        {"partners": [{"name": "acme", "contact": text}]},
        {"rollout": {"state": "state", "phase": text}},
        {"server": {"listen": text, "realm": text, "partner_header": text}},
        {"notices": {**good["notices"], "host": text, "sender": text}},
    ]
    for change in changes:
        path.write_text(json.dumps({**good, **change}), "utf-8")
        run(name, "config", "check", str(path))
        run(name, "config", "show", str(path))
        run(name, "rollout", "notify", "--config", str(path))
        if (name != "huge" and text in change) or "server" in change:
            run(name, "serve", "--config", str(path))
    path.write_text(json.dumps(good), "utf-8")
    run(name, "rollout", "promote", "--config", str(path), "--to", "warning", "--by", text, "--why", text)
    run(name, "rollout", "notify", "--config", str(path), "--ready-too")
    run(name, "rollout", "notify", "--config", str(path), "--ready-too", "--json")
    run(name, "rollout", "notify", "--config", str(path), "--partner", text)


def test_S26_logs_metrics_and_headers(canary: tuple[str, str]) -> None:
    """What a request says reaches the log as JSON in ASCII, and headers as plain ASCII or not at all."""
    name, text = canary
    engine = Engine(Issuer(BANK, keys=JWKSet(bank_keys()), algorithms=["ES256"], audience=AUD))
    tokens = [*hostile_tokens(text).values(), token(payload=claims(sub=text, scope=text))]
    for made in tokens:
        decision = engine.decide(made, partner=text, route=text, now=NOW)
        line = json.dumps(decision.evidence)
        assert line.isascii()
        assert "\n" not in line
        answer = answer_for(decision)
        headers = [*trusted_headers(decision), *(answer.headers if answer else ())]
        for field, value in headers:
            assert value.isascii(), (name, field)
            assert value == "" or value.isprintable(), (name, field)
        assert answer is None or text not in answer.body.decode()


def test_S26_the_canaries_are_seen() -> None:
    """The check itself fails on each canary that a terminal obeys, and passes plain text."""
    for name in ("escape", "c1", "return", "bidi", "invisible"):
        with pytest.raises(AssertionError):
            hold(CANARIES[name], name)
    assert set(FORBIDDEN.findall(TOGETHER["terminal"])) >= set("\x1b\x07\x9b\u202e\u2066\u200b\u2060\r")
    with pytest.raises(AssertionError):
        hold(CANARIES["newline"], "newline")
    hold("plain text, Jürgen 李\n", "plain")
    assert b64(dumps({})) == "e30"
