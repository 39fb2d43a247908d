"""``rapidjws lint``: a configuration against best current practice, row by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rapidjws import NOT_CHECKED, Engine, Issuer
from rapidjws.cli.app import app
from rapidjws.cli.lint_rows import ROWS, SPECIFICATIONS
from rapidjws.testing import FakeIssuer

GOOD = {
    "issuers": [
        {
            "iss": "https://a.example",
            "jwks_url": "https://a.example/jwks.json",
            "algorithms": ["ES256"],
            "audience": ["https://api.example"],
            "profile": "access_token",
            "cnf": "required",
        }
    ],
    "authz": {"rules": [{"name": "read", "scopes": ["read"]}]},
    "dpop": {"external_origins": ["https://api.example"], "algorithms": ["ES256"]},
    "mtls": {"trusted_peers": ["10.0.0.7"]},
    "replay": {},
    "revocations": {"file": "revocations.json"},
}


def ran(folder: Path, tables: dict[str, Any], *options: str) -> tuple[int, str, str]:
    """Run the command on tables; return exit code, output and messages."""
    path = folder / "c.json"
    path.write_text(json.dumps(tables, indent=1), "utf-8")
    result = CliRunner().invoke(app, ["lint", "--config", str(path), *options])
    return result.exit_code, result.stdout, result.stderr


def changed(**changes: Any) -> dict[str, Any]:
    """Return good tables with settings of the issuer (``iss_...``) or sections replaced; None removes."""
    tables = json.loads(json.dumps(GOOD))
    for name, value in changes.items():
        where, key = (tables["issuers"][0], name[4:]) if name.startswith("iss_") else (tables, name)
        where[key] = value
        if value is None:
            del where[key]
    return tables


def broken(folder: Path, tables: dict[str, Any]) -> dict[str, str]:
    """Return the rows that fail, with their levels, where everything is demanded."""
    named = [word for one in SPECIFICATIONS for word in ("--against", one)]
    _, text, told = ran(folder, tables, "--format", "json", *named)
    assert text, told
    return {one["id"]: one["level"] for one in json.loads(text) if one["status"] == "fails"}


def test_a_good_set_up_breaks_nothing(tmp_path: Path) -> None:
    """Every row holds, and both kinds of ends agree."""
    assert broken(tmp_path, GOOD) == {}
    status, text, _ = ran(tmp_path, GOOD, "--strict")
    assert (status, "0 errors, 0 warnings, 0 notes" in text) == (0, True)


RULES = {"rules": [{"name": "read", "scopes": ["read"], "phase": "detect"}]}
CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({"iss_algorithms": ["ES256", "HS256"]},
     {"rfc8725-one-kind-of-key", "rfc9068-asymmetric", "fapi2-algorithms"}),
    ({"iss_algorithms": ["RS256"]}, {"fapi2-algorithms"}),
    ({"iss_check_iss": False, "iss_iss": None}, {"rfc8725-issuer", "rfc9068-issuer"}),
    ({"iss_iss": "https://a.example/{tid}", "iss_any_tenant": True}, {"rfc8725-issuer", "rfc9068-issuer"}),
    ({"iss_check_audience": False, "iss_audience": None, "iss_profile": None, "iss_typ": "at+jwt",
      "iss_required_claims": ["iss", "aud", "sub", "client_id", "iat", "jti"]},
     {"rfc8725-audience", "rfc9068-audience", "rfc9700-audience", "fapi2-audience"}),
    ({"iss_profile": None}, {"rfc8725-typ", "rfc8725-kinds-apart", "rfc9068-typ", "rfc9068-claims"}),
    ({"iss_typ": "JWT"}, {"rfc8725-typ", "rfc9068-typ"}),
    ({"iss_typ": ["at+jwt", "JWT"]}, {"rfc8725-typ", "rfc9068-typ"}),
    ({"iss_typ_required": False}, {"rfc8725-typ", "rfc9068-typ"}),
    ({"iss_required_claims": ["sub"]}, {"rfc9068-claims"}),
    ({"iss_exp_required": False}, {"rfc9068-claims", "fapi2-valid"}),
    ({"iss_leeway_s": 0}, {"fapi2-clock"}),
    ({"iss_leeway_s": 61}, {"fapi2-clock"}),
    ({"iss_cnf": "checked"}, {"rfc9700-sender-constrained", "fapi2-sender-constrained"}),
    ({"dpop": None, "mtls": None}, {"rfc9700-sender-constrained", "fapi2-sender-constrained"}),
    ({"authz": None}, {"rfc9068-scopes", "rfc9700-privileges", "fapi2-authorization"}),
    ({"authz": RULES}, {"rfc9068-scopes", "rfc9700-privileges", "fapi2-authorization"}),
    ({"authz": None, "partners": [{"name": "shop", "scopes": ["read"]}]}, set()),
    ({"authz": None, "partners": [{"name": "a", "scopes": ["read"]}, {"name": "b"}]},
     {"rfc9068-scopes", "rfc9700-privileges", "fapi2-authorization"}),
    ({"server": {"workers": 2, "route_headers": []}, "replay": {"redis": "redis://127.0.0.1"}}, set()),
    ({"server": {"route_headers": ["X-Original-URI"]}}, set()),
    ({"server": {"route_headers": ["X-Original-URI", "X-Path"]}}, {"rfc9700-forwarded-request"}),
    ({"server": {"workers": 1}}, {"rfc9700-forwarded-request"}),
    ({"dpop": {**GOOD["dpop"], "replay_on_failure": "accept"}}, {"rfc9700-dpop-replay"}),  # type: ignore[dict-item]
    ({"dpop": {"external_origins": ["https://api.example"]}}, {"fapi2-dpop-algorithms"}),
    ({"mtls": {"trusted_peers": ["0.0.0.0/0"]}}, {"rfc9700-forwarded-certificate"}),
    ({"mtls": {"trusted_peers": ["unix", "::/0"]}}, {"rfc9700-forwarded-certificate"}),
    ({"iss_insecure_allow_http": True}, {"rfc9700-tls", "fapi2-tls"}),
    ({"revocations": None}, {"fapi2-revocation"}),
    ({"server": {"token_cookie": "t", "route_headers": []}}, {"fapi2-header"}),
    ({"iss_stale_limit_s": 90000}, {"fapi2-keys"}),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "names"), CASES, ids=[str(number) for number in range(len(CASES))])
def test_each_setting_breaks_its_rows_and_no_other(
    tmp_path: Path, changes: dict[str, Any], names: set[str]
) -> None:
    """One careless setting is named by the requirements that it breaks."""
    assert set(broken(tmp_path, changed(**changes))) == names


def test_each_row_that_can_break_is_tried() -> None:
    """The table of cases has every requirement that a configuration can break; names stand once."""
    tried = set().union(*(names for _, names in CASES))
    assert tried == {row.name for row in ROWS if row.check.__name__ != "always"}
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_what_is_not_claimed_gives_notes_and_no_failure(tmp_path: Path) -> None:
    """FAPI 2.0 and RFC 9068 are notes where nobody named them, and errors where somebody did."""
    plain = changed(iss_algorithms=["RS256"], iss_profile=None, iss_typ="JWT", revocations=None)
    status, text, _ = ran(tmp_path, plain)
    assert status == 0
    where = "note           FAPI 2.0 5.4.1          https://a.example"
    assert f"{where}: PS256, ES256 and EdDSA alone (RS256)" in text
    assert ran(tmp_path, plain, "--strict")[0] == 1  # a warning of RFC 8725
    for name in ("fapi2", "rfc9068"):
        assert ran(tmp_path, plain, "--against", name)[0] == 1
    assert ran(tmp_path, plain, "--against", "rfc9700")[0] == 0


def test_other_kinds_of_tokens_are_not_held_to_those_of_access_tokens(tmp_path: Path) -> None:
    """An issuer of ID tokens or SVIDs breaks no rule of access tokens."""
    for changes in (
        {"iss_profile": "id_token"},
        {"iss_profile": None, "iss_iss": None, "iss_trust_domain": "a.b"},
    ):
        found = broken(tmp_path, changed(**changes, iss_cnf=None))
        assert not [name for name in found if name.startswith("rfc9068")]


def test_sarif_has_a_relative_file_as_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path within the checkout stays one, as code scanning needs it (SARIF 2.1.0 s.3.4.3)."""
    monkeypatch.chdir(tmp_path)
    Path("a folder").mkdir()
    text = ran(Path("a folder"), changed(iss_leeway_s=0), "--format", "sarif", "--against", "fapi2")[1]
    assert json.loads(text)["runs"][0]["artifacts"] == [{"location": {"uri": "a%20folder/c.json"}}]


