"""``rapidjws authz diff``: two versions of the rules on the same recorded requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from audit_service import ISS, log_key, service
from typer.testing import CliRunner

from rapidjws.cli.app import app

HEAD = f"""
[[issuers]]
iss = "{ISS}"
jwks_url = "https://issuer.example/jwks.json"
algorithms = ["ES256"]
audience = "me"

[server]
method_header = "X-Forwarded-Method"
host_header = "X-Forwarded-Host"
"""
OLD = """
[[authz.rules]]
name = "tenant"
routes = ["/tenants/{tenant}"]
claim_equals = { tid = "path.tenant" }
"""
NEW = (
    OLD
    + """
[[authz.rules]]
name = "pay"
routes = ["/tenants/{tenant}/payments"]
methods = ["POST"]
scopes = ["pay"]
"""
)
AT = 1_800_000_000


def request(path: str, *, tid: str = "acme", at: Any = AT, **more: Any) -> dict[str, Any]:
    """Return a recorded request."""
    return {"claims": {"tid": tid}, "path": path, "at": at, **more}


def ran(folder: Path, old: str, new: str, lines: list[Any] | None, *options: str) -> tuple[int, Any, str]:
    """Run the command; return exit code, the JSON it printed, and its messages."""
    words = []
    for name, text in (("old", old), ("new", new)):
        path = folder / f"{name}.toml"
        path.write_text(HEAD + text, "utf-8")
        words.append(str(path))
    if lines is not None:
        recorded = folder / "requests.jsonl"
        recorded.write_text("\n".join(map(json.dumps, lines)) + "\n", "utf-8")
        words += ["--requests", str(recorded)]
    result = CliRunner().invoke(app, ["authz", "diff", *words, *options, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout else None, result.stderr


def test_what_would_be_decided_otherwise_is_counted_and_named(tmp_path: Path) -> None:
    """Each request is newly refused, newly permitted, refused for another reason, or the same."""
    payment = "/tenants/acme/payments"
    lines = [
        request(payment, method="POST", id="late"),
        request(payment, method="POST", claims={"tid": "acme", "scope": "pay"}),
        request(payment, method="GET"),
        request("/tenants/other", method="GET"),
        request("/elsewhere", method="GET"),
    ]
    status, found, _ = ran(tmp_path, OLD, NEW, lines)
    assert (status, found["requests"], found["newly_refused"], found["same"]) == (1, 5, 1, 4)
    assert found["changed"] == [
        {"name": "late", "kind": "newly_refused", "path": payment, "partner": None, "old": "permit",
         "old_rule": None, "new": "insufficient_scope", "new_rule": "pay"},
    ]  # fmt: skip
    assert found["rules"] == {
        "default": {"old": 1, "new": 1, "old_applied": 1, "new_applied": 1},
        "pay": {"old": 0, "new": 1, "old_applied": 0, "new_applied": 2},
        "tenant": {"old": 1, "new": 1, "old_applied": 4, "new_applied": 4},
    }
    assert found["unused_rules"] == []
    status, found, _ = ran(tmp_path, NEW, OLD, lines)
    assert (status, found["newly_permitted"]) == (1, 1)
    status, found, _ = ran(tmp_path, OLD.replace('"tenant"', '"own"'), OLD, lines)
    assert (status, found["other_reason"], found["same"]) == (0, 1, 4)


def test_rules_in_detect_change_no_outcome_and_are_counted(tmp_path: Path) -> None:
    """A rule that is only watched refuses nobody; how many do not meet it is the reason to compare."""
    watched = NEW.replace('name = "pay"', 'name = "pay"\nphase = "detect"')
    status, found, _ = ran(tmp_path, OLD, watched, [request("/tenants/acme/payments", method="POST")])
    assert (status, found["same"], found["rules"]["pay"]["new"]) == (0, 1, 1)
    lines = [request("/tenants/acme/payments", method="POST")]
    status, found, _ = ran(tmp_path, OLD, watched, lines, "--enforced")
    assert (status, found["newly_refused"]) == (1, 1)


def test_a_rule_that_applied_to_no_request_is_named(tmp_path: Path) -> None:
    """Evidence without a request for a rule says nothing about it, though nothing changed."""
    status, found, _ = ran(tmp_path, OLD, NEW, [request("/tenants/acme", method="GET")])
    assert (status, found["same"], found["unused_rules"]) == (0, 1, ["pay"])


@pytest.mark.parametrize(
    ("rule", "missing"),
    [
        ('methods = ["POST"]\nany_token = true', "method"),
        ('hosts = ["api.example"]\nany_token = true', "host"),
        ('claim_equals = { tid = "header.x-tenant" }', "headers"),
    ],
)
def test_what_was_not_recorded_is_undecided_and_no_agreement(tmp_path: Path, rule: str, missing: str) -> None:
    """Where a rule reads what nobody wrote down, neither version is said to agree with the other."""
    new = OLD + f'[[authz.rules]]\nname = "more"\n{rule}\n'
    status, found, told = ran(tmp_path, OLD, new, [request("/tenants/acme")])
    assert (status, found["undecided"], found["same"]) == (2, 1, 0)
    assert found["reasons"] == {f"{missing} not recorded": 1}
    assert "no request could be compared" in told


def test_bounds_of_time_and_partner_choose_requests(tmp_path: Path) -> None:
    """--since, --until and --partner leave out what they do not name; nothing left is wrong usage."""
    lines = [
        request("/tenants/acme", at="2027-01-15T08:00:00Z", partner="acme"),
        request("/tenants/acme", at=1_900_000_000.5, partner="acme"),
        request("/tenants/acme", at=1_900_000_001, partner="other"),
    ]

    def count(*options: str) -> int | None:
        found = ran(tmp_path, OLD, OLD, lines, *options)[1]
        return None if found is None else int(found["requests"])

    assert count() == 3
    assert count("--since", "2028-01-01", "--partner", "acme") == 1
    assert count("--until", "2028-01-01") == 1
    status, _, told = ran(tmp_path, OLD, OLD, lines, "--since", "2090-01-01")
    assert (status, "no request was recorded" in told) == (2, True)


@pytest.mark.parametrize(
    "line",
    [
        [], 1, {}, {"claims": []}, {"claims": {}}, {"claims": {}, "at": True}, {"claims": {}, "at": -1},
        {"claims": {}, "at": 1e300}, {"claims": {}, "at": float("nan")}, {"claims": {}, "at": "yesterday"},
        {"claims": {}, "at": AT, "path": 1}, {"claims": {}, "at": AT, "method": []},
        {"claims": {}, "at": AT, "headers": []}, {"claims": {}, "at": AT, "headers": {"a": 1}},
        {"claims": {}, "at": AT, "paht": "/"},
    ],
)  # fmt: skip
def test_a_malformed_line_is_wrong_usage_and_is_named(tmp_path: Path, line: Any) -> None:
    """A line that is no recorded request ends the command, with file and line; nothing is guessed."""
    status, found, told = ran(tmp_path, OLD, OLD, [request("/"), line])
    assert (status, found) == (2, None)
    assert "requests.jsonl:2" in told


def test_claims_that_no_engine_accepts_are_not_compared(tmp_path: Path) -> None:
    """Claims of a wrong type, or of a token that was over, count as unreadable, with the code."""
    odd: list[dict[str, Any]] = [{"exp": "soon"}, {"exp": 5}, {"iss": ""}]
    lines = [request("/tenants/acme", claims=claims) for claims in odd]
    status, found, _ = ran(tmp_path, OLD, OLD, [*lines, request("/tenants/acme")])
    assert (status, found["unreadable"], found["same"]) == (0, 3, 1)
    assert found["reasons"] == {"malformed_claim": 1, "expired": 1, "configuration_invalid": 1}


def test_an_audit_trail_is_evidence(tmp_path: Path) -> None:
    """The trail's verified tokens are decided again; refused ones are none, and content must be stored."""
    with service() as world:
        for number, tid in enumerate(("acme", "other", "acme")):
            world.decide(world.token(tid=tid, n=number), partner="acme", route="/tenants/acme")
        world.decide("x.y.z", partner="acme", route="/tenants/acme")
        world.closed()
        where = ("--trail", str(world.folder), "--key", log_key().text)
        new = OLD + '[[authz.rules]]\nname = "gold"\nclaims = { tier = "gold" }\n'
        status, found, told = ran(tmp_path, OLD, new, None, *where)
        assert (status, found["requests"], found["newly_refused"], found["same"]) == (1, 3, 2, 1), told
        assert [one["name"] for one in found["changed"]] == ["record 0", "record 2"]
        assert ran(tmp_path, OLD, new, None, *where, "--since", "2090-01-01")[0] == 2
    assert ran(tmp_path, OLD, new, None)[0] == 2


def test_the_table_says_what_changed(tmp_path: Path) -> None:
    """Without --json a person reads the same."""
    for name, text in (("old", OLD), ("new", NEW)):
        (tmp_path / f"{name}.toml").write_text(HEAD + text, "utf-8")
    line = json.dumps(request("/tenants/acme/payments", method="POST"))
    words = ["authz", "diff", str(tmp_path / "old.toml"), str(tmp_path / "new.toml"), "--requests", "-"]
    result = CliRunner().invoke(app, words, input=line)
    assert result.exit_code == 1
    assert "insufficient_scope (pay)" in result.stdout
    assert "1 requests: 1 newly refused, 0 newly permitted" in result.stdout
