"""Hostile values in the files that commands read: trails, logs, rules, attestations, batches (S26)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

pytest.importorskip("typer", reason="the extra `cli` is not installed")

from audit_trails import ORIGIN, signer, writer
from broken_world import AUD, BANK, key, token
from test_hostile_output import CANARIES, TOGETHER, es256, hold, hostile_tokens, run
from typer.testing import CliRunner

from rapidjws.audit import NoteKey
from rapidjws.audit.records import canonical, digest
from rapidjws.cli.app import app

ALL = [*TOGETHER, "html", "markdown", "bidi", "c1"]


@pytest.fixture(params=ALL)
def canary(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Give a hostile value with its name."""
    return request.param, {**CANARIES, **TOGETHER}[request.param]


def trail(folder: Path, text: str) -> str:
    """Write a trail with records that hold a foreign text everywhere; return the log's key."""
    made = writer(folder)
    row = {
        "engine": text,
        "kind": "decision",
        "time_us": 1,
        "issuer": text,
        "partner": text,
        "route": text,
        "code": text,
        "sub": text,
        "kid": text,
        "request": text,
        "outcome": text,
    }
    contents = [token().encode(), token().encode()]
    rows = [{**row, "token": digest(contents[0])}, {**row, text: text, "token": digest(contents[1])}]
    made.append([canonical(one) for one in rows], contents)
    made.close()
    return NoteKey(ORIGIN, signer().public, "EdDSA").text


def test_S26_audit_trails(canary: tuple[str, str], tmp_path: Path) -> None:
    """audit show, search, prove, export, verify, seal, restore and the witness's commands."""
    name, text = canary
    folder, archive = str(tmp_path / "trail"), str(tmp_path / "archive")
    named = ("--key", trail(tmp_path / "trail", text))
    run(name, "audit", "show", folder, *named, "--record", "1")
    found = run(name, "audit", "search", folder, *named)
    rows = [json.loads(line.partition("\t")[2]) for line in found.splitlines()]
    assert [row["issuer"] for row in rows] == [text, text]
    run(name, "audit", "search", folder, *named, "--issuer", text, "--partner", text, "--request", text)
    run(name, "audit", "prove", folder, *named, "--record", "0")
    run(name, "audit", "export", folder, *named, "--record", "0", "--out", str(tmp_path / "evidence"))
    page = tmp_path / "page.html"
    run(name, "audit", "verify", folder, *named, "--html", str(page))
    hold(page.read_text("utf-8"), name)
    assert not re.search(r"<(?:script|img|a)\b", page.read_text("utf-8"))
    run(name, "audit", "verify", folder, *named, "--json")
    run(name, "audit", "witness-request", folder, *named)
    run(name, "audit", "witness-check", folder, *named, "--witness", text)
    run(name, "audit", "witness-add", folder, *named, "--witness", text, stdin=text)
    run(name, "audit", "seal", folder, archive, *named)
    run(name, "audit", "restore", archive, str(tmp_path / "again"), *named)
    (tmp_path / "authz").mkdir()
    for one in ("old", "new"):
        (tmp_path / "authz" / f"{one}.json").write_text(json.dumps(ruled(text)), "utf-8")
    both = (str(tmp_path / "authz" / "old.json"), str(tmp_path / "authz" / "new.json"))
    run(name, "authz", "diff", *both, "--trail", folder, *named)


def ruled(text: str) -> dict[str, Any]:
    """Return a configuration with rules and examples that hold a foreign text."""
    claims = {"sub": text, text: text}
    return {
        "issuers": [
            {"iss": BANK, "jwks_url": "https://bank.example/jwks", "algorithms": ["ES256"], "audience": [AUD]}
        ],
        "server": {"method_header": "X-Forwarded-Method"},
        "authz": {
            "rules": [{"name": "plain", "routes": ["/a/{t}"], "claim_equals": {"sub": "path.t"}}],
            "examples": [
                {"name": text, "claims": claims, "path": "/a/b", "expect": "permit"},
                {"name": text, "claims": claims, "path": f"/{text}", "expect": "permit", "rule": text},
                {"claims": {"sub": "x"}, "path": "/a/b", "expect": "permit"},
            ],
        },
    }


