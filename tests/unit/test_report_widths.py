"""HTML reports in a browser: nothing runs over the edge of a phone, a laptop or a large screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import overflows

from rapidjws.contract import kit
from rapidjws.contract.check import check
from rapidjws.contract.publish import publish
from rapidjws.contract.samples import send
from rapidjws.rollout.escalation import Escalation
from rapidjws.rollout.report.readiness import Compared, PartnerReadiness, Readiness, Seen
from rapidjws.rollout.report.readiness_html import page

pytestmark = pytest.mark.source_tree
WIDTHS = (400, 1280, 1920)
NOW_S = 1_795_000_000
LONG = "https://a-very-long-host-name-without-any-place-to-break.issuer.example/realms/" + "x" * 60


def partner(name: str, phase: str, **more: object) -> PartnerReadiness:
    """Return a partner with everything that a report shows."""
    seen = Seen(name="missing_token", count=123_456, first_s=NOW_S - 86_400, last_s=NOW_S)
    found: dict[str, object] = {
        "partner": name, "phase": phase, "contact": "integration-team@partner.example",
        "requests": 123_456_789, "verified": 123_000_000, "refused": 456, "failures": (seen,),
        "algorithms": (Seen(name="ES256", count=1, first_s=NOW_S, last_s=NOW_S),), "recent": 1_234_567,
        "recent_failed": 12_345, "rejected_tomorrow": True, "p50_us": 123.0, "p99_us": 45_678.0,
        "why": "12345 of the last day's 1234567 requests have no good token: missing_token",
        "latency": tuple(range(20)), "days": tuple((NOW_S // 86_400 - day, 100, day) for day in range(30)),
        "unknown_kids": (Seen(name=LONG, count=3, first_s=NOW_S, last_s=NOW_S),),
        "uncertain": "1234 requests that nobody could be attributed to may be this partner's",
        **more,
    }  # fmt: skip
    return PartnerReadiness(**found)  # type: ignore[arg-type]


def readiness() -> Readiness:
    """Return a report with every part, and names that are long."""
    partners = (
        partner("shop", "detection"),
        partner("payments.eu-central.partner.example:service/" + "y" * 80, "allow_list", enforce_on_s=NOW_S),
        partner("quiet", "enforcement", rejected_tomorrow=False, recent=0, recent_failed=0),
    )
    return Readiness(
        at_s=NOW_S, frozen=True, partners=partners, p50_us=12.0, p99_us=340.0, unattributed=99,
        shadow=COMPARED, escalations=ESCALATIONS,
    )  # fmt: skip


COMPARED = tuple(
    Compared(
        partner="shop",
        route=route,
        seen=Seen(name="only_ours_refuses_expired", count=12_345, first_s=NOW_S, last_s=NOW_S),
    )
    for route in ("", "/payments/" + "z" * 90)
)
ESCALATIONS = (
    Escalation(
        rule="unknown_kids",
        partner="shop",
        contact="integration-team@partner.example",
        summary="tokens name keys that its key set does not have: ask for the set to be published first",
        count=1_234_567,
        first_s=NOW_S,
        last_s=NOW_S,
        evidence=(("kid", LONG), ("key set", LONG)),
    ),
)


def rollout_page(folder: Path) -> Path:
    """Write the readiness report."""
    path = folder / "readiness.html"
    path.write_text(page(readiness()), "utf-8")
    return path


def contract_page(folder: Path) -> Path:
    """Write the report of a contract whose partner sent nothing yet."""
    agreed = kit.Contract(
        partner="acme", our_iss="https://us.example", our_audience="acme", their_iss=LONG, their_audience="us"
    )
    kit.init(folder / "acme", agreed)
    send(folder / "acme")
    publish(folder / "acme", check(folder / "acme"))
    return folder / "acme" / "report.html"


@pytest.mark.parametrize("make", [rollout_page, contract_page])
def test_N13_reports_fit_every_screen(make: object, tmp_path: Path) -> None:
    """At 400, 1 280 and 1 920 pixels no report is wider than its window."""
    assert callable(make)
    assert overflows(tmp_path, make(tmp_path), WIDTHS) == dict.fromkeys(WIDTHS, 0)


def test_N13_a_page_that_is_too_wide_is_seen(tmp_path: Path) -> None:
    """The measure tells a page of 1 000 pixels from one that fits."""
    wide = tmp_path / "wide.html"
    wide.write_text("<!doctype html><body style='margin:0'><div style='width:1000px'>x</div>", "utf-8")
    assert overflows(tmp_path, wide, WIDTHS) == {400: 600, 1280: 0, 1920: 0}
