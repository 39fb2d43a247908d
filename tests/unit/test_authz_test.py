"""``rapidjws authz test``: examples beside the rules, and which rules they cover."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rapidjws.cli.app import app

RULES = """
[[issuers]]
iss = "https://a.example"
jwks_url = "https://a.example/jwks.json"
algorithms = ["ES256"]
audience = "orders"

[server]
method_header = "X-Forwarded-Method"

[[authz.rules]]
name = "tenant"
routes = ["/tenants/{tenant}"]
claim_equals = { tid = "path.tenant" }

[[authz.rules]]
name = "pay"
routes = ["/tenants/{tenant}/payments"]
methods = ["POST"]
scopes = ["pay"]
"""
GOOD = """
[[authz.examples]]
name = "own tenant"
claims = { tid = "acme", scope = "pay" }
method = "POST"
path = "/tenants/acme/payments"
expect = "permit"

[[authz.examples]]
name = "other tenant"
claims = { tid = "acme" }
path = "/tenants/other"
expect = "request_mismatch"
rule = "tenant"
"""
MORE = """
[[authz.examples]]
claims = { tid = "acme" }
method = "POST"
path = "/tenants/acme/payments"
expect = "insufficient_scope"
"""


def ran(folder: Path, text: str, *options: str) -> tuple[int, str]:
    """Run the command on a configuration; return its exit code and output."""
    path = folder / "c.toml"
    path.write_text(text, "utf-8")
    result = CliRunner().invoke(app, ["authz", "test", str(path), *options])
    return result.exit_code, result.output


def test_examples_get_what_they_must(tmp_path: Path) -> None:
    """Good examples end with 0, and the report names what each rule got."""
    status, text = ran(tmp_path, RULES + GOOD, "--json")
    found = json.loads(text)
    assert (status, found["good"], found["uncovered"]) == (0, True, ["pay"])
    assert found["rules"] == {"tenant": {"met": 1, "unmet": 1}, "pay": {"met": 1, "unmet": 0}}
    status, text = ran(tmp_path, RULES + GOOD)
    assert status == 0
    assert "2 examples, 0 failed; 1 of 2 rules covered" in text


def test_a_dry_run_shows_what_it_would_refuse_and_enforced_refuses_it(tmp_path: Path) -> None:
    """An example that a rule in detect would refuse is permitted, and the report says by which rule."""
    watched = RULES + '[authz]\nphase = "detect"\n' + GOOD
    status, text = ran(tmp_path, watched, "--json")
    found = json.loads(text)["examples"][1]
    assert (status, found["found"], found["watched"]) == (
        1,
        "permit",
        "request_mismatch by tenant, in detect",
    )
    assert (
        "other tenant: would be refused, request_mismatch by tenant, in detect" in ran(tmp_path, watched)[1]
    )
    assert ran(tmp_path, watched, "--enforced")[0] == 0
    own = watched.replace('name = "tenant"', 'name = "tenant"\nphase = "warn"')
    assert ran(tmp_path, own)[0] == 1
    assert ran(tmp_path, own, "--enforced")[0] == 0


def test_a_rule_without_examples_of_both_kinds_is_not_covered(tmp_path: Path) -> None:
    """With --coverage each rule needs an example that meets it and one that does not."""
    assert ran(tmp_path, RULES + GOOD, "--coverage")[0] == 1
    assert ran(tmp_path, RULES + GOOD + MORE, "--coverage")[0] == 0


def test_a_wrong_example_fails(tmp_path: Path) -> None:
    """An example that gets something else, or from another rule, ends with 1."""
    assert ran(tmp_path, RULES + GOOD.replace('"permit"', '"no_rule"'))[0] == 1
    assert ran(tmp_path, RULES + GOOD.replace('rule = "tenant"', 'rule = "pay"'))[0] == 1


@pytest.mark.parametrize(
    "example", ["expect = 7", 'expect = "maybe"', 'expect = "permit"\nclaim = {}', "x = 1"]
)
def test_a_malformed_example_is_named(tmp_path: Path, example: str) -> None:
    """What is no example is wrong usage, with its line."""
    status, text = ran(tmp_path, f"{RULES}\n[[authz.examples]]\n{example}\n")
    assert status == 2
    assert "c.toml:2" in text


def test_without_rules_there_is_nothing_to_try(tmp_path: Path) -> None:
    """A configuration without rules is wrong usage."""
    assert ran(tmp_path, RULES.partition("[[authz.rules]]")[0])[0] == 2
