"""Notices over real SMTP: TLS, logins, refusals, broken connections, and never twice."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import run_python
from smtp_server import AUTHORITY, HOST, Box, OwnSMTP
from typer.testing import CliRunner

import rapidjws
from rapidjws.cli.app import app
from rapidjws.rollout.report.mailing import MailServer, Sending, SentLog, send
from rapidjws.rollout.report.notices import Notice

LOGIN = ("gate", "correct horse")
SENDER = "us@gate.example"


def notice(name: str) -> Notice:
    """Return a notice to ops@NAME.example."""
    return Notice(
        partner=name, to=f"ops@{name}.example", subject=f"To {name}", text="Hello\n.\nBye",
        html="<p>Hello</p>", mark=f"mark-{name}",
    )  # fmt: skip


NOTICES = tuple(notice(name) for name in "abc")


@pytest.fixture(name="ca")
def _ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> SentLog:
    return SentLog(tmp_path / "notices.jsonl")


def server(port: object = 25, /, **named: Any) -> MailServer:
    """Return the settings for a test's own server."""
    return MailServer(
        **{"host": HOST, "port": port, "sender": SENDER, "security": "none", "timeout_s": 60, **named}
    )


def outcomes(sendings: tuple[Sending, ...]) -> list[str]:
    """Return what became of each."""
    return [one.outcome for one in sendings]


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_each_partner_gets_one_mail(log: SentLog, ca: Path, security: str) -> None:
    """Over TLS, STARTTLS or plainly, each contact gets its own mail, whole, and none a second time."""
    box, login = Box(), None if security == "none" else LOGIN
    with OwnSMTP(box, security, login) as own:
        named = {} if login is None else {"username": login[0], "password": login[1]}
        settings = server(own.port, security=security, ca=ca, **named)
        assert outcomes(send(NOTICES, settings, log)) == ["sent"] * 3
        assert outcomes(send(NOTICES, settings, log)) == ["known"] * 3
        assert len(box.mails) == 3
        assert outcomes(send(NOTICES[:1], settings, log, again=True)) == ["sent"]
    assert box.envelopes == [(SENDER, [f"ops@{name}.example"]) for name in "abca"]
    assert box.tls == [security != "none"] * 4
    assert set(box.users) == {None if login is None else login[0]}
    mail = box.mails[0]
    text, html = mail.iter_parts()
    assert mail["Subject"] == "To a"
    assert text.get_content().splitlines() == ["Hello", ".", "Bye"]
    assert html.get_content().splitlines() == ["<p>Hello</p>"]


def test_untrusted_or_missing_tls_sends_nothing(log: SentLog, ca: Path) -> None:
    """A certificate of nobody we trust, or a server without STARTTLS, gets neither mail nor password."""
    for security, settings in (("tls", {"security": "tls"}), ("starttls", {}), ("none", {"ca": ca})):
        box = Box()
        with OwnSMTP(box, security) as own:
            named = {"security": "starttls", "username": LOGIN[0], "password": LOGIN[1], **settings}
            found = send(NOTICES, server(own.port, **named), log)
        assert outcomes(found) == ["failed"] * 3
        assert found[0].detail == (
            "SMTPNotSupportedError" if security == "none" else "SSLCertVerificationError"
        )
        assert box.mails == []
    assert [log.states().get(one.mark) for one in NOTICES] == [None] * 3


def test_refused_login(log: SentLog, ca: Path) -> None:
    """A refused login fails all, says the code and nothing else, and leaves them to be sent later."""
    box = Box()
    with OwnSMTP(box, "starttls", LOGIN) as own:
        bad = server(own.port, security="starttls", ca=ca, username="gate", password="wrong-secret")
        found = send(NOTICES, bad, log)
        assert outcomes(found) == ["failed"] * 3
        assert found[0].detail == "SMTPAuthenticationError 535"
        assert "wrong-secret" not in repr(found) + repr(bad)
        good = server(own.port, security="starttls", ca=ca, username=LOGIN[0], password=LOGIN[1])
        assert outcomes(send(NOTICES, good, log)) == ["sent"] * 3


