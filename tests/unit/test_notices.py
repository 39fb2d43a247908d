"""What a notice says, to whom, and what can never get into one; templates and marks."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from rollouts import NOW_S, ask, engine, forged, good, rollout

import rapidjws
from rapidjws.rollout import Partner
from rapidjws.rollout.partner import checked_address
from rapidjws.rollout.report.mailing import MailServer
from rapidjws.rollout.report.notices import Notice, Templates, notices_for, templates_from
from rapidjws.rollout.report.readiness import Readiness, readiness

DAY_S = 86_400


def report() -> Readiness:
    """Return a report on partners that fail, are ready, silent, without contact, and on strangers."""
    policy = rollout(
        Partner(name="a", contact="ops@a.example", allow_listed_until_s=NOW_S + 30 * DAY_S),
        Partner(name="b", contact="ops@b.example"),
        Partner(name="silent", contact="ops@silent.example"),
        Partner(name="mute"),
        phase="detection",
    )
    policy.promote(by="ann", enforce_on_s=NOW_S + 10 * DAY_S)
    of = engine(policy)
    for token, partner in (
        (forged(), "a"),
        (None, "a"),
        (good(), "a"),
        (good(), "b"),
        (None, "mute"),
        (None, None),
    ):
        ask(of, token, partner)
    return readiness(policy, NOW_S)


def one(name: str = "a", **changes: Any) -> Notice:
    """Return the notice to one partner, made from a changed row or with other templates."""
    templates = changes.pop("templates", None)
    found = report()
    rows = tuple(replace(row, **changes) if row.partner == name else row for row in found.partners)
    (notice,) = notices_for(replace(found, partners=rows), templates, partners=[name], ready_too=True)
    return notice


def test_who_gets_a_notice() -> None:
    """Those with a contact and a date who are not ready get one; strangers and the ready do not."""
    assert [notice.to for notice in notices_for(report())] == ["ops@a.example", "ops@silent.example"]
    everyone = notices_for(report(), ready_too=True)
    assert [notice.partner for notice in everyone] == ["a", "b", "silent"]
    assert [notice.partner for notice in notices_for(report(), partners=["silent", "mute"])] == ["silent"]
    strangers = rollout(default=Partner(name="default", contact="ops@x.example"), phase="detection")
    ask(engine(strangers), None)
    strangers.promote(by="ann", enforce_on_s=NOW_S + DAY_S)
    assert notices_for(readiness(strangers, NOW_S), ready_too=True) == ()
    undated = replace(report(), partners=tuple(replace(row, enforce_on_s=None) for row in report().partners))
    assert notices_for(undated, ready_too=True) == ()


def test_what_a_notice_says() -> None:
    """Both parts tell the date, the partner's own failures with counts and times, and what to do."""
    notice = one()
    assert notice.subject == "Signed requests are required from 2027-02-14 on: a"
    for part in (notice.text, notice.html):
        assert "2027-02-14 08:00 UTC" in part  # the later of the announced date and its own on the list
        assert "Of 3 requests so far, 2 had no valid token" in " ".join(part.split())
        assert "missing_token" in part
        assert "signature_invalid" in part
        assert "1 times, first 2027-01-15 08:00" in part
        assert "Send it where it belongs" in part
    assert "2027-01-25" in one("b").subject
    assert "All requests of the last day were good." in one("b").text
    assert "No request came on the last day." in one("silent").html


def test_only_the_partners_own_data() -> None:
    """Nothing of another partner, or of strangers, is in a notice."""
    for name, others in (
        ("a", ("b.example", "silent", "mute")),
        ("b", ("a.example", "missing_token", "mute")),
    ):
        notice = one(name)
        for part in (notice.subject, notice.text, notice.html, notice.message("us@gate.example").as_string()):
            assert not any(other in part for other in others)


def test_message_is_whole() -> None:
    """The mail has one recipient, both parts, a stable id, and says that a program wrote it."""
    octets = one().message("us@gate.example", "help@gate.example").as_bytes(policy=policy.SMTP)
    mail = message_from_bytes(octets, policy=policy.default)
    assert (mail["To"], mail["From"], mail["Reply-To"]) == (
        "ops@a.example",
        "us@gate.example",
        "help@gate.example",
    )
    assert mail["Message-ID"] == f"<{one().mark}@gate.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]  # type: ignore[attr-defined]
    assert all(len(line) <= 998 for line in octets.splitlines())


