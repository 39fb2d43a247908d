"""``rapidjws audit``: a trail of decisions: sequence, verify, show, search, prove, export."""

from __future__ import annotations

import contextlib
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rapidjws import _files, escaping
from rapidjws.audit import Checkpoint, NoteKey, TrailReader, Wanted
from rapidjws.audit.content_keys import ContentKeys, read_operator_key
from rapidjws.audit.evidence_bundle import write_bundle
from rapidjws.audit.records import parsed_record
from rapidjws.cli.audit_archive import local_trail, note_key, restore, seal
from rapidjws.cli.audit_erase import configured, erase, fail, moment_us
from rapidjws.cli.audit_timestamp import add_timestamps, timestamp
from rapidjws.cli.audit_verify import run_verification, show_report
from rapidjws.cli.audit_witness import witness_add, witness_check, witness_request_
from rapidjws.cli.files import read_key
from rapidjws.cli.output import complain, print_line
from rapidjws.errors import CODES, RapidJWSError
from rapidjws.jwt.decision import OK

if TYPE_CHECKING:
    from rapidjws.audit import TrailWriter

app = typer.Typer(
    help="The audit trail: a tamper-evident log of decisions.", no_args_is_help=True, add_completion=False
)
app.command()(erase)
app.command()(seal)
app.command()(restore)
app.command("witness-request")(witness_request_)
app.command()(witness_add)
app.command()(witness_check)
app.command()(timestamp)

Trail = Annotated[Path, typer.Argument(help="The folder of the trail.")]
Stored = Annotated[str, typer.Argument(help="The trail, or its archive: a folder, or s3://bucket/prefix.")]
Key = Annotated[str, typer.Option("--key", help="The log's public key: NAME+ID+KEY, or a file with it.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON.")]
Since = Annotated[str | None, typer.Option(help="From this moment on: 2027-01-31 or 2027-01-31T08:00:00Z.")]
Until = Annotated[str | None, typer.Option(help="Before this moment.")]
Issuer = Annotated[str | None, typer.Option(help="Of this issuer.")]
Partner = Annotated[str | None, typer.Option(help="Of this partner.")]
Keys = Annotated[
    Path | None, typer.Option("--content-keys", help="Folder of the keys that encrypt contents.")
]
KeyFile = Annotated[
    Path | None, typer.Option("--content-key-file", help="The operator's key, under which those lie.")
]
_DIGEST: Final = re.compile("[0-9a-f]{64}")
Index = Annotated[int, typer.Option("--record", help="The index of the record.")]


def _opened(folder: Path, key: str, record: int = 0) -> TrailReader:
    """Return a trail, which has a record; else exit 2."""
    try:
        reader = TrailReader(folder, note_key(key))
    except (RapidJWSError, OSError, UnicodeError) as fault:
        fail(fault)
    if record and not 0 <= record < reader.size:
        fail(f"--record {record}: the trail has {reader.size} records, from 0 on")
    return reader


@contextlib.contextmanager
def _failing(out: Path | None = None) -> Iterator[None]:
    """Exit 2 where what is read is no whole trail, or where nothing can be written."""
    try:
        yield
    except RapidJWSError as fault:
        fail(fault)
    except OSError as fault:
        fail(f"{fault.filename or out}: {fault.strerror}")


def _keys(folder: Path | None, key_file: Path | None) -> ContentKeys | None:
    if folder is None and key_file is None:
        return None
    if folder is None or key_file is None:
        fail("--content-keys and --content-key-file belong together")
    try:
        return ContentKeys(folder, read_operator_key(key_file))
    except RapidJWSError as fault:
        fail(fault)


Config = Annotated[
    Path | None, typer.Option("--config", help="A configuration, whose section audit says all of it.")
]


