"""``rapidjws bulk``: tokens by the million."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from rapidjws.cli.files import read_key_set, usage
from rapidjws.cli.output import complain, print_line
from rapidjws.config.load import ConfigFile
from rapidjws.config.read import load_config
from rapidjws.errors import RapidJWSError
from rapidjws.jws.verifier import Verifier
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer

app = typer.Typer(help="Verify tokens by the million.", no_args_is_help=True, add_completion=False)
_KEYS_WAIT_S = 30.0


@app.callback()
def group() -> None:
    """Verify tokens by the million."""


@app.command()
def verify(
    source: Annotated[str, typer.Argument(help="A Parquet file, a folder of such, or s3://bucket/prefix.")],
    target: Annotated[Path, typer.Argument(help="A folder: new, empty, or of the run to take up.")],
    jwks: Annotated[Path | None, typer.Option(help="JWK Set (or one JWK) with the keys; with --alg.")] = None,
    config: Annotated[Path | None, typer.Option(help="The engine's configuration, TOML or JSON.")] = None,
    alg: Annotated[list[str] | None, typer.Option(help="Accepted algorithm; repeat for several.")] = None,
    issuer: Annotated[str | None, typer.Option(help="Check claims of tokens with this iss.")] = None,
    audience: Annotated[list[str] | None, typer.Option(help="Accepted aud; repeat for several.")] = None,
    leeway: Annotated[int, typer.Option(help="Clock leeway in seconds.", min=0)] = 60,
    token: Annotated[str, typer.Option(help="The column of tokens.")] = "token",
    payload: Annotated[str | None, typer.Option(help="The column of detached payloads.")] = None,
    at: Annotated[str | None, typer.Option("--time", help="The column of times of the checks.")] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(help="A claim to give as a column, NAME:KIND; KIND is string, int64, float64, bool,"
                     " timestamp or json; repeat for several."),
    ] = None,
    keep: Annotated[list[str] | None, typer.Option(help="A column that stays; by default all.")] = None,
    now: Annotated[
        float | None, typer.Option(help="Seconds since the epoch of the checks; by default the start.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Threads; by default one a core.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The counts as JSON.")] = False,
) -> None:  # fmt: skip
    """Verify a column of tokens: exit 0 when all verify, 1 when any is refused or none is there, 2
    on wrong input.

    An interrupted run goes on where it was: give the same command. With --config replay is not checked:
    such a configuration is refused.
    """
    if (jwks is None) == (config is None):
        raise usage("bulk verify", "one of --jwks and --config")
    columns = {"token": token, "payload": payload, "time": at, "claims": _claims(claim or []), "keep": keep}
    given: list[Any] = [columns]
    try:
        if config is not None:
            engine: Engine | Verifier = _configured(config)
            given += [config.read_text("utf-8", "replace")]
        else:
            engine = _given(jwks or Path(), alg or [], issuer, audience or [], leeway)
            given += [(jwks or Path()).read_text("utf-8", "replace"), alg, issuer, audience, leeway]
        report = _run(engine, source, target, json.dumps(given), now, columns, workers, hidden=as_json)
    except ImportError as missing:
        raise usage("bulk verify", str(missing)) from None
    except RapidJWSError as fault:
        raise usage("bulk verify", str(fault)) from None
    except OSError as fault:
        raise usage("bulk verify", f"{fault.filename or target}: {fault.strerror or fault}") from None
    _show(report, as_json=as_json)
    if not report.rows:
        complain("bulk verify", f"{source}: no token in it")
    raise typer.Exit(0 if set(report.counts) == {"ok"} else 1)


def _run(
    engine: Engine | Verifier,
    source: str,
    target: Path,
    settings: str,
    now: float | None,
    columns: dict[str, Any],
    workers: int | None,
    *,
    hidden: bool,
) -> Any:
    """Verify, and show how far that is."""
    from rapidjws.bulk import BulkVerifier, verify_parquet
    from rapidjws.bulk.runs import moment_of

    moment = now if now is not None else moment_of(target) or time.time()
    verifier = BulkVerifier(engine, now=moment, workers=workers, **columns)
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as bar:
        task = bar.add_task("verifying", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return verify_parquet(verifier, source, target, settings=settings, now=moment, progress=show)


def _show(report: Any, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"rows": report.rows, "counts": report.counts, "parts": report.parts,
                          "resumed": report.resumed}))  # fmt: skip
        return
    taken_up = f", {report.resumed} of them written before" if report.resumed else ""
    parts = f"{report.parts} part{'' if report.parts == 1 else 's'}"
    print_line(f"{report.rows} tokens in {parts}{taken_up}")
    for code, count in report.counts.items():
        print_line(f"  {code} {count}")


def _claims(given: list[str]) -> dict[str, str]:
    """Return claims and their kinds; wrong usage exits 2."""
    claims = {}
    for one in given:
        name, colon, kind = one.rpartition(":")
        if not colon or not name:
            raise usage("bulk verify", f"--claim is NAME:KIND, not {one!r}")
        claims[name] = kind
    return claims


def _given(
    jwks: Path, alg: list[str], issuer: str | None, audience: list[str], leeway: int
) -> Engine | Verifier:
    """Return what verifies by the keys of a file."""
    if not alg:
        raise usage("bulk verify", "--jwks needs --alg")
    if issuer is None and audience:
        raise usage("bulk verify", "--audience needs --issuer: without it claims are not checked")
    keys = read_key_set("bulk verify", jwks)
    for skipped in keys.skipped:
        complain("bulk verify", f"key {skipped.index} of {jwks} left out: {skipped.error}")
    if issuer is None:
        return Verifier(keys, algorithms=alg)
    return Engine(Issuer(issuer, keys=keys, algorithms=alg, audience=audience, leeway_s=leeway))


def _configured(config: Path) -> Engine:
    """Return the engine of a configuration, once its keys are there."""
    loaded = load_config(config)
    if loaded.section("replay") or any(one.get("replay") for one in loaded.issuers):
        raise usage("bulk verify", f"{config}: replay would mark tokens as used: leave it out for this")
    engine = ConfigFile(config, loaded=loaded).engine
    if not engine.wait_ready(_KEYS_WAIT_S):
        missing = ", ".join(f"{iss} ({why})" for iss, why in engine.not_ready.items())
        raise usage("bulk verify", f"{config}: no keys of {missing}")
    return engine
