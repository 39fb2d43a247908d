"""The readiness report: what it tells, in the terminal, as JSON, and as a page that a real browser shows."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rollouts import ISSUER, NOW_S, ask, engine, forged, good, rollout
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.rollout import Partner, Rollout, StateFolder
from rapidjws.rollout.escalation import Escalation
from rapidjws.rollout.report.plots import days_plot, latency_plot, when
from rapidjws.rollout.report.readiness import Compared, Readiness, Seen, readiness
from rapidjws.rollout.report.readiness_html import page
from rapidjws.rollout.rollout import first_plan

HOSTILE = (
    "</td><script>document.title='taken'</script>"
    "<img src='http://127.0.0.1:{port}/x' onerror=this.alt='taken'>&quot;"
)


def seen_policy() -> Rollout:
    """Return a rollout with a partner that is ready, one that fails, one on the list, and strangers."""
    one = rollout(
        Partner(name="ready"),
        Partner(name="failing", contact="ops@failing.example"),
        Partner(name="late", allow_listed_until_s=NOW_S + 30 * 86_400),
        Partner(name="silent"),
        phase="warning",
    )
    of = engine(one)
    for hours in (48, 2, 1):
        now_s = NOW_S - hours * 3600
        fresh = ISSUER.token(ISSUER.claims(now_s))
        for token, partner in ((fresh, "ready"), (forged(), "failing"), (None, "late"), (None, None)):
            ask(of, token, partner, now=now_s)
    return one


def hostile(report: Readiness, port: int) -> Readiness:
    """Return a report in which every foreign text tries to become markup."""
    evil = HOSTILE.format(port=port)
    seen = Seen(name=evil, count=1, first_s=NOW_S, last_s=NOW_S)
    rows = tuple(
        replace(row, partner=evil, contact=evil, phase=evil, why=evil, failures=(seen,),
                algorithms=(seen,), unknown_kids=(seen,), other_algorithms=(seen,))
        for row in report.partners
    )  # fmt: skip
    escalation = Escalation(rule="unknown_kids", partner=evil, contact=evil, summary=evil, count=1,
                            first_s=NOW_S, last_s=NOW_S, evidence=((evil, evil),))  # fmt: skip
    shadow = (Compared(partner=evil, route=evil, seen=seen),)
    return replace(report, partners=rows, escalations=(escalation,), shadow=shadow)


def test_report_tells_who_signs_who_fails_and_who_would_be_refused() -> None:
    """Each row has phase, counts, codes with first and last seen, latency and tomorrow's verdict."""
    report = readiness(seen_policy(), NOW_S)
    rows = {row.partner: row for row in report.partners}
    assert list(rows) == ["ready", "failing", "late", "silent", "(unknown callers)"]
    assert {name: row.rejected_tomorrow for name, row in rows.items()} == {
        "ready": False, "failing": True, "late": False, "silent": False,
        "(unknown callers)": True}  # fmt: skip
    failing = rows["failing"]
    assert failing.failures == (
        Seen(name="signature_invalid", count=3, first_s=NOW_S - 48 * 3600, last_s=NOW_S - 3600),)  # fmt: skip
    assert (failing.requests, failing.verified, failing.recent, failing.recent_failed) == (3, 0, 2, 2)
    assert [total for _, total, _ in failing.days] == [1, 2]
    assert rows["ready"].is_ready
    assert not any(rows[name].is_ready for name in ("failing", "late", "silent"))
    assert 0 < rows["ready"].p50_us <= rows["ready"].p99_us
    assert 0 < report.p50_us <= report.p99_us
    assert sum(rows["ready"].latency) == 3
    assert (
        json.loads(json.dumps(report.as_dict()))["partners"][1]["failures"][0]["name"] == "signature_invalid"
    )


def test_hours_of_a_wrong_clock_do_not_count_as_today() -> None:
    """Requests counted under a clock that ran years ahead are no evidence now, and push none out."""
    one = rollout(Partner(name="a"), phase="detection")
    of = engine(one)
    ask(of, None, "a", now=NOW_S - 3600)
    for hour in range(3000):
        ask(of, None, "a", now=NOW_S + 10**8 + hour * 3600)
    for minute in range(10):
        ask(of, None, "a", now=NOW_S + minute * 60)
    (row,) = readiness(one, NOW_S + 600).partners
    assert row.recent == 10
    for hour in range(3):
        ask(of, None, "a", now=NOW_S + hour * 3600)
    (row,) = readiness(one, NOW_S + 3 * 3600).partners
    assert row.recent == 13