def test_S26_rules(canary: tuple[str, str], tmp_path: Path) -> None:
    """authz test and diff: names, claims and paths of examples and of recorded requests."""
    name, text = canary
    one, other, asked = tmp_path / "one.json", tmp_path / "other.json", tmp_path / "asked.jsonl"
    one.write_text(json.dumps(ruled(text)), "utf-8")
    changed = ruled(text)
    changed["authz"]["rules"][0]["claim_equals"] = {"iss": "path.t"}
    other.write_text(json.dumps(changed), "utf-8")
    lines = [
        {
            "id": text,
            "claims": {"sub": text},
            "path": f"/a/{quote(text)}",
            "partner": text,
            "at": 1_800_000_000,
        },
        {"id": text, "claims": {"sub": text}, "path": text, "at": text},
        text,
    ]
    for number in range(3):
        asked.write_text("\n".join(map(json.dumps, lines[: number + 1])), "utf-8")
        for more in ((), ("--json",), ("--enforced",)):
            run(name, "authz", "diff", str(one), str(other), "--requests", str(asked), *more)
    for more in ((), ("--json",), ("--coverage",)):
        run(name, "authz", "test", str(one), *more)
    changed["authz"]["rules"][0]["name"] = text
    other.write_text(json.dumps(changed), "utf-8")
    run(name, "authz", "test", str(other))


def test_S26_lint(canary: tuple[str, str], tmp_path: Path) -> None:
    """lint as text, JSON and SARIF, whose places are addresses (RFC 3986) and whose texts are plain."""
    name, text = canary
    path = tmp_path / f"c {text[:60]}.json".replace("/", "_")
    issuer = {
        "iss": text,
        "jwks_url": "https://bank.example/jwks",
        "algorithms": ["ES256"],
        "audience": [AUD],
    }
    for change in ({}, {"typ": text}, {text: text}, {"required_claims": [text]}):
        path.write_text(json.dumps({"issuers": [{**issuer, **change}]}), "utf-8")
        run(name, "lint", "--config", str(path))
        run(name, "lint", "--config", str(path), "--format", "json")
        found = run(name, "lint", "--config", str(path), "--format", "sarif")
        assert "<script" not in json.dumps(re.findall(r'"uri": "([^"]*)"', found))


def test_S26_timeline_of_logs(canary: tuple[str, str], tmp_path: Path) -> None:
    """incident timeline as text, Markdown, JSON and SVG, of log lines that anybody may have written."""
    name, text = canary
    log = tmp_path / f"l {text[:60]}.log".replace("/", "_")
    row = {
        "event": "token_refused",
        "time": "2026-11-30T08:00:00Z",
        "code": text,
        "partner": text,
        "kid": text,
        "issuer": text,
        "detail": text,
        "worker": text,
        "reason": text,
        "path": text,
        text: text,
    }
    lines = [
        json.dumps({**row, "event": one}) for one in ("token_refused", "key_added", "alert_started", text)
    ]
    log.write_text("\n".join([*lines, text, "{" + text]), "utf-8")
    times = ("--since", "2026-11-30T07:00Z", "--until", "2026-11-30T09:00Z")
    plot = tmp_path / "plot.svg"
    run(name, "incident", "timeline", "--log", str(log), *times, "--plot", str(plot))
    run(name, "incident", "timeline", "--log", str(log), *times, "-f", "json")
    written = run(name, "incident", "timeline", "--log", str(log), *times, "-f", "markdown")
    prose = re.sub(r"\\.", "", re.sub(r"`[^`\n]*`", "", written))
    assert not re.search(r"\]\(http|<script|<img|://evil", prose), written
    hold(plot.read_text("utf-8"), name)
    assert not re.search(r"<(?:script|img|a|image|foreignObject)\b", plot.read_text("utf-8"))