def test_server_down(log: SentLog) -> None:
    """Where nobody listens all fail, and nothing is remembered as sent."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = send(NOTICES, server(port), log)
    assert {one.detail for one in found} <= {"ConnectionRefusedError", "OSError"}
    assert outcomes(found) == ["failed"] * 3
    assert [log.states().get(one.mark) for one in NOTICES] == [None] * 3


def test_silent_server_costs_its_time_once(log: SentLog) -> None:
    """A server that accepts and says nothing costs one timeout, not one a notice."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun_s = time.monotonic()
        found = send(NOTICES * 20, server(silent.getsockname()[1], timeout_s=0.5), log)
        assert outcomes(found) == ["failed"] * 60
        assert time.monotonic() - begun_s < 25


@pytest.mark.parametrize(("answer", "detail"), [
    ("550 no such user \x1b[31m", "550"), ("450 come again", "450"), ("421 closing", "421"),
])  # fmt: skip
def test_refused_recipient_holds_up_no_other(log: SentLog, answer: str, detail: str) -> None:
    """A recipient that is refused is reported by code; the others get theirs, and it may be tried again."""
    box = Box(refused={"ops@b.example": answer})
    with OwnSMTP(box) as own:
        found = send(NOTICES, server(own.port), log)
        assert outcomes(found) == ["sent", "refused", "sent"]
        assert found[1].detail == detail
        box.refused.clear()
        assert outcomes(send(NOTICES, server(own.port), log)) == ["known", "sent", "known"]
    assert [to for _, to in box.envelopes] == [["ops@a.example"], ["ops@c.example"], ["ops@b.example"]]


def test_refused_content(log: SentLog) -> None:
    """A mail whose content is refused is not sent, and may be tried again."""
    box = Box(data="554 no thanks")
    with OwnSMTP(box) as own:
        assert [(one.outcome, one.detail) for one in send(NOTICES, server(own.port), log)] == [
            ("refused", "554")
        ] * 3
        box.data = "250 OK"
        assert outcomes(send(NOTICES, server(own.port), log)) == ["sent"] * 3


def test_broken_connection_is_never_tried_again_by_itself(log: SentLog) -> None:
    """Where the connection breaks during a mail it may have arrived: only ``again`` sends it again."""
    box = Box(stop="ops@b.example")
    with OwnSMTP(box) as own:
        assert outcomes(send(NOTICES, server(own.port), log)) == ["sent", "uncertain", "sent"]
        box.stop = None
        assert outcomes(send(NOTICES, server(own.port), log)) == ["known"] * 3
        assert outcomes(send(NOTICES[1:2], server(own.port), log, again=True)) == ["sent"]


