"""Notices to partners: when enforcement begins, and what fails of what they send; mails from templates.

What this never does: put another partner's data into a mail, or a line break into a header.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from rapidjws import _files
from rapidjws.errors import CODES, error_for
from rapidjws.escaping import html as as_html
from rapidjws.escaping import printable
from rapidjws.rollout.partner import checked_address
from rapidjws.rollout.report.plots import when

if TYPE_CHECKING:
    from collections.abc import Iterable
    from email.message import EmailMessage

    from rapidjws.rollout.report.readiness import PartnerReadiness, Readiness

TEMPLATE_MAX_BYTES: Final = 64 * 1024
FAILURES_SHOWN: Final = 12

SUBJECT: Final = "Signed requests are required from $date on: $partner"

TEXT: Final = """\
Good day,

from $enforced_on on, requests by $partner are refused unless they carry a valid signature.

Of $requests requests so far, $failed had no valid token; on the last day it was $recent_failed of $recent.
$verdict

$failures

This message was made by a program. Please answer it if the date cannot be kept.
"""

HTML: Final = """\
<!doctype html><html lang="en"><body style="font:15px/1.5 sans-serif;color:#1c2430">
<p>Good day,</p>
<p>from <b>$enforced_on</b> on, requests by <b>$partner</b> are refused unless they carry a valid
signature.</p>
<p>Of $requests requests so far, $failed had no valid token; on the last day it was $recent_failed of $recent.
$verdict</p>
$failures
<p style="color:#5d6877">This message was made by a program. Please answer it if the date cannot be kept.</p>
</body></html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """The three templates of a notice; ``$name`` is replaced, ``$$`` is a dollar sign.

    Args:
        subject: One line.
        text: The plain text part.
        html: The HTML part; what is put in is escaped.
    """

    subject: str = SUBJECT
    text: str = TEXT
    html: str = HTML


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One mail.

    Args:
        partner: Whom it is about.
        to: Its technical contact.
        subject: One line.
        text: The plain text part.
        html: The HTML part.
        mark: Names the notice: the same partner, address and date make the same one.

    Raises:
        ConfigurationError: ``configuration_invalid``: an address that is not one, or a subject that is not
            one line: it could begin another header.
    """

    partner: str
    to: str
    subject: str
    text: str
    html: str
    mark: str

    def __post_init__(self) -> None:
        """Check what goes into headers."""
        checked_address("notice.to", self.to)
        if not self.subject.isprintable() or not self.subject.strip():
            raise error_for("configuration_invalid", "notice.subject", expected="one printable line")

    def message(self, sender: str, reply_to: str | None = None) -> EmailMessage:
        """Return the mail."""
        from email.message import EmailMessage  # costs a start some milliseconds

        mail = EmailMessage()
        mail["From"] = sender
        mail["To"] = self.to
        if reply_to is not None:
            mail["Reply-To"] = reply_to
        mail["Subject"] = self.subject
        mail["Message-ID"] = f"<{self.mark}@{sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(self.text)
        mail.add_alternative(self.html, subtype="html")
        return mail


def templates_from(folder: Path | None) -> Templates:
    """Return the templates, those that a folder holds in place of ours.

    Args:
        folder: May hold ``subject.txt``, ``notice.txt`` and ``notice.html``; None for ours.

    Raises:
        ConfigurationError: ``configuration_invalid``: no folder, or a file that cannot be read.
    """
    if folder is None:
        return Templates()
    if not folder.is_dir():
        raise error_for("configuration_invalid", "notices.templates", expected="a folder")
    found = {
        name: _read(folder / file)
        for name, file in (("subject", "subject.txt"), ("text", "notice.txt"), ("html", "notice.html"))
        if (folder / file).exists()
    }
    if "subject" in found:
        found["subject"] = found["subject"].rstrip("\r\n")
    return Templates(**found)


def _read(path: Path) -> str:
    try:
        return _files.read_trusted(path, TEMPLATE_MAX_BYTES).decode("utf-8")
    except (OSError, ValueError) as fault:
        place = f"notices.templates: {path.name}"
        raise error_for("configuration_invalid", place, "a template in UTF-8", type(fault).__name__) from None


def notices_for(
    report: Readiness,
    templates: Templates | None = None,
    *,
    partners: Iterable[str] | None = None,
    ready_too: bool = False,
) -> tuple[Notice, ...]:
    """Return a notice for each partner that has a contact, an announced date, and something to do.

    Args:
        report: The readiness report.
        templates: The templates; by default ours.
        partners: Names of those to write to; None for all.
        ready_too: Whether those who are ready get one, too.

    Raises:
        ConfigurationError: ``configuration_invalid``: a template names what there is not, or makes a subject
            of more than one line.
    """
    wanted = None if partners is None else frozenset(partners)
    return tuple(
        _notice(one, one.contact, one.enforce_on_s, report.at_s, templates or Templates())
        for one in report.partners
        if one.is_known
        and one.contact is not None
        and one.enforce_on_s is not None
        and (ready_too or not one.is_ready)
        and (wanted is None or one.partner in wanted)
    )


def _notice(one: PartnerReadiness, to: str, enforce_on_s: int, now_s: int, templates: Templates) -> Notice:
    values = {
        "partner": one.partner,
        "contact": to,
        "date": when(enforce_on_s)[:10],
        "enforced_on": f"{when(enforce_on_s)} UTC",
        "days": str(max(0, -(-(enforce_on_s - now_s) // 86_400))),
        "phase": one.phase,
        "requests": str(one.requests),
        "failed": str(one.requests - one.verified),
        "recent": str(one.recent),
        "recent_failed": str(one.recent_failed),
        "verdict": _verdict(one),
    }
    plain = {name: printable(value) for name, value in values.items()}
    escaped = {name: as_html(value) for name, value in values.items()}
    named = json.dumps([one.partner, to, enforce_on_s])
    return Notice(
        partner=one.partner,
        to=to,
        subject=_filled("subject", templates.subject, values),
        text=_filled("text", templates.text, {**plain, "failures": _as_text(one)}),
        html=_filled("html", templates.html, {**escaped, "failures": _as_html(one)}),
        mark=hashlib.sha256(named.encode()).hexdigest()[:32],
    )


def _filled(name: str, template: str, values: dict[str, str]) -> str:
    try:
        return Template(template).substitute(values)
    except (KeyError, ValueError) as fault:
        found = str(fault.args[0]) if isinstance(fault, KeyError) else "a lone $"
        place = f"notices.templates: {name}"
        raise error_for("configuration_invalid", place, tuple(sorted(values)), found) from None


def _verdict(one: PartnerReadiness) -> str:
    if not one.recent:
        return "No request came on the last day."
    if one.is_ready:
        return "All requests of the last day were good."
    return "These would be refused."


def _lines(one: PartnerReadiness) -> list[tuple[str, str, str]]:
    """Return code, count and times, and what to do, of the most frequent failures."""
    rows = []
    for seen in one.failures[:FAILURES_SHOWN]:
        row = CODES.get(seen.name)
        times = f"{seen.count} times, first {when(seen.first_s)}, last {when(seen.last_s)} UTC"
        rows.append((seen.name, times, "" if row is None else f"{row.meaning}. {row.fix}"))
    return rows


def _as_text(one: PartnerReadiness) -> str:
    rows = [f"{printable(code)}: {times}\n    {words}".rstrip() for code, times, words in _lines(one)]
    return "\n".join(rows) or "No failures."


def _as_html(one: PartnerReadiness) -> str:
    rows = "".join(f"<tr>{''.join(f'<td>{as_html(cell)}</td>' for cell in row)}</tr>" for row in _lines(one))
    return (
        f'<table border="1" cellpadding="6" style="border-collapse:collapse">{rows}</table>' if rows else ""
    )
