"""``rapidjws contract``: get a partner ready: init, send, check, leeway."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rapidjws.cli.files import usage
from rapidjws.cli.output import cell, print_line
from rapidjws.contract import kit
from rapidjws.contract.check import GROUPS, ContractReport
from rapidjws.contract.check import check as check_folder
from rapidjws.contract.publish import MARKS, TITLES, publish, verdict
from rapidjws.contract.samples import send as send_samples
from rapidjws.errors import RapidJWSError

contract = typer.Typer(help="Get a partner ready.", no_args_is_help=True, add_completion=False)
_STYLES = {"pass": "green", "fail": "bold red", "open": "yellow"}
_HOUR_S = 3600

Folder = Annotated[Path, typer.Argument(help="The partner's folder.")]


@contract.command()
def init(
    partner: Annotated[str, typer.Argument(help="The partner's name, and its folder.")],
    our_iss: Annotated[str, typer.Option(help="Our iss.")] = "https://us.example",
    their_iss: Annotated[str, typer.Option(help="Their iss.")] = "https://partner.example",
    our_audience: Annotated[
        str, typer.Option(help="aud of our tokens: what they call themselves.")
    ] = "partner",
    their_audience: Annotated[str, typer.Option(help="aud of their tokens: what we call ourselves.")] = "us",
    alg: Annotated[list[str] | None, typer.Option(help="Algorithm; repeat for several.")] = None,
    leeway: Annotated[int, typer.Option(help="Clock leeway, seconds.", min=0)] = 60,
    jwks_url: Annotated[str | None, typer.Option(help="Where they publish their keys.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing contract.")] = False,
) -> None:
    """Make a partner's folder: what is agreed, our test keys, and a page that says what to do."""
    made = kit.Contract(
        partner=Path(partner).name,
        our_iss=our_iss,
        our_audience=our_audience,
        their_iss=their_iss,
        their_audience=their_audience,
        algorithms=tuple(alg or ["ES256"]),
        leeway_s=leeway,
        jwks_url=jwks_url,
    )
    try:
        kit.init(Path(partner), made, force=force)
    except RapidJWSError as refused:
        raise usage("contract init", str(refused)) from None
    print_line(f"{partner}: contract.json, ours/jwks.json, README.md; next: rapidjws contract send {partner}")


@contract.command()
def send(folder: Folder) -> None:
    """Make signed samples for the partner, good and deliberately bad."""
    try:
        samples = send_samples(folder)
    except RapidJWSError as refused:
        raise usage("contract send", str(refused)) from None
    good = sum(sample.expect == "accepted" for sample in samples)
    print_line(f"{folder / 'ours' / 'samples.json'}: {good} good tokens, {len(samples) - good} bad ones")
    print("send the folder without ours/private")


@contract.command()
def check(
    folder: Folder,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no signed report.")] = False,
) -> None:
    """Check both directions, the keys and the checklist: exit 0 when ready, 1 when not, 2 on wrong usage."""
    try:
        report = check_folder(folder)
        names = () if no_report else publish(folder, report)
    except RapidJWSError as refused:
        raise usage("contract check", str(refused)) from None
    show(report, Console())
    if names:
        print(f"written: {', '.join(names)}")
    raise typer.Exit(0 if report.is_ready else 1)


@contract.command()
def leeway(
    folder: Folder,
    seconds: Annotated[int, typer.Argument(help="Leeway in seconds.", min=0, max=86_400)],
    hours: Annotated[int, typer.Option(help="Hours until the agreed leeway holds again.", min=1)] = 24,
) -> None:
    """Give a partner a wider leeway for some hours; it ends by itself."""
    try:
        made = kit.set_leeway(folder, seconds, int(time.time()) + hours * _HOUR_S)
    except RapidJWSError as refused:
        raise usage("contract leeway", str(refused)) from None
    until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(made.temporary_until))
    print(f"leeway_s={seconds} until {until}, then {made.leeway_s} again")


def show(report: ContractReport, console: Console) -> None:
    """Print the summary."""
    for group in GROUPS:
        table = Table(
            title=TITLES[group], title_justify="left", title_style="bold", box=None, show_header=False
        )
        for item in report.items:
            if item.group == group:
                style = _STYLES[item.status]
                detail = cell(item.detail, "dim" if item.status == "pass" else style)
                table.add_row(Text(MARKS[item.status], style=style), cell(item.title), detail)
        console.print(table)
    style = {"ready": "bold green", "open points": "bold yellow"}.get(verdict(report), "bold red")
    counts = f"{report.count('pass')} passed, {report.count('fail')} failed, {report.count('open')} open"
    console.print(cell(f"{report.partner}: {verdict(report)}; {counts}", style))