class Tags(HTMLParser):
    """A page's tags, and its attributes that fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetching: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        self.tags.append(tag)
        names = ("src", "href", "action", "srcset", "data", "poster", "background", "style")
        self.fetching += [name for name, _ in attrs if name in names or name.startswith("on")]


def test_page_is_one_file_without_anything_foreign() -> None:
    """No tag of a foreign name's, no attribute that fetches or runs, no script; whole and well nested."""
    tags = Tags()
    text = page(hostile(readiness(seen_policy(), NOW_S), 1))
    tags.feed(text)
    assert tags.fetching == []
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & set(tags.tags)
    assert tags.tags.count("svg") == 2 * 4  # both plots of each but the silent one
    assert "default-src 'none'" in text


def printed(command: list[str]) -> str:
    """Return what a command prints; it and its children are ended where it takes a minute."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            return process.communicate(timeout=60)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def test_browser_shows_the_page_and_asks_for_nothing(tmp_path: Path) -> None:
    """A real browser draws the plots, runs no foreign script, and makes no request for a foreign name."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no headless browser: apt-get install chromium")
    asked: list[str] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        """A listener that notes each request."""

        def do_GET(self) -> None:
            """Take note of one."""
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        path = tmp_path / "report.html"
        path.write_text(page(hostile(readiness(seen_policy(), NOW_S), listener.server_port)), "utf-8")
        probe = tmp_path / "probe.html"  # the same attack on a page without our care: it must be seen
        probe.write_text(f"<title>x</title>{HOSTILE.format(port=listener.server_port)}", "utf-8")
        shown = {}
        try:
            for file in (probe, path):
                asked.clear()
                command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                           f"--user-data-dir={tmp_path / 'profile'}", "--disable-background-networking",
                           "--dump-dom", file.as_uri()]  # fmt: skip
                shown[file.stem] = (printed(command), list(asked))
        except subprocess.TimeoutExpired:
            pytest.skip("the headless browser does not start here")
        finally:
            listener.shutdown()
    if "taken</title>" not in shown["probe"][0]:
        pytest.skip("the headless browser does not run here")
    assert shown["probe"][1] == ["/x"]
    dom, requests = shown["report"]
    assert requests == []
    assert "<title>Readiness for signatures</title>" in dom
    assert dom.count("<svg") == 8
    assert "<script" not in dom


def test_days_without_requests_are_gaps() -> None:
    """The plot of days keeps its time scale: a day without requests is empty, and old days leave it."""
    days = ((100, 4, 1), (159, 2, 2), (160, 2, 0))
    text = days_plot(days)
    assert text.count("<title>") == 2 * 2  # day 100 lies 60 days back
    assert 'x="0.0"' in text
    assert 'x="10.7"' in text
    assert days_plot(()) == days_plot(((1, 0, 0),)) == "<p>No requests yet.</p>"


def test_latency_plot_names_its_ends() -> None:
    """The plot of latencies spans the used powers of two, and names both ends."""
    text = latency_plot((*[0] * 13, 5, 0, 1, *[0] * 24))
    assert text.count("<rect") == 3
    assert "up to 8 \u00b5s on the left, 33 \u00b5s on the right" in text
    assert latency_plot((0,) * 40) == ""


@pytest.mark.parametrize(("moment_s", "words"), [
    (0, "1970-01-01 00:00"), (253_402_300_799, "9999-12-31 23:59"), (10**15, "beyond the calendar"),
])  # fmt: skip
def test_moments_in_words(moment_s: int, words: str) -> None:
    """Any moment has words, those beyond the calendar as well."""
    assert when(moment_s) == words


def test_terminal_shows_all_parts(tmp_path: Path) -> None:
    """The command shows latency, codes with times, escalations and the comparison, and reads no markup."""
    config = tmp_path / "c.toml"
    config.write_text("""
[[issuers]]
iss = "https://a.example"
algorithms = ["ES256"]
jwks_file = "absent.json"

[[partners]]
name = "a"
contact = "ops@a.example"

[rollout]
state = "state"
""")
    import time

    now_s = int(time.time())
    worker = Rollout([Partner(name="a")], state=StateFolder(tmp_path / "state", first_plan()))
    of = engine(worker)
    for moment_s in (now_s - 7200, now_s):
        head, _, rest = good().partition(".")
        of.decide(f"eyJhbGciOiJFUzI1NiIsImtpZCI6IltiXXgifQ.{rest}", partner="a", now=moment_s)
        assert head
    worker.evidence.count_shadow(("a", ""), "theirs_accepts unknown_kid", now_s)
    worker.evidence.flush()
    words = ["rollout", "report", "--config", str(config)]
    found = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert found.exit_code == 1
    for part in ("p50 / p99", "what fails", "unknown_kid", "to take up", "kid: [b]x (2 times)",
                 "ops@a.example", "beside the incumbent", "theirs accepts unknown kid",
                 "refused: 2 of 2 requests"):  # fmt: skip
        assert part in found.output
