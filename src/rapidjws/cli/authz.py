"""``rapidjws authz``: try rules on examples beside them, and compare two versions on recorded requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from rapidjws.audit import NoteKey, TrailReader, Wanted
from rapidjws.cli.authz_diff import DiffReport, compare
from rapidjws.cli.authz_evidence import RecordedRequest, requests_in_lines, requests_in_trail
from rapidjws.cli.authz_examples import ExamplesReport, run_examples
from rapidjws.cli.authz_replay import Replay, enforced
from rapidjws.cli.files import read_octets, usage
from rapidjws.cli.output import add_row, print_line
from rapidjws.config.audit_section import audit_settings_from
from rapidjws.config.authz_section import authorizer_from
from rapidjws.config.moments import moment_s
from rapidjws.config.read import LoadedConfig, load_config
from rapidjws.config.sections import issuer_name
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rapidjws.authz.authorizer import Authorizer

app = typer.Typer(
    help="Rules after the verdict: try them, compare two versions.",
    no_args_is_help=True,
    add_completion=False,
)
SECOND_US = 1_000_000
ENFORCED = "Take rules in detect and warn as if they were in enforce."


@app.callback()
def _authz() -> None:
    """Try rules that are applied after the verdict."""


@app.command("test")
def try_examples(
    file: Annotated[Path, typer.Argument(help="Configuration with authz.rules and authz.examples.")],
    coverage: Annotated[
        bool,
        typer.Option(
            "--coverage", help="Fail where a rule has no example that meets it, and one that does not."
        ),
    ] = False,
    as_enforced: Annotated[bool, typer.Option("--enforced", help=ENFORCED)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Try each example: exit 0 where all get what they must, 1 where one does not, 2 on wrong usage."""
    try:
        report = run_examples(load_config(file), as_enforced=as_enforced)
    except RapidJWSError as fault:
        raise usage("authz test", str(fault)) from None
    if as_json:
        print(json.dumps(_as_dict(report)))
    else:
        _show(report)
    failed = not report.is_good or (coverage and bool(report.uncovered))
    raise typer.Exit(1 if failed else 0)


def _as_dict(report: ExamplesReport) -> dict[str, object]:
    names = ("name", "expected", "found", "rule", "watched", "is_good")
    return {
        "examples": [{name: getattr(one, name) for name in names} for one in report.results],
        "rules": {name: {"met": report.met[name], "unmet": report.unmet[name]} for name in report.met},
        "uncovered": report.uncovered,
        "good": report.is_good,
    }


def _show(report: ExamplesReport) -> None:
    console = Console()
    table = Table("example", "expected", "found", "rule", box=None)
    for one in report.results:
        style = None if one.is_good else "red"
        add_row(table, (one.name, one.expected, one.found, one.rule or "-"), style=style)
    console.print(table)
    for one in report.results:
        if one.watched is not None:
            print_line(f"{one.name}: would be refused, {one.watched}")
    rules = Table("rule", "examples that meet it", "examples that do not", box=None)
    for name in report.met:
        style = "yellow" if name in report.uncovered else None
        add_row(rules, (name, report.met[name], report.unmet[name]), style=style)
    console.print(rules)
    failed = sum(not one.is_good for one in report.results)
    covered = len(report.met) - len(report.uncovered)
    print_line(
        f"{len(report.results)} examples, {failed} failed; {covered} of {len(report.met)} rules covered"
    )