def test_S26_attestations(canary: tuple[str, str], tmp_path: Path) -> None:
    """attest sign and verify: names of artifacts and roles, predicates, kids, and what is no attestation."""
    name, text = canary
    private, jwks, made = tmp_path / "private.json", tmp_path / "jwks.json", tmp_path / "made.json"
    private.write_text(json.dumps({**key("ES256").as_dict(private=True), "kid": text}), "utf-8")
    private.chmod(0o600)
    jwks.write_text(json.dumps({"keys": [es256(kid=text)]}), "utf-8")
    claimed, artifact = tmp_path / "claimed.json", tmp_path / f"a {text[:60]}".replace("/", "_")
    claimed.write_text(json.dumps({text: text}), "utf-8")
    artifact.write_text("x", "utf-8")
    about = ("--predicate", str(claimed), "--predicate-type", f"https://x.example/{text}")
    run(name, "attest", str(artifact), "--key", str(private), *about)
    run(name, "attest", str(artifact), "--key", str(private), *about, "--out", str(made))
    role = ("--role", f"build={jwks}", "--policy", "1 of build", "--alg", "ES256")
    assert "verified by build" in run(name, "attest", "verify", str(made), str(artifact), *role)
    run(name, "attest", "verify", str(made), str(artifact), *role, "--json")
    run(name, "attest", "verify", str(made), str(jwks), *role)
    run(
        name,
        "attest",
        "verify",
        str(made),
        str(artifact),
        "--role",
        f"{text}={jwks}",
        "--policy",
        text,
        "--alg",
        text,
    )
    for content in (text, json.dumps({"payload": text, "signatures": [{"protected": text}]}), f'"{text}"'):
        made.write_text(content, "utf-8", newline="")
        run(name, "attest", "verify", str(made), str(artifact), *role)
        run(name, "attest", str(artifact), "--key", str(private), "--add-to", str(made))


def test_S26_signed_logs(canary: tuple[str, str], tmp_path: Path) -> None:
    """sign-log and verify-log: entries, heads, manifests and names of files."""
    name, text = canary
    private, jwks = tmp_path / "private.json", tmp_path / "jwks.json"
    private.write_text(json.dumps(key("ES256").as_dict(private=True)), "utf-8")
    private.chmod(0o600)
    jwks.write_text(json.dumps({"keys": [es256()]}), "utf-8")
    log = tmp_path / f"l {text[:60]}.log".replace("/", "_")
    log.write_text(f"{text}\nsecond\n", "utf-8")
    signed, named = str(tmp_path / "signed"), ("--jwks", str(jwks), "--alg", "ES256")
    run(name, "sign-log", str(log), "--key", str(private), "--out", signed)
    run(name, "verify-log", signed, *named)
    run(name, "verify-log", signed, *named, "--head", text, "--json")
    for path in sorted(Path(signed).iterdir()):
        before = path.read_bytes()
        path.write_text(text, "utf-8", newline="")
        run(name, "verify-log", signed, *named, "--log", str(log))
        run(name, "sign-log", str(log), "--key", str(private), "--out", signed)
        path.write_bytes(before)


def test_S26_batches_and_sources(canary: tuple[str, str], tmp_path: Path) -> None:
    """bulk verify, over tokens, columns and files; migrate, over sources and their names."""
    pa = pytest.importorskip("pyarrow", reason="the extra `bulk` is not installed")
    import pyarrow.parquet

    name, text = canary
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [es256(), es256(kid=text, crv=text)]}), "utf-8")
    source = tmp_path / f"t {text[:60]}.parquet".replace("/", "_")
    pyarrow.parquet.write_table(
        pa.table({"token": list(hostile_tokens(text).values()), text: ["x"] * 14}), source
    )
    named = ("--jwks", str(jwks), "--alg", "ES256")
    run(name, "bulk", "verify", str(source), str(tmp_path / "out"), *named)
    run(
        name,
        "bulk",
        "verify",
        str(source),
        str(tmp_path / "more"),
        *named,
        "--json",
        "--claim",
        f"{text}:string",
    )
    source.write_text(text, "utf-8")
    run(name, "bulk", "verify", str(source), str(tmp_path / "bad"), *named)
    code = tmp_path / f"c {text[:60]}.py".replace("/", "_")
    quoted = text.replace("\\", "").replace('"', "").replace("\n", " ").replace("\r", " ")
    for content in (f'import jwt\njwt.decode("{quoted}", "{quoted}", algorithms=["{quoted}"])\n', text):
        code.write_text(content, "utf-8")
        run(name, "migrate", str(code))
        run(name, "migrate", str(code), "--json")


