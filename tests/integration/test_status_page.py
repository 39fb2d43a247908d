"""The status page in a real browser: live, at any width, by keyboard and screen reader, and harmless."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from admins import call, connected
from cdp import Browser, running_browser
from gates import COMMAND, bearer, forged, free_port, get, token
from sidecar_process import Service, configured, until
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.sidecar.status_page import CONTENT_SECURITY_POLICY

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

SECRET = "an-administrator-secret-that-is-long-enough"
HOSTILE = "https://x.example/<img src=x onerror=pwned=1><script>pwned=1</script>\"'&amp;"
PARTNER = "<b onmouseover=pwned=1>&lt;shop&gt;</b>"
AXE = (
    Path(__file__).resolve().parents[2]
    / "build"
    / "partners"
    / "node"
    / "node_modules"
    / "axe-core"
    / "axe.min.js"
)
LOOK_AT = os.environ.get("RAPIDJWS_PICTURES")


class Shown:
    """A sidecar whose names are hostile, and a browser."""

    def __init__(self, folder: Path) -> None:
        self.port, self.admin = free_port(), free_port()
        (folder / "token.txt").write_text(SECRET)
        server = {"admin_listen": f"127.0.0.1:{self.admin}", "admin_token_file": "token.txt"}
        path = configured(folder, f"127.0.0.1:{self.port}", 2, **server, partner_header="X-Partner")
        config = json.loads(path.read_text())
        gone = {"jwks_url": f"https://127.0.0.1:{free_port()}/jwks", "algorithms": ["ES256"], "audience": "a"}
        config["issuers"].append({"iss": HOSTILE, "required": False, **gone})
        config["partners"].append({"name": "@long/name:of-a_partner." + "x" * 90, "issuers": [HOSTILE]})
        self.log = folder / "service.jsonl"
        config["logs"] = {"destination": "service.jsonl"}
        path.write_text(json.dumps(config))
        self.service = Service(folder, ["--config", str(path)])
        self.service.wait_for("2 workers")
        self.url = f"http://any:{SECRET}@127.0.0.1:{self.admin}/admin/"

    def status(self) -> Any:
        """Return the status."""
        return call(self.admin, "GET", "/admin/status.json", None, bearer(SECRET))[1]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Run the sidecar."""
    one = Shown(tmp_path_factory.mktemp("status"))
    for _ in range(60):
        get(one.port, bearer(token()), "/verify")
    for _ in range(20):
        get(one.port, [*bearer(forged()), ("X-Partner", "ready")], "/verify")
    yield one
    one.service.end()