@app.command()
def key(
    *,
    origin: Annotated[str | None, typer.Option(help="The log's name, as gateway1.example.com/audit.")] = None,
    key: Annotated[Path | None, typer.Option(help="The private key, JWK, PEM or DER.")] = None,
    config: Config = None,
) -> None:
    """Print the public key of a log in one word, for those who verify it: exit 0, or 2.

    With --config it is asked of the KMS or the token that signs.
    """
    try:
        if config is not None and origin is None and key is None:
            print_line(configured(config).public_key().text)
            return
        if config is not None or origin is None or key is None:
            fail("--origin and --key, or --config")
        print_line(NoteKey(origin, (jwk := read_key("audit", key, private=True)).public(), _alg(jwk)).text)
    except RapidJWSError as fault:
        fail(fault)


def _alg(jwk: Any) -> str:
    from rapidjws.signing import LocalSigner

    return LocalSigner(jwk, "EdDSA" if "EdDSA" in jwk.algorithms else jwk.algorithms[0]).alg


@app.command()
def sequence(
    folder: Annotated[Path | None, typer.Argument(help="The folder of the trail.")] = None,
    *,
    origin: Annotated[str | None, typer.Option(help="The log's name, as gateway1.example.com/audit.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="The private key that signs checkpoints, JWK, PEM or DER.")
    ] = None,
    buffered: Annotated[
        bool, typer.Option("--buffered", help="Answer before records are on the disk.")
    ] = False,
    checkpoint_s: Annotated[float, typer.Option(help="Seconds between checkpoints.")] = 1.0,
    config: Config = None,
) -> None:
    """Give the records of all workers of this host their order, until SIGTERM: exit 0, or 2."""
    from rapidjws.audit import Sequencer
    from rapidjws.observe.event_log import EventLog

    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopping.append(number))
    try:
        if config is not None and folder is None and origin is None and key is None:
            sequencer = configured(config).sequencer(EventLog())
        elif config is not None or folder is None or origin is None or key is None:
            fail("FOLDER, --origin and --key, or --config")
        else:
            writer = _writer(folder, origin, key, durable=not buffered)
            sequencer = Sequencer(writer, checkpoint_s=checkpoint_s)
        print_line(f"{sequencer.path}: {sequencer.size} records, {sequencer.key.text}")
        sequencer.run(lambda: bool(stopping))
    except RapidJWSError as fault:
        fail(fault)


def _writer(folder: Path, origin: str, key: Path, *, durable: bool) -> TrailWriter:
    from rapidjws.audit import TrailWriter
    from rapidjws.observe.event_log import EventLog
    from rapidjws.signing import LocalSigner

    jwk = read_key("audit", key, private=True)
    signer = LocalSigner(jwk, _alg(jwk))
    return TrailWriter(folder, origin=origin, signer=signer, durable=durable, events=EventLog())