def test_sarif_names_rule_level_file_and_line(tmp_path: Path) -> None:
    """A CI shows each failure at its setting; what holds is no result."""
    status, text, _ = ran(tmp_path, changed(iss_algorithms=["ES256", "HS256"]), "--format", "sarif")
    log = json.loads(text)
    assert (status, log["version"], len(log["runs"])) == (1, "2.1.0", 1)
    driver, results = log["runs"][0]["tool"]["driver"], log["runs"][0]["results"]
    assert [one["ruleId"] for one in results] == [
        "rfc8725-one-kind-of-key", "rfc9068-asymmetric", "fapi2-algorithms",
    ]  # fmt: skip
    for one in results:
        rule = driver["rules"][one["ruleIndex"]]
        assert rule["id"] == one["ruleId"]
        assert one["level"] in ("error", "warning", "note")
        place = one["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == (tmp_path / "c.json").as_uri()
        line = (tmp_path / "c.json").read_text("utf-8").splitlines()[place["region"]["startLine"] - 1]
        assert '"algorithms"' in line
    prints = {one["partialFingerprints"]["setting/v1"] for one in results}
    assert len(prints) == 3
    assert json.loads(ran(tmp_path, GOOD, "--format", "sarif")[1])["runs"][0]["results"] == []


@pytest.mark.parametrize(
    ("tables", "options", "word"),
    [
        ({"issuers": []}, (), "at least one issuer"),
        ({**GOOD, "sever": {}}, (), "an unknown section"),
        (GOOD, ("--against", "rfc1"), "--against rfc1"),
        (GOOD, ("--format", "xml"), "xml"),
    ],
)
def test_wrong_usage_is_no_verdict(tmp_path: Path, tables: Any, options: tuple[str, ...], word: str) -> None:
    """A file with faults, and an unknown specification or format, end with 2."""
    status, _, told = ran(tmp_path, tables, *options)
    assert (status, word in told) == (2, True)


def test_rows_say_of_the_engine_what_it_does() -> None:
    """Without an audience a token that has none is accepted; with one it is refused."""
    provider = FakeIssuer("https://a.example", "ES256", audience=None)
    token = provider.token(provider.claims(1_800_000_000))
    for audience, outcome in (((), "permit"), ("api", "deny"), (NOT_CHECKED, "permit")):
        issuer = Issuer(provider.iss, keys=provider.jwks, algorithms=["ES256"], audience=audience)  # type: ignore[arg-type]
        assert Engine(issuer).decide(token, now=1_800_000_001).outcome == outcome


SECTIONS = {
    "rfc8725": {f"3.{number}" for number in range(1, 13)}
    | {f"3.{number} (bis-09)" for number in range(13, 16)},
    "rfc9068": {"2.1", "2.2", "2.2.1", "2.2.2", "2.2.3", "3", "4", "5"},
    "rfc9700": {"2.2.1", "2.3", "2.6", "4.3.2", "4.9", "4.10.1", "4.10.2", "4.13"},
    "fapi2": {"5.2.1", "5.2.2", "5.3.2.1", "5.3.4", "5.4.1", "5.4.2", "5.4.3", "6.1", "6.2", "6.8"},
}
"""Sections that ask something of who verifies, as the tables of contents have them."""


def test_each_row_names_a_section_that_there_is() -> None:
    """An auditor looks it up: RFC 8725 ends at 3.12, its revision adds three, FAPI 2.0 has no 5.6.1."""
    assert {row.name: row.section for row in ROWS if row.section not in SECTIONS[row.source]} == {}