def test_mark_names_partner_address_and_date() -> None:
    """The same partner, address and date are the same notice, whatever failed since; another date is not."""
    assert one().mark == one(requests=99, failures=()).mark
    marks = {one().mark, one("b").mark, one(enforce_on_s=NOW_S).mark, one(contact="x@a.example").mark}
    assert len(marks) == 4


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0", "\u2028", "\x85", "\x0b"])
def test_no_header_can_be_put_in(end: str) -> None:
    """Whatever a name, an address or a template holds, a notice never has a header of theirs."""
    evil = f"a{end}Bcc: evil@x.example"
    with pytest.raises(rapidjws.ConfigurationError):
        Partner(name=evil)
    with pytest.raises(rapidjws.ConfigurationError):
        Partner(name="a", contact=f"ops@a.example{end}Bcc: evil@x.example")
    with pytest.raises(rapidjws.ConfigurationError, match="subject"):
        one(partner="a", templates=Templates(subject=f"Hello{end}Bcc: evil@x.example"))
    row = replace(report().partners[0], partner=evil)
    with pytest.raises(rapidjws.ConfigurationError, match="subject"):
        notices_for(Readiness(at_s=NOW_S, frozen=False, partners=(row,)))
    with pytest.raises(rapidjws.ConfigurationError):
        replace(one(), to=f"ops@a.example{end}Bcc: evil@x.example")
    with pytest.raises(rapidjws.ConfigurationError):
        MailServer(host="localhost", sender=f"us@gate.example{end}Bcc: evil@x.example")


@pytest.mark.parametrize("address", [
    "", "ops", "@a.example", "ops@", "a@b, c@d", "a@b c@d", "O <o@a.example>", "a@b>", "a@@b", "a@b;c@d",
    '"a b"@c.example', "a@-b", "a@b-", "a@b\n", "\u00f6@a.example", "o@\u00e4.example", "a(c)@b",
    "x" * 65 + "@b", None, 7,
])  # fmt: skip
def test_addresses_name_one_mailbox(address: Any) -> None:
    """What is no plain address, or could be read as several, is refused."""
    with pytest.raises(rapidjws.ConfigurationError):
        checked_address("partner.contact", address)
    assert checked_address("partner.contact", "first.last+jws@mail.a-b.example")


def test_values_are_escaped_in_html_only() -> None:
    """Names become text, never markup, in the HTML part; the plain one shows them as they are."""
    evil = "<img src=x onerror=alert(1)>&amp;"
    row = replace(
        report().partners[0], partner=evil, failures=(replace(report().partners[0].failures[0], name=evil),)
    )
    (notice,) = notices_for(Readiness(at_s=NOW_S, frozen=False, partners=(row,)))
    assert "<img" not in notice.html
    assert notice.html.count("&lt;img src=x onerror=alert(1)&gt;&amp;amp;") == 2
    assert notice.text.count(evil) == 2


def test_values_are_no_templates() -> None:
    """A dollar sign in a value is a dollar sign."""
    row = replace(report().partners[0], partner="$failed${requests}")
    (notice,) = notices_for(Readiness(at_s=NOW_S, frozen=False, partners=(row,)))
    assert "$failed${requests}" in notice.text


def test_templates_of_ones_own(tmp_path: Path) -> None:
    """A folder's files take the place of ours, one by one; what they name wrongly is reported."""
    assert templates_from(None) == templates_from(tmp_path) == Templates()
    (tmp_path / "subject.txt").write_text("Bis $date, $partner: $$ \u00fcber\r\n", "utf-8")
    (tmp_path / "notice.txt").write_text("$partner hat noch $days Tage.\n$failures", "utf-8")
    notice = one(templates=templates_from(tmp_path))
    assert notice.subject == "Bis 2027-02-14, a: $ \u00fcber"
    assert notice.text.startswith("a hat noch 30 Tage.\nmissing_token: 1 times")
    assert notice.html == one().html
    octets = notice.message("us@gate.example").as_bytes(policy=policy.SMTP)
    assert message_from_bytes(octets, policy=policy.default)["Subject"] == notice.subject
    for text, words in (("$nothing", "nothing"), ("5 $ only", "lone"), ("$partner ${contact", "lone")):
        (tmp_path / "notice.html").write_text(text)
        with pytest.raises(rapidjws.ConfigurationError, match=words):
            one(templates=templates_from(tmp_path))
    (tmp_path / "notice.html").write_bytes(b"\xff")
    with pytest.raises(rapidjws.ConfigurationError, match=r"notice\.html"):
        templates_from(tmp_path)
    (tmp_path / "notice.html").write_bytes(b"x" * 70_000)
    with pytest.raises(rapidjws.ConfigurationError, match=r"notice\.html"):
        templates_from(tmp_path)
    with pytest.raises(rapidjws.ConfigurationError, match="folder"):
        templates_from(tmp_path / "absent")