def test_S26_issuing(canary: tuple[str, str], tmp_path: Path) -> None:
    """The commands of an issuer: settings, reasons, kids, clients, and a state that somebody wrote."""
    name, text = canary
    config, state = tmp_path / "issuing.json", tmp_path / "keys.json"
    (tmp_path / "keys").mkdir(mode=0o700)
    good = {"issuer": "https://issuer.example", "state_file": "keys.json", "key_folder": "keys"}
    config.write_text(json.dumps({"issuing": good}), "utf-8")
    named = ("--config", str(config))
    run(name, "issue", "tick", *named)
    run(name, "issue", "taint", *named, "--kid", text, "--why", text)
    run(name, "issue", "emergency", *named, "--kid", text, "--why", text, "--drill")
    kid = json.loads(run(name, "issue", "status", *named, "--json").splitlines()[0])["kid"]
    run(name, "issue", "taint", *named, "--kid", kid, "--why", text, "--unready")
    for words in (
        ("status",),
        ("status", "--json"),
        ("check",),
        ("promote",),
        ("tick",),
        ("export", "--folder", str(tmp_path / f"f {text[:60]}".replace("/", "_"))),
        ("token", "--client", text, "--scope", text),
        ("overlap", "--evidence", text),
        ("announce", "--wait", "0"),
    ):
        run(name, "issue", *words, *named)
    kept = state.read_text("utf-8")
    for written in (
        text,
        kept.replace(kid, json.dumps(text)[1:-1]),
        kept.replace("EdDSA", "x").replace("ES256", text),
    ):
        state.write_text(written, "utf-8")
        run(name, "issue", "status", *named)
        run(name, "issue", "overlap", *named, "--evidence", str(tmp_path))
    for change in ({**good, text: 1}, {**good, "issuer": text}, {**good, "schedule": text}):
        config.write_text(json.dumps({"issuing": change}), "utf-8")
        for word in ("check", "status", "serve"):
            run(name, "issue", word, *named)


def test_S26_rollouts_and_keys(canary: tuple[str, str], tmp_path: Path) -> None:
    """rollout rollback, freeze, thaw and status; contract leeway; keys compare, refresh, revoke; check."""
    name, text = canary
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [es256(kid=text[:100])]}), "utf-8")
    (tmp_path / "state").mkdir(mode=0o700)
    path, partner = tmp_path / "config.json", tmp_path / "acme"
    issuer = {"iss": BANK, "jwks_file": "jwks.json", "algorithms": ["ES256"], "audience": [AUD]}
    path.write_text(
        json.dumps(
            {"issuers": [issuer], "rollout": {"state": "state"}, "revocations": {"file": "revoked.jsonl"}}
        ),
        "utf-8",
    )
    named, reason = ("--config", str(path)), ("--why", text[:150], "--by", text[:60])
    for words in (
        ("freeze", *reason),
        ("status",),
        ("thaw", *reason),
        ("rollback", *reason),
        ("rollback", "--to", text, "--partner", text, "--route", text),
    ):
        run(name, "rollout", *words, *named)
    run(name, "keys", "refresh", *named, "--wait", "1")
    run(name, "keys", "compare", *named, "--issuer", BANK)
    run(name, "keys", "compare", *named, "--issuer", text, "--region", f"{text}=http://127.0.0.1:1/")
    for word in ("revoke", "unrevoke"):
        for flag in ("--kid", "--jti", "--issuer", "--thumbprint"):
            run(name, "keys", word, *named, flag, text)
    run(name, "keys", "status", *named)
    run(name, "check", *named, "--timeout", "0.1")
    run(name, "contract", "init", str(partner))
    run(name, "contract", "leeway", str(partner), "5")
    for file in sorted(partner.glob("*.json")):
        file.write_text(text, "utf-8")
    run(name, "contract", "leeway", str(partner), "5")


def test_S26_alert_rules_are_the_same_text(canary: tuple[str, str]) -> None:
    """An address in a rule file is read back as it was given."""
    yaml = pytest.importorskip("yaml", reason="PyYAML absent: pip install pyyaml")
    name, text = canary
    found = run(name, "alerts", "--runbooks", f"https://x.example/{text}{{name}}")
    rules = [one for group in yaml.safe_load(found)["groups"] for one in group["rules"] if "alert" in one]
    assert all(rule["annotations"]["runbook_url"].startswith(f"https://x.example/{text}") for rule in rules)


def test_S26_what_is_left_asks_no_stranger() -> None:
    """The commands without a test of files print what this package has."""
    for words in (["version"], ["dashboard", "oncall"], ["runbook"], ["config", "schema"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, words
        hold(result.output, "plain")
