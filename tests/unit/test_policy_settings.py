"""Policies of engines in a configuration: read, checked at the start, and named by line and setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("hobofan_regorus", reason="the extra `rego` is not installed")
pytest.importorskip("cedarpy", reason="the extra `cedar` is not installed")

import rapidjws
from rapidjws.authz.cedar import CedarPolicy
from rapidjws.authz.rego import RegoPolicy
from rapidjws.cli.app import app

HEAD = """
[[issuers]]
iss = "https://a.example"
jwks_url = "https://a.example/jwks.json"
algorithms = ["ES256"]
audience = "orders"

[server]
method_header = "X-Forwarded-Method"

[[authz.rules]]
name = "r"
"""
EXAMPLES = """
[[authz.examples]]
claims = { sub = "ann", tid = "acme" }
path = "/a"
expect = "permit"

[[authz.examples]]
claims = { sub = "ann", tid = "other" }
path = "/a"
expect = "policy_refused"
"""
REGO = 'package p\nimport rego.v1\nallow if input.claims.tid == "acme"\n'
CEDAR = 'permit(principal == User::"ann", action, resource) when { context.claims.tid == "acme" };'


def ran(folder: Path, text: str, *words: str) -> tuple[int, str]:
    """Run a command on a configuration; return its exit code and output."""
    (folder / "c.toml").write_text(HEAD + text, "utf-8")
    result = CliRunner().invoke(app, [*words, str(folder / "c.toml")])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("rule", "file", "source"),
    [
        ('rego = { file = "p.rego", path = "p/allow" }', "p.rego", REGO),
        ('cedar = { file = "p.cedar", claims = ["tid"] }', "p.cedar", CEDAR),
    ],
)
def test_a_policy_file_is_read_beside_the_configuration(
    tmp_path: Path, rule: str, file: str, source: str
) -> None:
    """The rule decides by the file; without it, or with a bad one, the check names rule and line."""
    status, text = ran(tmp_path, rule + EXAMPLES, "config", "check")
    assert (status, ":13: authz.rules[0]." in text, "No such file" in text) == (1, True, True), text
    assert ran(tmp_path, rule + EXAMPLES, "config", "check", "--ignore-files")[0] == 0
    (tmp_path / file).write_text(source, "utf-8")
    assert ran(tmp_path, rule + EXAMPLES, "config", "check")[0] == 0
    status, text = ran(tmp_path, rule + EXAMPLES, "authz", "test")
    assert status == 0, text
    (tmp_path / file).write_text(source[:-3], "utf-8")
    assert ran(tmp_path, rule + EXAMPLES, "config", "check")[0] == 1
    assert ran(tmp_path, rule + EXAMPLES, "authz", "test")[0] == 2
    (tmp_path / file).write_bytes(b"\xff\xfe")
    assert ran(tmp_path, rule + EXAMPLES, "config", "check")[0] == 1
    (tmp_path / file).chmod(0o666)
    assert ran(tmp_path, rule + EXAMPLES, "config", "check")[0] == 1


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ('opa = { url = "http://opa.example", path = "a" }', "insecure_allow_http"),
        ('opa = { url = "http://127.0.0.1:8181" }', "path"),
        ('opa = { url = "http://127.0.0.1:8181", path = "a", timeout = 1 }', "timeout"),
        ('opa = { url = "http://127.0.0.1:8181", path = "a", timeout_s = "1" }', "a finite number"),
        ('opa = "http://127.0.0.1:8181"', "a table"),
        ('rego = { path = "p/allow" }', "file, or source"),
        ('rego = { path = "p/allow", source = "package q\\n" }', "a package of the policy"),
        ('rego = { path = "p/allow", source = "package p\\nallow if {" }', "line 2, column"),
        ('rego = { path = "p/allow", source = "package p\\nallow { http.send({}) }" }', "reaches out"),
        ('rego = { path = "p", source = "x", file = "y" }', "file, or source"),
        ('cedar = { source = "permit(principal" }', "cedar"),
        ('cedar = { source = "permit(principal,action,resource);", entities = "x" }', "entity"),
        ('cedar = { source = "permit(principal,action,resource);", principal_type = "a b" }', "a type"),
        ("cedar = { file = 7 }", "a text"),
    ],
)
def test_a_mistake_is_named_at_its_line(tmp_path: Path, rule: str, word: str) -> None:
    """Each slip is an error at the start, with the line of the rule's setting and what is allowed."""
    status, text = ran(tmp_path, rule, "config", "check")
    assert (status, ":13: authz.rules[0]" in text, word in text) == (1, True, True), text


def test_the_method_needs_a_header_where_a_policy_reads_it(tmp_path: Path) -> None:
    """A sidecar that does not know the client's method does not start with a policy that reads it."""
    from rapidjws.config.load import ConfigFile
    from rapidjws.sidecar.rule_facts import RuleFacts
    from rapidjws.sidecar.settings import ServerSettings

    rule = f"cedar = {{ source = '{CEDAR}', claims = ['tid'] }}\n"
    (tmp_path / "c.toml").write_text(HEAD.replace("[server]\nmethod_header", "#") + rule, "utf-8")
    engine = ConfigFile(tmp_path / "c.toml").engine
    with pytest.raises(rapidjws.ConfigurationError, match="method_header"):
        RuleFacts(ServerSettings(listen="127.0.0.1:0"), engine)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda: RegoPolicy("package p\na := 1", path="p/a"), "policy_unavailable"),
        (lambda: RegoPolicy("package p\na := 1 / input.claims.zero", path="p/a"), "policy_unavailable"),
        (lambda: RegoPolicy("package p\na := true { input.claims.none }", path="p/a"), "policy_refused"),
        (lambda: CedarPolicy("permit(principal,action,resource) when { context.claims.none == 1 };"),
         "policy_unavailable"),
        (lambda: CedarPolicy("permit(principal,action,resource);"
                             "forbid(principal,action,resource) when { context.claims.none };"),
         "policy_unavailable"),
        (lambda: CedarPolicy('forbid(principal == User::"ann",action,resource);'), "policy_refused"),
    ],
)  # fmt: skip
def test_what_fails_is_undecided_and_what_says_nothing_refuses(made: Any, code: str) -> None:
    """A policy's error, and a value that is not true or false, permit nobody."""
    from rules import said

    assert said([{"name": "r", "policies": [made()]}], sub="ann", zero=0) == code


@pytest.mark.parametrize(
    "claims",
    [{"n": 1.5}, {"n": {"a": None}}, {"n": 2**63}, {"a": [{"__entity": {"type": "User", "id": "root"}}]},
     {"a": {"__extn": {"fn": "ip", "arg": "1.1.1.1"}}}],
)  # fmt: skip
def test_claims_that_cedar_reads_as_something_else_are_undecided(claims: dict[str, Any]) -> None:
    """A token cannot write an entity or a call of a function into a policy's context."""
    from rules import said

    rule = {"name": "r", "policies": [CedarPolicy("permit(principal,action,resource);")]}
    assert said([rule], **{"sub": "ann", **claims}) == "policy_unavailable"
    assert said([rule], sub="ann", a={"b": [1, "x", True]}) == "ok"
