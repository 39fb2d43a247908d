"""``rapidjws rollout notify``: tell partners when enforcement begins, and what fails of what they send."""

from __future__ import annotations

import json
import ssl
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from rapidjws import _files, escaping
from rapidjws.cli.rollout import AsJSON, Config, rollout, shared_rollout
from rapidjws.cli.rollout_show import show_notice
from rapidjws.config.named_files import reason_of
from rapidjws.config.read import load_config
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.rollout.report.mailing import MailServer, Sending, SentLog, SentStates, as_dict, send
from rapidjws.rollout.report.notices import Notice, notices_for, templates_from
from rapidjws.rollout.report.readiness import readiness

PASSWORD_MAX_BYTES = 4096
_GOOD = ("sent", "known")


def mail_server_from(section: dict[str, Any], folder: Path, *, files: bool = True) -> MailServer:
    """Return the server of a table ``notices``.

    Args:
        section: The table.
        folder: What paths are relative to.
        files: Whether the files that it names are read; else a password stands in for that of the file.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    settings = {name: value for name, value in section.items() if name != "templates"}
    for name in ("host", "sender"):
        if name not in settings:
            raise error_for("configuration_invalid", f"notices.{name}", "a value", "nothing")
    if "ca" in settings:
        settings["ca"] = folder / settings["ca"]
        if files:
            _check_certificates(settings["ca"])
    kept = settings.pop("password_file", None)
    if kept is not None:
        settings["password"] = _password(folder / kept) if files else "read when notices are sent"
    return MailServer(**settings)


def _password(path: Path) -> str:
    try:
        return _files.read_trusted(path, PASSWORD_MAX_BYTES).decode("utf-8").strip()
    except (OSError, ValueError) as fault:
        found = reason_of(fault)
        raise error_for("configuration_invalid", "notices.password_file", "a file", found) from None


def _check_certificates(path: Path) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as fault:
        found = reason_of(fault)
        raise error_for("configuration_invalid", "notices.ca", "a PEM file of certificates", found) from None


def _prepared(
    config: Path, partners: list[str] | None, ready_too: bool
) -> tuple[dict[str, Any], tuple[Notice, ...], Path]:
    loaded = load_config(config)
    section, rollout = loaded.section("notices"), shared_rollout(loaded)
    for name in partners or ():
        if name not in rollout.partners:
            raise error_for("configuration_invalid", "partner", tuple(rollout.partners), name)
    folder = None if "templates" not in section else config.parent / section["templates"]
    report = readiness(rollout, int(time.time()))
    found = notices_for(report, templates_from(folder), partners=partners or None, ready_too=ready_too)
    kept = config.parent / loaded.section("rollout")["state"]
    return section, found, kept / "notices.jsonl"


@rollout.command()
def notify(
    config: Config,
    partner: Annotated[list[str] | None, typer.Option(help="One partner; may be given again.")] = None,
    ready_too: Annotated[
        bool, typer.Option("--ready-too", help="Write to those who are ready, too.")
    ] = False,
    really: Annotated[bool, typer.Option("--send", help="Send them; otherwise they are only shown.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Send again what was sent before.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Show, or send, a notice to each partner that is not ready: exit 0, or 1 where one was not sent."""
    try:
        section, notices, path = _prepared(config, partner, ready_too)
        if not really:
            _show(notices, SentLog(path).states(), as_json=as_json)
            return
        sendings = send(notices, mail_server_from(section, config.parent), SentLog(path), again=again)
    except RapidJWSError as refused:
        print(f"rapidjws rollout notify: {refused}", file=sys.stderr)
        raise typer.Exit(2) from None
    for one in sendings:
        print(json.dumps(as_dict(one)) if as_json else escaping.terminal(_line(one)))
    raise typer.Exit(0 if all(one.outcome in _GOOD for one in sendings) else 1)


def _line(one: Sending) -> str:
    words = {
        "sent": "sent",
        "known": "not sent: sent before, or begun and not ended; --again sends it again",
        "refused": f"refused by the server: {one.detail}",
        "failed": f"not sent: {one.detail}",
        "uncertain": f"may have been sent: {one.detail}; --again sends it again",
    }
    return f"{one.partner} <{one.to}>: {words[one.outcome]}"


def _show(notices: tuple[Notice, ...], states: SentStates, *, as_json: bool) -> None:
    for notice in notices:
        if as_json:
            members = {"partner": notice.partner, "to": notice.to, "subject": notice.subject}
            print(json.dumps({**members, "mark": notice.mark, "state": states.get(notice.mark)}))
        else:
            show_notice(notice)
            print("-" * 72)
    if not as_json:
        print(f"{len(notices)} notices, none sent: add --send")
