"""The contract kit: init, send, check, report; and the same against real partners, both directions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import jwcrypto_partner
import pytest

import rapidjws
from rapidjws.contract import kit, rehearsals
from rapidjws.contract.check import ContractReport, check
from rapidjws.contract.fetch import Fetched
from rapidjws.contract.http_lint import lint_address
from rapidjws.contract.publish import publish, to_html
from rapidjws.contract.samples import send
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.jws.verifier import Verifier

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build" / "partners"
ALGORITHMS = ("ES256", "RS256", "PS256", "ES384", "ES512", "EdDSA")
DAY_S = 86_400
CONTRACT = kit.Contract(
    partner="acme",
    our_iss="https://us.example",
    our_audience="acme",
    their_iss="https://acme.example",
    their_audience="us",
    algorithms=ALGORITHMS,
    attested=dict.fromkeys(kit.ATTESTED, "R. Example, 2026-11-20"),
)


def node(command: str, folder: Path) -> None:
    """Run the partner on Node with jose."""
    if shutil.which("node") is None or not (BUILT / "node" / "node_modules" / "jose").is_dir():
        pytest.skip("no Node partner: run tools/partners.sh (needs npm)")
    script = BUILT / "node" / "partner.mjs"
    subprocess.run(["node", str(script), command, str(folder)], check=True, timeout=120)


def golang(command: str, folder: Path) -> None:
    """Run the partner in Go with golang-jwt."""
    program = BUILT / "go" / "partner"
    if not program.is_file():
        pytest.skip("no Go partner: run tools/partners.sh (needs go)")
    subprocess.run([str(program), command, str(folder)], check=True, timeout=120)


Partner = Callable[[str, Path], None]
PARTNERS: dict[str, Partner] = {"jwcrypto": jwcrypto_partner.run, "node-jose": node, "golang-jwt": golang}


@pytest.mark.parametrize("name", PARTNERS)
def test_real_partner_both_ways(name: str, tmp_path: Path) -> None:
    """A real counterpart's tokens get the verdicts it expects, and ours get from it the ones that are due."""
    kit.init(tmp_path, CONTRACT)
    send(tmp_path)
    PARTNERS[name]("sign", tmp_path)
    PARTNERS[name]("verify", tmp_path)
    report = check(tmp_path)
    assert [item for item in report.items if item.status == "fail"] == []
    theirs = [item for item in report.items if item.group == "theirs"]
    ours = [item for item in report.items if item.group == "ours"]
    assert len(theirs) >= 6 * len(ALGORITHMS) - 6
    assert sum(item.status == "pass" for item in ours) >= 20
    allowed_open = {"unknown-crit"} if name == "golang-jwt" else set()
    assert {item.name for item in report.items if item.status == "open"} <= allowed_open


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder in which a partner has done everything right."""
    kit.init(tmp_path, replace(CONTRACT, algorithms=("ES256",)))
    send(tmp_path)
    jwcrypto_partner.run("sign", tmp_path)
    jwcrypto_partner.run("verify", tmp_path)
    return tmp_path


def failed(report: ContractReport) -> set[tuple[str, str]]:
    """Return the group and name of what failed."""
    return {(item.group, item.name) for item in report.items if item.status == "fail"}


def test_ready_partner_is_ready(folder: Path) -> None:
    """With everything right and attested, nothing fails and nothing is open."""
    report = check(folder)
    assert report.is_ready, [item for item in report.items if item.status != "pass"]


def test_attestations_stay_open(folder: Path) -> None:
    """What no program can see stays open until somebody attests it."""
    kit.save(folder, replace(kit.load(folder), attested={}))
    report = check(folder)
    assert {item.name for item in report.items if item.status == "open"} == {
        "alerts-configured"}  # fmt: skip
    assert not report.is_ready


def test_audit_and_rollback_are_rehearsed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are done, not attested: a trail that does not verify, or a rollback without effect, fails."""
    report = check(folder)
    rehearsed = {
        item.name: item for item in report.items if item.name in ("audit-reverified", "rollback-tested")
    }
    assert {item.status for item in rehearsed.values()} == {"pass"}
    assert rehearsed["audit-reverified"].detail == "15 decisions verified again without the engine"

    class Blind(rehearsals.Verification):
        """A verification that finds nothing."""

        def run(self) -> Any:
            """Return a report without findings."""
            report = super().run()
            report.findings.clear()
            return report

    monkeypatch.setattr(rehearsals, "Verification", Blind)
    monkeypatch.setattr(rehearsals.Rollout, "rollback", lambda self, **named: None)
    assert failed(check(folder)) == {("checklist", "audit-reverified"), ("checklist", "rollback-tested")}
    monkeypatch.setattr(rehearsals, "submit", lambda task: False)
    assert ("checklist", "audit-reverified") in failed(check(folder))