def test_crash_between_sending_and_remembering(log: SentLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash right after a mail was handed over never leads to a second one."""
    write = SentLog.write

    def crash(self: SentLog, one: Notice, state: str, at_s: int) -> None:
        if state == "sent":
            raise KeyboardInterrupt
        write(self, one, state, at_s)

    box = Box()
    with OwnSMTP(box) as own:
        monkeypatch.setattr(SentLog, "write", crash)
        with pytest.raises(KeyboardInterrupt):
            send(NOTICES, server(own.port), log)
        monkeypatch.setattr(SentLog, "write", write)
        assert outcomes(send(NOTICES, server(own.port), log)) == ["known", "sent", "sent"]
    assert len(box.mails) == 3


def test_log_that_cannot_be_written_sends_nothing(tmp_path: Path) -> None:
    """Without a log nothing is sent; a log cut off by a crash is read up to there."""
    box = Box()
    with OwnSMTP(box) as own:
        with pytest.raises(rapidjws.ConfigurationError):
            send(NOTICES, server(own.port), SentLog(tmp_path / "absent" / "log.jsonl"))
        (tmp_path / "log.jsonl").mkdir()
        with pytest.raises(rapidjws.ConfigurationError):
            send(NOTICES, server(own.port), SentLog(tmp_path / "log.jsonl"))
        assert box.mails == []
        log = SentLog(tmp_path / "torn.jsonl")
        (tmp_path / "torn.jsonl").write_bytes(
            b'\xff\n[]\n{"mark": "mark-a", "state": "sent"}\n{"mark": "mark-b", "sta'
        )
        assert outcomes(send(NOTICES, server(own.port), log)) == ["known", "known", "sent"]
        assert outcomes(send(NOTICES, server(own.port), log)) == ["known"] * 3


def test_two_senders_at_once(tmp_path: Path) -> None:
    """While one sends, another one is refused: no partner hears twice."""
    log = SentLog(tmp_path / "notices.jsonl")
    code = """
from pathlib import Path
from rapidjws.errors import ConfigurationError
from rapidjws.rollout.report.mailing import SentLog
try:
    with SentLog(Path(os.environ["LOG"])).alone():
        print("alone")
except ConfigurationError as refused:
    print(refused.expected)
"""
    with log.alone():
        assert run_python(code, LOG=str(tmp_path / "notices.jsonl")) == "one sender at a time\n"
    assert run_python(code, LOG=str(tmp_path / "notices.jsonl")) == "alone\n"


@pytest.mark.parametrize("arguments", [
    {"host": ""}, {"host": "a b"}, {"sender": "us"}, {"reply_to": "x"}, {"port": 0}, {"port": 65536},
    {"port": True},
    {"security": "ssl"}, {"username": "u"}, {"password": "p"}, {"username": "u", "password": "p"},
    {"timeout_s": 0}, {"timeout_s": 601},
])  # fmt: skip
def test_settings_are_checked(arguments: dict[str, Any]) -> None:
    """A server that cannot be meant is refused, and so is a password in the clear."""
    with pytest.raises(rapidjws.ConfigurationError):
        server(**arguments)


CONFIG = """
[[issuers]]
iss = "https://a.example"
algorithms = ["ES256"]
jwks_file = "absent.json"

[[partners]]
name = "a"
contact = "ops@a.example"

[[partners]]
name = "b"
contact = "ops@b.example"

[rollout]
state = "state"
phase = "warning"
enforce_on = 2030-01-31

[notices]
host = "localhost"
port = {port}
sender = "us@gate.example"
ca = "ca.pem"
username = "gate"
password_file = "password"
"""


@pytest.fixture(name="config")
def _config(tmp_path: Path, ca: Path) -> Iterator[tuple[Path, Box]]:
    box = Box(refused={"ops@b.example": "550 no"})
    (tmp_path / "password").write_text(LOGIN[1] + "\n")
    with OwnSMTP(box, "starttls", LOGIN) as own:
        (tmp_path / "c.toml").write_text(CONFIG.format(port=own.port))
        yield tmp_path / "c.toml", box


def run(config: Path, *words: str) -> tuple[int, str]:
    """Run the command."""
    found = CliRunner().invoke(app, ["rollout", "notify", "--config", str(config), *words])
    return found.exit_code, found.output


def test_command_line_shows_and_sends(config: tuple[Path, Box]) -> None:
    """Without --send notices are only shown; with it each is sent once, and a refused one makes exit 1."""
    path, box = config
    code, text = run(path)
    assert code == 0
    assert "To: ops@a.example" in text
    assert "required from 2030-01-31" in text
    assert "2 notices, none sent" in text
    assert [json.loads(line)["state"] for line in run(path, "--json")[1].splitlines()] == [None, None]
    assert box.mails == []
    code, text = run(path, "--send")
    assert (code, text.splitlines()) == (
        1, ["a <ops@a.example>: sent", "b <ops@b.example>: refused by the server: 550"])  # fmt: skip
    assert run(path, "--send", "--partner", "a")[0] == 0
    assert [json.loads(line)["outcome"] for line in run(path, "--send", "--json")[1].splitlines()] == [
        "known", "refused"]  # fmt: skip
    assert len(box.mails) == 1
    assert run(path, "--send", "--partner", "a", "--again")[1] == "a <ops@a.example>: sent\n"
    assert len(box.mails) == 2
    assert run(path, "--partner", "nobody")[0] == 2
    (path.parent / "password").unlink()
    assert run(path, "--send")[0] == 2
    assert LOGIN[1] not in run(path, "--send")[1]