@pytest.fixture(scope="module")
def page(shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Open the page in a browser."""
    with running_browser(tmp_path_factory.mktemp("browser")) as one:
        one.resize(1600)
        one.open(shown.url)
        one.until("document.querySelectorAll('#workers tbody tr').length === 2")
        yield one


def text(page: Browser, part: str) -> str:
    """Return the text of a part of the page."""
    found: str = page.evaluate(f"document.getElementById({part!r}).textContent")
    return found


def test_K_the_page_is_live(shown: Shown, page: Browser) -> None:
    """What the workers count is on the page within moments, without a reload and without an error."""
    assert "signature_invalid" in text(page, "reasons")
    assert "ready" in text(page, "partners")
    assert "enforcement" in text(page, "partners")
    assert "https://a.example" in text(page, "issuers")
    before = len(text(page, "reasons"))
    for _ in range(5):
        get(shown.port, [], "/verify")
    page.until("document.getElementById('reasons').textContent.includes('missing_token')")
    assert len(text(page, "reasons")) > before
    assert page.complaints() == []
    assert {
        url.partition("?")[0].rpartition("/admin/")[2] for url in page.requested() if "/admin/" in url
    } == {
        "",
        "page.css",
        "page.js",
        "events",
    }
    assert all(url.startswith((f"http://127.0.0.1:{shown.admin}/", "data:", "about:"))
               or f"@127.0.0.1:{shown.admin}/" in url for url in page.requested())  # fmt: skip


def test_K_hostile_names_stay_text(page: Browser) -> None:
    """Markup in the name of an issuer or partner is shown as it is, and nothing of it runs or loads."""
    assert HOSTILE in text(page, "issuers")
    page.evaluate("paused = true")
    hostile = """
        const names = {partner: NAME, why: NAME, phase: NAME, issuer: NAME, kid: NAME, detail: NAME,
          event: NAME, by: NAME, failure: NAME, code: NAME, summary: NAME, name: NAME, runbook: NAME,
          verdict: NAME};
        const bad = JSON.parse(JSON.stringify(latest));
        for (const part of ['partners', 'issuers', 'changes']) bad[part] = [{...bad[part][0], ...names}];
        bad.issuers[0].keys = [{kid: NAME, alg: NAME, seen_s: null}];
        bad.partners[0].most_frequent = [[NAME, 1]];
        bad.windows[1].codes = [{...names, count: 1}];
        bad.alerts = [{...names, severity: 'page', since_s: 0}];
        bad.health = NAME; bad.release = NAME;
    """.replace("NAME", json.dumps(PARTNER))
    page.evaluate("(() => {" + hostile + "; show(bad); })()")
    for part in ("partners", "issuers", "changes", "reasons", "alerts", "foot", "health"):
        assert PARTNER in text(page, part), part
    assert page.evaluate("typeof pwned") == "undefined"
    assert page.evaluate("document.querySelectorAll('main img, main script, b').length") == 0
    page.evaluate("paused = false")
    page.until("!document.getElementById('health').textContent.includes('<')")


def test_K_nothing_foreign_runs_even_where_it_gets_in(page: Browser) -> None:
    """The policy stops inline scripts, handlers, styles and foreign files that somebody managed to insert."""
    refused = page.evaluate("""
        (() => {
          const refused = [];
          const script = document.createElement('script');
          const image = document.createElement('img');
          image.src = '/nowhere.png';
          for (const [name, attempt] of [
            ['script', () => { script.text = 'inserted = 1'; document.body.append(script); }],
            ['handler', () => { image.setAttribute('onerror', 'inserted = 1'); }],
            ['markup', () => { document.body.innerHTML += '<script>inserted = 1</script>'; }],
          ]) { try { attempt(); } catch (fault) { refused.push(name); } }
          document.body.append(image);
          return refused;
        })()
    """)
    assert set(refused) == {"script", "handler", "markup"}
    assert page.evaluate("new Promise(done => setTimeout(() => done(typeof inserted), 500))") == "undefined"
    assert (
        page.evaluate("fetch('https://elsewhere.example/').then(() => 'sent', () => 'refused')") == "refused"
    )
    page.evaluate("document.querySelector('body > img').remove()")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
def test_K_usable_at_each_width(page: Browser, width: int, scheme: str, tmp_path: Path) -> None:
    """Nothing runs over the edge of a telephone or a large screen, in light and in dark."""
    page.resize(width)
    page.scheme(scheme)
    page.until("document.querySelectorAll('#workers tbody tr').length === 2")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    wide = """[...document.querySelectorAll('body *')].filter(e => e.getClientRects().length
              && !e.classList.contains('skip') && !e.closest('thead')
              && e.getBoundingClientRect().right > window.innerWidth + 1).map(e => e.outerHTML)"""
    assert page.evaluate(wide) == []
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    folder = Path(LOOK_AT) if LOOK_AT else tmp_path
    page.picture(folder / f"status-{width}-{scheme}.png")
    assert (folder / f"status-{width}-{scheme}.png").stat().st_size > 10_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
def test_K_axe_finds_nothing(page: Browser, width: int, scheme: str) -> None:
    """Axe finds no violation of WCAG 2.2 AA or of its best practices, contrast among them."""
    if not AXE.is_file():
        pytest.skip("axe-core is not there: make partners")
    page.resize(width)
    page.scheme(scheme)
    page.evaluate(AXE.read_text("utf-8") + "; 1")
    found = page.evaluate("axe.run(document).then(r => r.violations.map(v => [v.id, v.nodes[0].html]))")
    assert found == []


def test_K_by_keyboard_alone(page: Browser) -> None:
    """Tab reaches the skip link, the pause button and the filter; each does its part from the keyboard."""
    page.resize(1600)
    page.evaluate(
        "document.activeElement.blur(); window.getSelection().removeAllRanges(); document.body.focus()"
    )
    page.press("Tab", 9)
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.press("Tab", 9)
    assert page.evaluate("document.activeElement.id") == "pause"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press(" ", 32)
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    before = text(page, "when")
    assert page.evaluate("new Promise(done => setTimeout(() => done(1), 4500))") == 1
    assert text(page, "when") == before
    page.press("Enter", 13)
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
    page.until(f"document.getElementById('when').textContent !== {before!r}")
    page.press("Tab", 9)
    assert page.evaluate("document.activeElement.id") == "filter"
    page.call("Input.insertText", text="a.example")
    page.until("document.querySelectorAll('#issuers tbody tr').length === 1")
    page.evaluate("(() => { const f = document.getElementById('filter'); f.value = ''; "
                  "f.dispatchEvent(new Event('input')); })()")  # fmt: skip


def test_K_for_a_screen_reader(page: Browser) -> None:
    """Landmarks, headings, named tables with row and column heads, a status and a polite list of alerts."""
    for width in (1600, 400):
        page.resize(width)
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        seen = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes
                if not node.get("ignored") and "role" in node]  # fmt: skip
        roles = [role for role, _ in seen]
        assert {"banner", "main", "contentinfo", "status"} <= set(roles)
        headings = [name for role, name in seen if role == "heading"]
        assert headings[0] == "rapidjws status"
        assert {"Active alerts", "Issuers and keys", "Partners", "Workers", "Recent changes"} <= set(headings)
        tables = {name for role, name in seen if role == "table"}
        assert {"Issuers and keys", "Partners", "Workers", "Verdicts", "Recent changes"} <= tables
        assert {"rowheader", "columnheader", "cell"} <= set(roles)
        charts = [
            name for role, name in seen if role in ("image", "img") and name.startswith("Requests a second")
        ]
        assert len(charts) == 1
    assert page.evaluate("document.getElementById('alerts').getAttribute('aria-live')") == "polite"


def test_K_the_page_needs_the_token(shown: Shown) -> None:
    """Without the token there is no page, stream or status; as a password it opens nothing but them."""
    basic = base64.b64encode(f"any:{SECRET}".encode()).decode()
    password = [("Authorization", f"Basic {basic}")]
    wrong = [("Authorization", "Basic " + base64.b64encode(b"any:wrong").decode())]
    for path in ("", "page.js", "page.css", "events", "status.json"):
        assert call(shown.admin, "GET", f"/admin/{path}")[0] == 401
        assert call(shown.admin, "GET", f"/admin/{path}", None, wrong)[0] == 401
        assert call(shown.admin, "GET", f"/admin/{path}", None, [("Authorization", "Basic %%%")])[0] == 401
    for path in ("", "page.js", "page.css", "status.json"):
        assert call(shown.admin, "GET", f"/admin/{path}", None, password)[0] == 200
        assert call(shown.admin, "GET", f"/admin/{path}", None, bearer(SECRET))[0] == 200
        assert call(shown.admin, "POST", f"/admin/{path}", {}, password)[0] == 405
    for path in ("keys", "config", "rollout", "status"):
        assert call(shown.admin, "GET", f"/admin/{path}", None, password)[0] == 401
    assert call(shown.admin, "POST", "/admin/freeze", {}, password)[0] == 401
    assert call(shown.port, "GET", "/admin/")[0] == 404


def test_K_what_a_browser_is_reported(shown: Shown) -> None:
    """Every file of the page has a strict policy, its type, and is not kept."""
    for path in ("", "page.js", "page.css"):
        link = connected(shown.admin)
        link.request("GET", f"/admin/{path}", headers=dict(bearer(SECRET)))
        answer = link.getresponse()
        octets = answer.read()
        link.close()
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert octets
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert b"http:" not in octets.replace(b"http://www.w3.org/2000/svg", b"")


def test_K_no_secret_on_the_page(shown: Shown, page: Browser) -> None:
    """Neither the admin token nor a token that was sent is in the status or on the page."""
    sent = token(jti="canary-of-the-status-page")
    get(shown.port, bearer(sent), "/verify")
    get(shown.port, bearer(sent[:-8] + "AAAAAAAA"), "/verify")
    until(lambda: shown.status()["windows"][0]["requests"], "requests are counted")
    texts = json.dumps(shown.status()) + page.evaluate("document.documentElement.outerHTML")
    assert SECRET not in texts
    for part in sent.split("."):
        assert part not in texts
    assert "canary-of-the-status-page" not in texts


def top(shown: Shown, folder: Path, *words: str) -> tuple[int, str]:
    """Run ``rapidjws top``; return its status and what it wrote."""
    (folder / "token").write_text(SECRET)
    admin = ("--admin", f"http://127.0.0.1:{shown.admin}", "--admin-token-file", str(folder / "token"))
    found = CliRunner().invoke(app, ["top", *admin, *words], env={"COLUMNS": "200"})
    return found.exit_code, found.output


def test_K_top_shows_the_same_in_a_terminal(shown: Shown, tmp_path: Path) -> None:
    """Once and as JSON the terminal has what the page has; the exit status tells of alerts."""
    status, text = top(shown, tmp_path, "--once")
    assert status == 1, text
    words = (
        "failing p95 signature_invalid https://a.example enforcement fetch_failed JWKSFetchFailing".split()
    )
    for word in (*words, HOSTILE, *(str(pid) for pid in shown.service.workers())):
        assert word in text, word
    assert "None" not in text
    status, text = top(shown, tmp_path, "--json")
    found = json.loads(text)
    assert (status, found["version"], len(found["workers"])) == (1, 1, 2)
    assert {alert["name"] for alert in found["alerts"]} >= {"JWKSFetchFailing"}
    (tmp_path / "wrong").write_text("another secret of an administrator")
    words = ["top", "--admin", f"http://127.0.0.1:{shown.admin}", "--once", "--admin-token-file"]
    found_wrong = CliRunner().invoke(app, [*words, str(tmp_path / "wrong")])
    assert found_wrong.exit_code == 2
    assert "admin_unauthorized" in found_wrong.output


def test_K_an_alert_is_told_in_the_changes_and_in_the_log(shown: Shown) -> None:
    """When one of its own alerts begins, the service says so among its changes, and logs a line."""

    def told() -> bool:
        return any(
            one["event"] == "alert_started" and "runbook jwks-down" in one["detail"]
            for one in shown.status()["changes"]
        )

    until(told, "the alert is among the changes")
    until(lambda: '"event":"alert_started"' in shown.log.read_text(), "the alert is in the log")
    words = ["incident", "timeline", "--log", str(shown.log), "--since", "1h", "--format", "json"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    kinds = {one["kind"] for one in json.loads(found.output)["entries"]}
    assert {"alert", "fetch", "key", "refusal", "restart"} <= kinds


def test_K_top_goes_on_while_it_is_looked_at(shown: Shown, tmp_path: Path) -> None:
    """In a terminal it is drawn again and again until Ctrl-C, which is no fault."""
    (tmp_path / "token").write_text(SECRET)
    main, other = pty.openpty()
    command = [*COMMAND, "top", "--admin", f"http://127.0.0.1:{shown.admin}", "--every", "0.5",
               "--admin-token-file", str(tmp_path / "token")]  # fmt: skip
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "60"}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        os.close(other)
        seen = b""
        while seen.count(b"requests a second") < 3:
            seen += os.read(main, 65536)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the terminal is gone
            while os.read(main, 65536):
                pass
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(main)
    assert b"Traceback" not in seen


def test_K_a_drain_does_not_wait_for_streams(tmp_path: Path) -> None:
    """A sidecar that stops hangs up on whoever looks at the page, and ends at once."""
    path = configured(tmp_path, f"127.0.0.1:{free_port()}", 1, admin_listen="unix:admin.sock")
    service = Service(tmp_path, ["--config", str(path)])
    try:
        service.wait_for("1 workers")
        link = connected(tmp_path / "admin.sock")
        link.request("GET", "/admin/events")
        answer = link.getresponse()
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.readline() == b"retry: 2000\n"
        assert answer.readline() == b"\n"
        assert answer.readline().startswith(b"data: {")
    finally:
        begun_s = time.monotonic()
        assert service.end() == 0
    assert time.monotonic() - begun_s < 9.0, "it waited for drain_s"
    link.close()