def test_a_good_token_that_enforcement_refuses_fails_the_rehearsal() -> None:
    """Each decision is compared with the one that is due, in each phase."""
    key = rapidjws.testing.make_key("ES256", kid="k1")
    engine = rapidjws.Engine(rapidjws.Issuer("https://a.example", keys=key.public(), algorithms=["ES256"]))
    fault = rehearsals.rollback_rehearsal(engine, "x.y.z", "also.not.good", "acme", time.time())
    assert fault == "deny in enforcement where permit in enforcement is due"


def test_checklist_is_whole(folder: Path) -> None:
    """Every line of the production checklist is walked."""
    names = {item.name for item in check(folder).items if item.group == "checklist"}
    assert names >= {
        "valid", "expired", "tampered", "wrong-key", "unsecured", "alg-substitution", "skew-inside",
        "skew-outside", "valid-whitespace", "line-break-inside", "unknown-kid", "unknown-kid-refresh",
        "rotation-under-load", "audit-reverified", "rollback-tested", "alerts-configured",
    }  # fmt: skip


def test_false_verdict_of_a_partner_fails(folder: Path) -> None:
    """A partner that accepts a bad token, or refuses a good one, fails the contract."""
    verdicts = json.loads((folder / "theirs" / "verdicts.json").read_bytes())
    kit.write_json(
        folder / "theirs" / "verdicts.json", {**verdicts, "unsecured": "accepted", "valid": "refused"}
    )
    assert failed(check(folder)) == {("ours", "unsecured"), ("ours", "valid")}


def test_bad_token_of_a_partner_is_explained(folder: Path) -> None:
    """A partner's good token that does not verify fails with the cause."""
    samples = json.loads((folder / "theirs" / "samples.json").read_bytes())
    good = next(one for one in samples if one["expect"] == "accepted")
    kit.write_json(folder / "theirs" / "samples.json", [{**good, "token": f"Bearer {good['token']}"}])
    (item,) = (item for item in check(folder).items if item.group == "theirs")
    assert item.status == "fail"
    assert "scheme" in item.detail


def test_missing_files_are_open(tmp_path: Path) -> None:
    """An empty folder is no failure of anybody: its lines are open."""
    kit.init(tmp_path, replace(CONTRACT, algorithms=("ES256",)))
    report = check(tmp_path)
    assert failed(report) == set()
    assert {item.group for item in report.items if item.status == "open"} == {"theirs", "ours", "keys"}


def test_private_key_published_fails(folder: Path) -> None:
    """A partner that publishes a private key fails the lint."""
    key = kit.private_key(folder, "ES256")
    kit.write_json(folder / "theirs" / "jwks.json", {"keys": [key.as_dict(private=True)]})
    assert ("keys", "jwks") in failed(check(folder))


def test_report_is_signed(folder: Path) -> None:
    """report.jws verifies under report_key.json, and its payload is report.json, octet for octet."""
    names = publish(folder, check(folder))
    assert set(names) == {"report.json", "report.md", "report.html", "report.jws", "report_key.json"}
    keys = JWKSet.from_json((folder / "report_key.json").read_bytes())
    verified = Verifier(keys, algorithms=["ES256"]).verify((folder / "report.jws").read_bytes().strip())
    assert verified.payload == (folder / "report.json").read_bytes()
    assert verified.header["typ"] == "contract-report+jws"
    assert "# Contract with acme: ready" in (folder / "report.md").read_text("utf-8")


def test_html_is_inert(folder: Path) -> None:
    """A partner's words cannot write HTML, and the page loads nothing."""
    report = check(folder)
    page = to_html(replace(report, partner="<script>alert(1)</script>"), "a.b.c")
    assert "<script" not in page
    assert "src=" not in page
    assert "http://" not in page


def test_private_keys_are_private(tmp_path: Path) -> None:
    """Our test keys are readable by their owner alone, and not among what is published."""
    kit.init(tmp_path, CONTRACT)
    for path in (tmp_path / "ours" / "private").iterdir():
        assert path.stat().st_mode & 0o077 == 0
    assert '"d"' not in (tmp_path / "ours" / "jwks.json").read_text("utf-8")


def test_init_refuses(tmp_path: Path) -> None:
    """A second init, and a name that is no name, are refused."""
    kit.init(tmp_path, CONTRACT)
    for contract in (CONTRACT, replace(CONTRACT, partner="../x")):
        with pytest.raises(RapidJWSError) as refused:
            kit.init(tmp_path, contract)
        assert refused.value.code == "configuration_invalid"


def test_temporary_leeway_ends(tmp_path: Path) -> None:
    """A temporary leeway holds until its end, then the agreed one again."""
    kit.init(tmp_path, CONTRACT)
    made = kit.set_leeway(tmp_path, 600, int(time.time()) + DAY_S)
    assert made.leeway_at(time.time()) == 600
    assert made.leeway_at(time.time() + 2 * DAY_S) == CONTRACT.leeway_s
    assert kit.load(tmp_path) == made