@app.command()
def verify(
    folder: Stored,
    *,
    key: Key,
    since: Since = None,
    until: Until = None,
    issuer: Issuer = None,
    partner: Partner = None,
    earlier: Annotated[
        Path | None, typer.Option("--checkpoint", help="A checkpoint kept elsewhere that it must fit.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Threads; one a core is best.", min=1, max=256)] = 1,
    resume: Annotated[
        Path | None, typer.Option(help="Keep what is done in this file; an interrupted run goes on there.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report to this file as HTML too.")] = None,
    content_keys: Keys = None,
    content_key_file: KeyFile = None,
    timestamp_roots: Annotated[
        Path | None, typer.Option(help="Check time stamps: PEM file of the certificates they must lead to.")
    ] = None,
    require_timestamps: Annotated[
        bool, typer.Option("--require-timestamps", help="A trail without a good time stamp is not good.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check the tree and verify each token again: exit 0, 1 where something differs, 2 for no trail."""
    wanted = Wanted(since_us=moment_us(since), until_us=moment_us(until), issuer=issuer, partner=partner)
    kept = None if earlier is None else _kept(earlier, key)
    keys = _keys(content_keys, content_key_file)
    if require_timestamps and timestamp_roots is None:
        fail("--require-timestamps: --timestamp-roots beside it expected")
    if html is not None and not html.absolute().parent.is_dir():
        fail(f"{html}: no such folder")
    with local_trail(folder, key) as trail:
        reader = _opened(trail, key)
        try:
            if kept is not None:
                reader.prove_consistency(kept)
        except RapidJWSError as fault:
            fail(fault, 1)
        try:
            report = run_verification(reader, wanted, keys=keys, jobs=jobs, resume=resume, is_quiet=as_json)
            add_timestamps(report, reader, timestamp_roots, required=require_timestamps)
            show_report(report, as_json=as_json, html=html)
        except (RapidJWSError, ImportError) as fault:
            fail(fault)
        except OSError as fault:
            fail(f"{fault.filename or resume or html}: {fault.strerror}")
        raise typer.Exit(0 if report.is_good else 1)


def _kept(path: Path, key: str) -> Checkpoint:
    """Return a checkpoint that was kept elsewhere; wrong usage exits 2."""
    try:
        return Checkpoint.opened(_files.read_trusted(path, 65_536), [note_key(key)])
    except (RapidJWSError, UnicodeError) as fault:
        fail(f"{path}: {fault}")
    except OSError as fault:
        fail(f"{path}: {fault.strerror}")


@app.command()
def show(folder: Stored, *, key: Key, record: Index) -> None:
    """Show a record: exit 0, or 2."""
    with local_trail(folder, key) as trail, _failing():
        print(json.dumps(_opened(trail, key, record).record(record), indent=2))


@app.command()
def search(
    folder: Stored,
    *,
    key: Key,
    since: Since = None,
    until: Until = None,
    issuer: Issuer = None,
    partner: Partner = None,
    code: Annotated[str | None, typer.Option(help="With this code.")] = None,
    token: Annotated[str | None, typer.Option(help="With this SHA-256 digest of the token.")] = None,
    request: Annotated[str | None, typer.Option(help="With this request id.")] = None,
) -> None:
    """Print the records that fit, a line each with its index: exit 0, 1 where none does, 2 for no trail."""
    if code is not None and code != OK and code not in CODES:
        fail(f"--code {code}: no such code; rapidjws.errors.CODES has them all")
    if token is not None and not _DIGEST.fullmatch(token):
        fail("--token: 64 lower-case hexadecimal digits expected, the SHA-256 of the token")
    wanted = Wanted(since_us=moment_us(since), until_us=moment_us(until), issuer=issuer, partner=partner)
    given = {"code": code, "token": token, "request": request}
    found = 0
    with local_trail(folder, key) as trail, _failing():
        reader = _opened(trail, key)
        for bundle in range((reader.size + 255) // 256):
            for at, entry in enumerate(reader.entries(bundle)):
                index = bundle * 256 + at
                row = parsed_record(entry, f"record {index}")
                same = all(value is None or row.get(name) == value for name, value in given.items())
                if same and wanted.takes(row):
                    print(f"{index}\t{escaping.json_text(entry.decode('utf-8'))}")
                    found += 1
    if not found:
        complain("audit", "no record fits")
    raise typer.Exit(0 if found else 1)


@app.command()
def prove(folder: Stored, *, key: Key, record: Index) -> None:
    """Print the proof that a record is in the log, with its checkpoint (C2SP tlog-proof): exit 0, or 2."""
    with local_trail(folder, key) as trail, _failing():
        print(_opened(trail, key, record).prove(record).text, end="")


@app.command()
def export(
    folder: Stored,
    *,
    key: Key,
    record: Index,
    out: Annotated[Path, typer.Option(help="The folder for the bundle, made anew.")],
    content_keys: Keys = None,
    content_key_file: KeyFile = None,
) -> None:
    """Write one decision's evidence, with a script that verifies it without this package: exit 0, or 2."""
    keys = _keys(content_keys, content_key_file)
    with local_trail(folder, key) as trail, _failing(out):
        reader = _opened(trail, key, record)
        for path in write_bundle(reader, note_key(key), record, out, keys=keys):
            print_line(path)
