"""``rapidjws issue``: the keys of an issuer: check, status, tick, promote, taint."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from rapidjws import _files
from rapidjws.cli.output import complain, print_line
from rapidjws.config.issuing_file import IssuingConfig, load_issuing
from rapidjws.errors import IssuingRefused, RapidJWSError
from rapidjws.issuing import (
    Announcer,
    EmergencyReport,
    EmergencyStage,
    KeyLifeCycle,
    MemoryStateStore,
    SigningKey,
    rotate_in_emergency,
)
from rapidjws.issuing.emergency import confirmed_stage
from rapidjws.issuing.transitions import ready_at_s

if TYPE_CHECKING:
    from rapidjws.sidecar.settings import ServerSettings

app = typer.Typer(
    help="Keys that an issuer signs with, and when they change.", no_args_is_help=True, add_completion=False
)

Config = Annotated[Path, typer.Option("--config", help="The file for rapidjws issue, TOML or JSON.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, one object a key.")]
Alg = Annotated[str | None, typer.Option(help="The algorithm; by default the first of the file.")]
Kid = Annotated[str, typer.Option(help="The key.")]
Why = Annotated[str, typer.Option(help="Why, for the record.")]


def fail(message: object, status: int = 2) -> NoReturn:
    """Say what is wrong on stderr, and end with a status."""
    complain("issue", message)
    raise typer.Exit(status)


def opened(config: Path) -> IssuingConfig:
    """Return what a file describes; exit 2 where it is wrong."""
    try:
        return load_issuing(config)
    except (RapidJWSError, ImportError) as fault:
        fail(fault)


def _changed(change: Callable[[], tuple[SigningKey, ...]]) -> None:
    """Make a change and print what it changed: exit 1 where it is refused, 2 where the store fails."""
    try:
        keys = change()
    except IssuingRefused as refused:
        fail(f"{refused} ({refused.info.fix})", 1)
    except RapidJWSError as failed:
        fail(f"{failed} ({failed.info.fix})")
    for one in keys:
        print_line(f"{one.kid} {one.alg} {one.stage}")
    if not keys:
        print_line("nothing was due")


@app.command()
def check(*, config: Config) -> None:
    """Check a file, and show the times that follow from it: exit 0, or 2 with the line that is wrong."""
    found = opened(config)
    _server_settings(found)
    timing = found.life_cycle.timing
    print_line(f"a key is published for {timing.before_s:g} s before it signs")
    print_line(f"a key stays published for {timing.after_s:g} s after it stopped")
    schedule = found.life_cycle.schedule
    print_line(f"keys are replaced {'by hand' if schedule is None else schedule.text}")


def _server_settings(found: IssuingConfig) -> ServerSettings:
    """Return how it listens; exit 2 with the line of an address that is none."""
    from rapidjws.sidecar.settings import ServerSettings

    made = None
    for name, address in (
        ("listen", found.published.listen),
        ("metrics_listen", found.published.metrics_listen),
    ):
        if address is None:
            continue
        try:
            settings = ServerSettings(listen=address)
        except RapidJWSError as refused:
            try:
                found.loaded.text.refuse(("publication", name), str(refused.expected))
            except RapidJWSError as placed:
                fail(placed)
        made = made or settings
    assert made is not None  # listen has a default
    return made


def _moment(at_s: float | None) -> str:
    return "-" if at_s is None else datetime.fromtimestamp(at_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _row(one: SigningKey, found: IssuingConfig) -> dict[str, Any]:
    ready_s = ready_at_s(one, found.life_cycle.timing) if one.stage == "next" else None
    since_s = one.removed_at_s or one.stopped_at_s or one.activated_at_s or one.published_at_s
    return {
        "kid": one.kid,
        "alg": one.alg,
        "stage": one.stage,
        "since": _moment(since_s),
        "ready": _moment(ready_s),
        "why": one.why,
    }


@app.command()
def status(*, config: Config, as_json: AsJson = False) -> None:
    """Show the keys and their stages: exit 0, or 2 where the state cannot be read."""
    found = opened(config)
    try:
        state = found.store.read()
    except RapidJWSError as failed:
        fail(f"{failed} ({failed.info.fix})")
    rows = [_row(one, found) for one in state.keys]
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    for row in rows:  # a line a key, whole: a kid that is cut off names nothing
        ready = "" if row["ready"] == "-" else f" ready {row['ready']}"
        why = f" ({row['why']})" if row["why"] else ""
        print_line(f"{row['kid']} {row['alg']} {row['stage']} since {row['since']}{ready}{why}")
    lease = state.lease
    leads = lease is not None and lease.until_s > 0
    print_line(f"leader: {f'{lease.holder} until {_moment(lease.until_s)}' if lease and leads else 'none'}")
    due_s = found.life_cycle.next_change_s(state, time.time())
    print_line(f"next rotation: {_moment(due_s)}")


def _say(line: str) -> None:
    """Print a line at once, whatever stands behind stdout."""
    print_line(line)
    sys.stdout.flush()


@app.command()
def serve(*, config: Config) -> None:
    """Publish the JWK Set and the metadata, and change keys by the schedule, until SIGTERM: exit 0 then."""
    from rapidjws.sidecar.issuer_metrics_page import IssuerMetricsPage
    from rapidjws.sidecar.issuer_server import Endpoint, serve_issuer

    found = opened(config)
    settings = _server_settings(found)
    published = found.published
    endpoints = [
        Endpoint(
            path=one.path,
            handle=one.handle,
            headers=frozenset(name.encode() for name in one.headers),
            is_local=one.is_local,
        )
        for one in (found.tokens, found.signing)
        if one is not None
    ]
    try:
        serve_issuer(
            found.life_cycle,
            published.documents,
            settings,
            tick_s=published.tick_s,
            endpoints=endpoints,
            announce=found.announce_newest,
            metrics=IssuerMetricsPage(found.metrics).handle,
            metrics_listen=published.metrics_listen,
            say=_say,
        )
    except (RapidJWSError, OSError) as fault:
        fail(fault)


@app.command()
def export(
    *, config: Config, folder: Annotated[Path, typer.Option(help="Folder for the files; made anew there.")]
) -> None:
    """Write the JWK Set and the metadata under their paths, for a static server: exit 0, or 2."""
    found = opened(config)
    try:
        documents = found.published.documents.documents()
        for path, octets in documents.items():
            file = folder / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            _files.replace(file, octets, mode=0o644)
            print_line(file)
    except RapidJWSError as failed:
        fail(f"{failed} ({failed.info.fix})")
    except OSError as fault:
        fail(f"{folder}: {fault.strerror}")


@app.command()
def announce(
    *,
    config: Config,
    wait: Annotated[float, typer.Option(help="Longest wait for all consumers, in seconds.", min=0)] = 30,
) -> None:
    """Tell the consumers of the newest key, and wait until they have it: exit 0, 1 where one has not."""
    found = opened(config)
    try:
        made = found.announcer.announce_newest(found.life_cycle, found.maker.signer, wait_s=wait)
    except RapidJWSError as failed:
        fail(f"{failed} ({failed.info.fix})")
    if made is None:
        fail("no key is published yet: rapidjws issue tick makes one", 1)
    kid, answered = made
    for name, seconds in answered.confirmed.items():
        print_line(f"{name} has {kid} after {seconds:.2f} s")
    for name, word in answered.missing.items():
        print_line(f"{name} has not answered that it has {kid}: {word}")
    if answered.missing:
        raise typer.Exit(1)


@app.command()
def overlap(
    *,
    config: Config,
    evidence: Annotated[
        list[Path], typer.Option(help="Folder `rollout.state` of a consumer; may come several times.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="JSON, one object a use.")] = False,
) -> None:
    """Show who uses which key: exit 0, 1 where one was used after it stopped signing, or 2."""
    from rapidjws.cli.issue_overlap import overlap_rows, show

    found = opened(config)
    missing = [one for one in evidence if not one.is_dir()]
    if missing:
        fail(f"{missing[0]}: no such folder")
    try:
        rows = overlap_rows(found.store.read(), evidence)
    except RapidJWSError as failed:
        fail(f"{failed} ({failed.info.fix})")
    show(rows, as_json=as_json)
    if any(one["after_it_stopped"] for one in rows):
        raise typer.Exit(1)


@app.command()
def token(
    *,
    config: Config,
    client: Annotated[str, typer.Option(help="The client, one of the file.")],
    audience: Annotated[str | None, typer.Option(help="For whom; may be left out where it has one.")] = None,
    scope: Annotated[str | None, typer.Option(help="Scopes, spaces between; by default all it has.")] = None,
) -> None:
    """Print a token for a client, which is not authenticated: exit 0, 1 where it may not, or 2."""
    found = opened(config)
    if found.tokens is None:
        fail("the file has no table token")
    try:
        print(found.tokens.issue(client, audience=audience, scope=scope, request_id="rapidjws issue token"))
    except IssuingRefused as refused:
        fail(refused, 1)
    except RapidJWSError as failed:
        fail(f"{failed} ({failed.info.fix})")


@app.command()
def tick(*, config: Config) -> None:
    """Make what is due, where no other issuer leads: exit 0, 1 where one does, 2 where the store fails."""
    found = opened(config)

    def change() -> tuple[SigningKey, ...]:
        changed = found.life_cycle.tick()
        found.life_cycle.resign()  # the process ends: the next run of a timer need not wait for its lease
        return changed

    _changed(change)


@app.command()
def promote(
    *,
    config: Config,
    alg: Alg = None,
    frozen: Annotated[bool, typer.Option("--frozen", help="Also inside a freeze window.")] = False,
) -> None:
    """Let the next key sign now: exit 0, 1 where it is not ready, 2 where the store fails."""
    found = opened(config)
    _changed(lambda: found.life_cycle.promote(alg, frozen=frozen))


@app.command()
def taint(
    *,
    kid: Kid,
    why: Why,
    config: Config,
    unready: Annotated[
        bool, typer.Option("--unready", help="Promote a next key that caches may not know yet.")
    ] = False,
) -> None:
    """Take a key out of use; the next one signs: exit 0, 1 where none can, 2 where the store fails."""
    found = opened(config)
    _changed(lambda: found.life_cycle.taint(kid, why, unready=unready))


@app.command()
def emergency(
    *,
    kid: Kid,
    why: Why,
    config: Config,
    drill: Annotated[
        bool, typer.Option("--drill", help="On a copy of the state; consumers are only asked what they have.")
    ] = False,
    wait: Annotated[float, typer.Option(help="Longest wait for consumers, in seconds.", min=0)] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="The timeline as one JSON object.")] = False,
) -> None:
    """Take a key out of use everywhere: exit 0 when all consumers confirmed, 1 where one has not, 2 else."""
    found = opened(config)
    decided_at_s = time.time()
    try:
        report = _drilled(found, kid, why, wait) if drill else rotate_in_emergency(
            found.life_cycle,
            found.announcer,
            kid,
            why,
            issuer=found.issuer,
            revocations=found.revocations,
            signer_for=found.maker.signer,
            wait_s=wait,
        )  # fmt: skip
    except RapidJWSError as refused:
        fail(f"{refused} ({refused.info.fix})")
    report = _recorded(found, report, why, decided_at_s, drill=drill)
    if as_json:
        shown = {"kid": kid, "why": why, "drill": drill, "successor": report.successor}
        stages = [one._asdict() for one in report.stages]
        print(json.dumps({**shown, "stages": stages, "missing": report.confirmations.missing}))
    else:
        print_line(f"{'drill: ' if drill else ''}{kid} is out of use: {why}")
        for one in report.stages:
            print_line(f"{one.seconds:8.3f} s  {one.name}{' FAILED' if one.failed else ''}: {one.detail}")
        for name, word in report.confirmations.missing.items():
            print_line(f"            {name} has not confirmed: {word}")
    if not report.is_complete:
        raise typer.Exit(1)


def _recorded(
    found: IssuingConfig, report: EmergencyReport, why: str, decided_at_s: float, *, drill: bool
) -> EmergencyReport:
    """Write what was done; return it with a failed stage where that cannot be written."""
    try:
        found.emergencies.write(report, why, issuer=found.issuer, decided_at_s=decided_at_s, drill=drill)
    except RapidJWSError as failed:
        last = EmergencyStage("recorded", time.time() - decided_at_s, failed.code, True)
        return replace(report, stages=(*report.stages, last))
    return report


def _drilled(found: IssuingConfig, kid: str, why: str, wait_s: float) -> EmergencyReport:
    """Make the change on a copy of the state, and ask consumers for a key that they should have."""
    state = found.store.read()
    copy = MemoryStateStore(state)
    keys = KeyLifeCycle(copy, found.life_cycle.timing, found.maker, algorithms=found.life_cycle.algorithms)
    nobody = Announcer(found.issuer, [], lambda *_: (500, b""))
    report = rotate_in_emergency(keys, nobody, kid, why, issuer=found.issuer)
    active = state.in_stage("active")
    if not active:
        return report
    answered = found.announcer.announce(active[0].kid, wait_s=wait_s)
    last = confirmed_stage(
        answered,
        max(answered.confirmed.values(), default=0.0),
        is_revoked=found.revocations is not None,
        of=f" answer that they have {active[0].kid}",
    )
    before = tuple(one for one in report.stages if one.name != "confirmed")
    return replace(report, stages=(*before, last), confirmations=answered)