GOOD = Fetched(
    url="https://acme.example/jwks.json",
    status=200,
    headers={"content-type": "application/jwk-set+json", "cache-control": "max-age=3600", "etag": '"1"'},
    body=b'{"keys":[]}',
    tls="TLSv1.3",
    certificate_days=80.0,
    seconds=0.1,
)


@pytest.mark.parametrize(
    ("got", "code"),
    [
        (replace(GOOD, url="http://acme.example/jwks.json", tls=None), "no_tls"),
        (replace(GOOD, tls="TLSv1.1"), "old_tls"),
        (replace(GOOD, certificate_days=3.0), "certificate_ends"),
        (replace(GOOD, status=302, fault="status 302"), "redirect"),
        (replace(GOOD, status=500, fault="status 500"), "no_answer"),
        (replace(GOOD, seconds=3.0), "slow"),
        (replace(GOOD, headers={**GOOD.headers, "content-type": "text/html"}), "content_type"),
        (replace(GOOD, headers={**GOOD.headers, "cache-control": "no-store"}), "no_store"),
        (replace(GOOD, headers={**GOOD.headers, "cache-control": "public"}), "no_max_age"),
        (replace(GOOD, headers={**GOOD.headers, "cache-control": "max-age=172800"}), "ttl_past_rotation"),
        (replace(GOOD, headers={**GOOD.headers, "cache-control": "max-age=172800"}), "long_ttl"),
        (replace(GOOD, headers={**GOOD.headers, "cache-control": "max-age=5"}), "short_ttl"),
        (replace(GOOD, headers={"cache-control": "max-age=60"}), "no_validator"),
        (replace(GOOD, body=b"<html>"), "jwks_malformed"),
    ],
)
def test_address_lint(got: Fetched, code: str) -> None:
    """Each fault of a key address is found, and not found in a good one."""
    assert code in {finding.code for finding in lint_address(got, DAY_S)}
    assert code not in {finding.code for finding in lint_address(GOOD, DAY_S)}


def test_address_is_checked(folder: Path) -> None:
    """With an address the keys come from there, and a TTL past the rotation plan fails the contract."""
    document = (folder / "theirs" / "jwks.json").read_bytes()
    kit.save(folder, replace(kit.load(folder), jwks_url=GOOD.url, publish_before_use_s=DAY_S))
    assert check(folder, get=lambda url: replace(GOOD, body=document)).is_ready
    slow = replace(GOOD, body=document, headers={**GOOD.headers, "cache-control": "max-age=100000"})
    assert ("keys", "jwks") in failed(check(folder, get=lambda url: slow))


def run_pytest(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest as a partner's CI would, with the plugin."""
    known = any(point.value == "rapidjws.contract.plugin" for point in entry_points(group="pytest11"))
    plugin = [] if known else ["-p", "rapidjws.contract.plugin"]
    plugin += [
        word for name in ("faker", "anyio", "hypothesispytest", "xdist") for word in ("-p", f"no:{name}")
    ]
    source = str(Path(rapidjws.__file__).resolve().parents[1])
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "-v", *arguments],
        cwd=cwd, env={**os.environ, "PYTHONPATH": source},
        capture_output=True, text=True, timeout=120, check=False)  # fmt: skip


def test_pytest_plugin(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each line of a contract is a test with a marker and a place in junit, and it fails where due."""
    place = tmp_path_factory.mktemp("ci")
    good = run_pytest("--jws-partner", str(folder), "--junitxml", "out.xml", "--strict-markers", cwd=place)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "acme::checklist::rotation-under-load PASSED" in good.stdout
    assert "valid-ES256" in (place / "out.xml").read_text("utf-8")
    selected = run_pytest("--jws-partner", str(folder), "-m", "not jws_partner", cwd=place)
    assert "deselected" in selected.stdout
    verdicts = json.loads((folder / "theirs" / "verdicts.json").read_bytes())
    kit.write_json(folder / "theirs" / "verdicts.json", {**verdicts, "unsecured": "accepted"})
    bad = run_pytest("--jws-partner", str(folder), cwd=place)
    assert bad.returncode == 1
    assert "acme::ours::unsecured FAILED" in bad.stdout
    assert run_pytest("--jws-partner", str(place), cwd=place).returncode == 4


def test_samples_are_plain(folder: Path) -> None:
    """Each sample says what it is for, and none of our private keys is among what a partner gets."""
    samples = json.loads((folder / "ours" / "samples.json").read_text("utf-8"))
    assert {sample["expect"] for sample in samples} == {"accepted", "refused"}
    assert all(sample["why"] and sample["name"] for sample in samples)
