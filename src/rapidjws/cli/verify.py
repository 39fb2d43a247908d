"""``rapidjws verify``: one token of any serialization, or a stream of tokens, one a line."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from rapidjws.cli.files import read_key_set
from rapidjws.cli.output import complain, print_line
from rapidjws.errors import RapidJWSError, TokenRefused
from rapidjws.jose.jwks import JWKSet
from rapidjws.jws.signatures import SignaturePolicy, all_of, any_of, at_least, signers
from rapidjws.jws.verifier import Verifier
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.keys.fetch import HttpsFetch
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.settings import Transport
from rapidjws.verify.result import Rejected, VerifiedJWS

BATCH_TOKENS = 4096
PROGRESS_FROM_BYTES = 1 << 20
_LINE_LIMIT = 1 << 20


def verify(
    source: Annotated[
        str, typer.Argument(help="A token, a file of tokens one a line, or - for stdin.")
    ] = "-",
    jwks: Annotated[str, typer.Option(help="JWK Set with the keys: a file, or an https URL.")] = ...,  # type: ignore[assignment]
    alg: Annotated[list[str], typer.Option(help="Accepted algorithm; repeat for several.")] = ...,  # type: ignore[assignment]
    issuer: Annotated[str | None, typer.Option(help="Check claims of tokens with this iss.")] = None,
    audience: Annotated[list[str] | None, typer.Option(help="Accepted aud; repeat for several.")] = None,
    leeway: Annotated[int, typer.Option(help="Clock leeway in seconds.", min=0)] = 60,
    detached: Annotated[
        Path | None, typer.Option(help="File with the detached payload of one token; hashed as it is read.")
    ] = None,
    require: Annotated[
        str, typer.Option(help="Of several signatures: all, any, or how many keys must have signed.")
    ] = "all",
    signer: Annotated[
        list[str] | None, typer.Option(help="kid that must be among the good signatures; repeat for several.")
    ] = None,
    crit: Annotated[
        list[str] | None, typer.Option(help="Critical extension to accept, such as b64; repeat for several.")
    ] = None,
    insecure_allow_http: Annotated[
        bool, typer.Option("--insecure-allow-http", help="Fetch --jwks over plain http: for tests only.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a token.")] = False,
) -> None:
    """Verify tokens: exit 0 when all verify, 1 when any is refused, 2 on wrong usage.

    Without --issuer only signatures are checked; with it the claims of compact tokens are checked too.
    """
    policy = _policy(require, signer)
    if issuer is not None and (detached is not None or policy != all_of()):
        raise _usage("--detached, --require and --signer are for tokens without claims: leave --issuer out")
    keys = _keys(jwks, allow_http=insecure_allow_http)
    verifier = _verifier(keys, jwks, alg, issuer, audience or [], leeway, crit or [])
    counts: Counter[str] = Counter()
    report = _json_report if as_json else _text_report
    line = 0
    for tokens in _batches(_lines(source)):
        for result in _results(verifier, tokens, policy, detached):
            line += 1
            counts["verified" if isinstance(result, VerifiedJWS) else result.code] += 1
            report(line, result)
    if not line:
        raise _usage("no token to verify")
    if not as_json and line > 1:
        _summary(counts, line)
    raise typer.Exit(0 if set(counts) == {"verified"} else 1)


def _policy(require: str, signer: list[str] | None) -> SignaturePolicy:
    """Return what --require and --signer ask for; wrong usage exits 2."""
    try:
        if signer:
            if require != "all":
                raise _usage("--signer and --require do not go together")
            return signers(signer)
        return all_of() if require == "all" else any_of() if require == "any" else at_least(int(require))
    except (ValueError, RapidJWSError):
        raise _usage(f"--require is all, any or a number from 1 on, not {require!r}") from None


def _results(
    verifier: Engine | Verifier, tokens: list[Any], policy: SignaturePolicy, detached: Path | None
) -> Iterator[VerifiedJWS | Rejected]:
    """Yield the result of each token."""
    if detached is not None and len(tokens) != 1:
        raise _usage("--detached takes one token")
    if not isinstance(verifier, Verifier) or (detached is None and policy == all_of()):
        yield from verifier.verify_many(tokens)
        return
    for token in tokens:
        try:
            if detached is None:
                yield verifier.verify(token, signatures=policy)
            else:
                yield verifier.verify_detached(token, detached, signatures=policy)
        except TokenRefused as refused:
            yield Rejected(refused)
        except OSError as fault:
            raise _usage(f"{detached}: {fault.strerror}") from None


def _usage(message: str) -> typer.Exit:
    complain("verify", message)
    return typer.Exit(2)


def _verifier(
    keys: JWKSet,
    jwks: str,
    alg: list[str],
    issuer: str | None,
    audience: list[str],
    leeway: int,
    crit: list[str],
) -> Engine | Verifier:
    """Return an engine where an issuer is named, else a verifier; wrong usage exits 2."""
    if issuer is None and audience:
        raise _usage("--audience needs --issuer: without it claims are not checked")
    try:
        for skipped in keys.skipped:
            complain("verify", f"key {skipped.index} of {jwks} left out: {skipped.error}")
        if issuer is None:
            return Verifier(keys, algorithms=alg, crit=crit)
        return Engine(
            Issuer(issuer, keys=keys, algorithms=alg, audience=audience, leeway_s=leeway, crit=crit)
        )
    except RapidJWSError as fault:
        raise _usage(str(fault)) from None


def _keys(jwks: str, *, allow_http: bool) -> JWKSet:
    """Read a JWK Set file, or fetch it once from its URL; wrong usage exits 2."""
    if jwks.startswith("http://") and not allow_http:
        raise _usage(f"{jwks}: https expected (--insecure-allow-http allows http, for tests only)")
    if "://" not in jwks:
        return read_key_set("verify", Path(jwks))
    try:
        return _fetched(jwks, Transport(insecure_allow_http=allow_http))
    except RapidJWSError as fault:
        raise _usage(str(fault)) from None


def _fetched(jwks: str, transport: Transport) -> JWKSet:
    try:
        answer = HttpsFetch(transport)(transport.check_url(jwks), None)
    except FetchFailed as fault:
        status = "" if fault.status is None else f", status {fault.status}"
        raise _usage(f"{jwks}: not fetched ({fault.reason}{status})") from None
    return JWKSet.from_json(answer.body, fetched=True)


def _lines(source: str) -> Iterator[str | bytes]:
    """Yield tokens: the source itself, or the lines of a file or of stdin."""
    if source == "-":
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(errors="surrogateescape")  # bad UTF-8 is a token's fault, not ours
        yield from _tokens_of(sys.stdin)
        return
    path = Path(source)
    try:
        is_file = path.is_file()
    except OSError:  # a token is longer than any file name
        is_file = False
    if not is_file:
        if source.lstrip()[:1] != "{" and source.count(".") != 2 and ("/" in source or not source.count(".")):
            raise _usage(f"no such file, and not a token: {len(source)} characters")  # it may be secret
        yield source
        return
    size = path.stat().st_size
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        if size < PROGRESS_FROM_BYTES or not sys.stderr.isatty():
            yield from _tokens_of(file)
            return
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("verifying", total=size)
            for token in _tokens_of(file):
                progress.advance(task, len(token) + 1)
                yield token


def _tokens_of(file: TextIO) -> Iterator[str]:
    while line := file.readline(_LINE_LIMIT):
        if line.lstrip()[:1] == "{" and not _is_whole(line):
            line += file.read(_LINE_LIMIT)  # a JSON serialization laid out over several lines
        if text := line.strip("\r\n"):
            yield text


def _is_whole(line: str) -> bool:
    """Return whether a line is a JSON text of its own."""
    try:
        json.loads(line)
    except ValueError:
        return False
    except RecursionError:  # it is refused by what reads it
        return True
    return True


def _batches(tokens: Iterable[str | bytes]) -> Iterator[list[Any]]:
    iterator = iter(tokens)
    while batch := list(islice(iterator, BATCH_TOKENS)):
        yield batch


def _json_report(line: int, result: VerifiedJWS | Rejected) -> None:
    row: dict[str, Any]
    if isinstance(result, VerifiedJWS):
        row = {
            "line": line,
            "verdict": "verified",
            "alg": result.alg,
            "kid": result.kid,
            "issuer": result.issuer,
            "signatures": [
                {"verdict": one.verdict, "code": one.code, "alg": one.alg, "kid": one.kid}
                for one in result.signatures
            ],
        }
    else:
        row = {"line": line, "verdict": "refused", **result.error().as_dict()}
    print(json.dumps(row))


def _text_report(line: int, result: VerifiedJWS | Rejected) -> None:
    if isinstance(result, VerifiedJWS):
        print_line(f"{line}: verified alg={result.alg} kid={result.kid!r}")
        for one in result.signatures if len(result.signatures) > 1 else ():
            verdict_text = f"refused {one.code}" if one.code else one.verdict
            print_line(f"{line}: signature {one.index} {verdict_text} alg={one.alg} kid={one.kid!r}")
    else:
        print(f"{line}: refused {result.error()}")


def _summary(counts: Counter[str], total: int) -> None:
    table = Table("verdict", "tokens", title=f"{total} tokens", box=None)
    for name, count in counts.most_common():
        table.add_row(name, str(count))
    Console(stderr=True).print(table)
