"""``rapidjws sign-log`` and ``rapidjws verify-log``: logs whose entries cannot be altered unseen."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from rapidjws._inputs import open_input
from rapidjws.cli.files import read_key, read_key_set, refusal, usage
from rapidjws.cli.output import complain, print_line
from rapidjws.errors import ConfigurationError, RapidJWSError
from rapidjws.jws.verifier import Verifier
from rapidjws.signedlog.bundles import Head, LogSigner, head_of, read_entries
from rapidjws.signedlog.checking import verify_log as check
from rapidjws.signedlog.entries import journal_entries, lines
from rapidjws.signing.signer import LocalSigner

_JOURNAL_START = b"__CURSOR="


def sign_log(
    source: Annotated[str, typer.Argument(help="A log, a folder of logs, or - for stdin.")],
    *,
    key: Annotated[Path, typer.Option(help="Private key: JWK, PEM or DER.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the bundles; by default the log's name and .signed.")
    ] = None,
    alg: Annotated[str | None, typer.Option(help="Algorithm, where the key leaves a choice.")] = None,
    bundle: Annotated[int, typer.Option(help="Most entries of a bundle.", min=1)] = 10_000,
    whole: Annotated[bool, typer.Option("--whole", help="A last line without an end is one, too.")] = False,
) -> None:
    """Sign what was added to a log since the last time: exit 0, or 2 on wrong usage."""
    try:
        signer = LocalSigner(read_key("sign-log", key, private=True), alg)
        if source == "-" and out is None:
            raise usage("sign-log", "stdin needs --out")
        for log, folder in _logs(source, out):
            ends = LogSigner(folder, signer, bundle_lines=bundle)
            with _opened(log) as file:
                begin = 0 if log is None else _begin(log, folder)
                if log is not None:
                    file.seek(begin)
                is_journal = _starts_with_cursor(file)
                entries = (journal_entries if is_journal else lines)(file, at_end=whole or log is None)
                count = ends.sign(entries, position=None if log is None else begin)
            print_line(
                f"{folder}: {count} entries signed, {ends.head.sequence + 1} bundles, head {ends.head.digest}"
            )
    except RapidJWSError as fault:
        raise usage("sign-log", str(fault)) from None
    except OSError as fault:
        raise usage("sign-log", f"{fault.filename or source}: {fault.strerror}") from None


def _logs(source: str, out: Path | None) -> Iterator[tuple[Path | None, Path]]:
    """Yield each log and the folder of its bundles; None for stdin."""
    if source == "-":
        yield None, out or Path()
        return
    path = Path(source)
    if not path.is_dir():
        yield path, out or path.with_name(path.name + ".signed")
        return
    found = sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
    if not found:
        raise usage("sign-log", f"{path}: no logs")
    for one in found:
        yield one, (out or path) / f"{one.name}.signed"


@contextmanager
def _opened(log: Path | None) -> Iterator[BinaryIO]:
    if log is None:
        yield sys.stdin.buffer
        return
    with open(open_input(log), "rb") as file:
        yield file


def _begin(log: Path, folder: Path) -> int:
    """Return where to go on in a log; a shorter one than was signed begins anew."""
    head = head_of(folder) if folder.is_dir() else Head()
    if log.stat().st_size < head.position:
        complain("sign-log", f"{log}: shorter than what was signed of it; signed from its beginning")
        return 0
    signed = b"" if head.sequence < 0 else read_entries(folder, head.sequence)
    with open(open_input(log), "rb") as file:
        file.seek(max(0, head.position - len(signed)))
        if file.read(len(signed)) == signed:
            return head.position
    complain("sign-log", f"{log}: rotated, or altered where it was signed; signed from its beginning")
    return 0


def _starts_with_cursor(file: BinaryIO) -> bool:
    """Return whether a log is journald's export format."""
    peek = getattr(file, "peek", None)
    return peek is not None and bytes(peek(len(_JOURNAL_START))).startswith(_JOURNAL_START)


def verify_log(
    folder: Annotated[Path, typer.Argument(help="The folder of the bundles.")],
    *,
    jwks: Annotated[Path, typer.Option(help="JWK Set (or one JWK) with the keys that may have signed.")],
    alg: Annotated[list[str], typer.Option(help="Accepted algorithm; repeat for several.")],
    head: Annotated[str | None, typer.Option(help="A head that was kept elsewhere.")] = None,
    log: Annotated[
        Path | None, typer.Option(help="The log itself, to be compared with what was signed of it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Verify a signed log: exit 0, or 1 where it was altered, naming where, 2 on wrong usage."""
    try:
        keys = read_key_set("verify-log", jwks)
        found = check(folder, Verifier(keys, algorithms=alg, crit=("b64",)), head=head, source=log)
    except ConfigurationError as fault:
        raise usage("verify-log", str(fault)) from None
    except RapidJWSError as refused:
        raise refusal(refused, as_json=as_json) from None
    except OSError as fault:
        raise usage("verify-log", f"{fault.filename or folder}: {fault.strerror}") from None
    if as_json:
        print(json.dumps({"verdict": "verified", "bundles": found.bundles, "entries": found.entries,
                          "late": found.late, "lost": found.lost, "head": found.head}))  # fmt: skip
        return
    print_line(
        f"verified: {found.entries} entries in {found.bundles} bundles, {found.late} late, {found.lost} lost"
    )
    print_line(f"head {found.head}")