@app.command("diff")
def compare_rules(
    old: Annotated[Path, typer.Argument(help="Configuration with the rules of today.")],
    new: Annotated[Path, typer.Argument(help="Configuration with the rules that are to come.")],
    *,
    requests: Annotated[
        list[Path] | None,
        typer.Option(help="Recorded requests, a JSON object a line, - for stdin; several files as well."),
    ] = None,
    trail: Annotated[
        Path | None, typer.Option(help="The folder of an audit trail; by default that of OLD.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The trail's public key, or a file with it; by default that of OLD.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From this moment on: 2027-01-31 or 2027-01-31T08:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this moment.")] = None,
    partner: Annotated[str | None, typer.Option(help="Of this partner.")] = None,
    as_enforced: Annotated[bool, typer.Option("--enforced", help=ENFORCED)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Decide recorded requests by two versions of the rules: exit 0 where none is decided otherwise, 1 where
    one is permitted by one version alone, 2 on wrong usage or without requests.
    """
    try:
        before = load_config(old)
        rules = tuple(_rules(one, as_enforced=as_enforced) for one in (before, load_config(new)))
        bounds = [None if one is None else float(moment_s("--since", one)) for one in (since, until)]
        wanted = Wanted(
            since_us=None if bounds[0] is None else int(bounds[0] * SECOND_US),
            until_us=None if bounds[1] is None else int(bounds[1] * SECOND_US),
            partner=partner,
        )
        evidence = _in_files(requests, wanted) if requests else _in_trail(before, trail, key, wanted)
        replay = Replay(issuer_name(before.issuers[0]) if before.issuers else None)
        report = compare(rules[0], rules[1], evidence, replay)
    except RapidJWSError as fault:
        raise usage("authz diff", str(fault)) from None
    if not report.counts:
        raise usage("authz diff", "no request was recorded in that time")
    if as_json:
        print(json.dumps(report.as_dict()))
    else:
        _show_diff(report)
    if not report.compared:
        raise usage("authz diff", "no request could be compared")
    raise typer.Exit(1 if report.outcomes_changed else 0)


def _rules(loaded: LoadedConfig, *, as_enforced: bool) -> Authorizer:
    section = loaded.section("authz")
    section = enforced(section) if as_enforced and section.get("rules") else section
    found = authorizer_from(section, lambda *_: None, loaded.folder)
    if found is None:
        loaded.text.refuse(("authz",), "rules to be compared", None)
    return found


def _in_files(files: list[Path], wanted: Wanted) -> Iterator[RecordedRequest]:
    for path in files:
        for one in requests_in_lines(read_octets("authz diff", path), path.name):
            if wanted.takes({"time_us": int(one.at_s * SECOND_US), "partner": one.partner}):
                yield one


def _in_trail(
    loaded: LoadedConfig, folder: Path | None, key: str | None, wanted: Wanted
) -> Iterator[RecordedRequest]:
    """Return the requests of the trail that is named, or that a configuration writes."""
    settings = audit_settings_from(loaded.section("audit"), loaded.folder, files=False)
    if settings is None and (folder is None or key is None):
        raise error_for("configuration_invalid", "--requests", "requests, or a trail and its key")
    where = folder or Path(settings.folder if settings else "")
    if key is None and settings is not None:
        return requests_in_trail(TrailReader(where, settings.public_key()), wanted)
    text = str(key)
    if Path(text).is_file():
        text = read_octets("authz diff", Path(text)).decode("ascii", "replace")
    return requests_in_trail(TrailReader(where, NoteKey.from_text(text.strip())), wanted)


def _show_diff(report: DiffReport) -> None:
    console = Console()
    if report.changed:
        table = Table("request", "path", "partner", "old", "new", box=None)
        for one in report.changed:
            style = {"newly_refused": "red", "newly_permitted": "yellow"}.get(one.kind)
            old = one.old if one.old_rule is None else f"{one.old} ({one.old_rule})"
            new = one.new if one.new_rule is None else f"{one.new} ({one.new_rule})"
            add_row(table, (one.name, one.path or "-", one.partner or "-", old, new), style=style)
        console.print(table)
    rules = Table("rule", "applied, old", "not met", "applied, new", "not met", box=None)
    for name, of in report.rules().items():
        style = None if of["old_applied"] or of["new_applied"] else "yellow"
        add_row(rules, (name, of["old_applied"], of["old"], of["new_applied"], of["new"]), style=style)
    console.print(rules)
    if report.unused:
        print_line(f"rules that applied to no request: {', '.join(report.unused)}")
    for why, count in sorted(report.reasons.items()):
        print_line(f"not compared: {count} ({why})")
    counts = report.counts
    print_line(
        f"{sum(counts.values())} requests: {counts['newly_refused']} newly refused, "
        f"{counts['newly_permitted']} newly permitted, {counts['other_reason']} refused for another reason, "
        f"{counts['same']} the same, {counts['undecided'] + counts['unreadable']} not compared"
    )
