"""``rapidjws keys compare``: an issuer's JWK Set from several addresses or regions, and the one that lags."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rapidjws.cli.configured_keys import ConfiguredIssuer, find_keys, source_of
from rapidjws.cli.files import usage
from rapidjws.cli.output import add_row, print_line
from rapidjws.config.issuer_folder import issuer_file_name, read_issuer_file
from rapidjws.config.read import load_config
from rapidjws.contract.fetch import Fetched, fetch
from rapidjws.contract.regions import Comparison, RegionAnswer, answer_of, compare
from rapidjws.errors import RapidJWSError
from rapidjws.rollout.report.plots import when
from rapidjws.verify.worker_pool import Task, submit

_COMMAND = "keys compare"


def compare_keys(
    urls: Annotated[
        list[str] | None, typer.Argument(help="Addresses of the JWK Set.", show_default=False)
    ] = None,
    region: Annotated[list[str] | None, typer.Option(help="NAME=URL of a region; repeat.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration whose source of --issuer is compared too.")
    ] = None,
    issuer: Annotated[str | None, typer.Option(help="An iss of the configuration.")] = None,
    ca: Annotated[Path | None, typer.Option(help="Authorities to trust beside the system's, PEM.")] = None,
    timeout: Annotated[
        float, typer.Option(help="Longest wait for an address, seconds.", min=0.1, max=60)
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Compare an issuer's JWK Set as several addresses or regions answer it, and name the one that lags.

    Compared are kids, the material under one kid, Last-Modified, Date with Age, ETag and Cache-Control. Exit
    0 where all have the same keys, 1 where one differs or does not answer, 2 on wrong usage.
    """
    places = [(url, url) for url in urls or []] + [_named(text) for text in region or []]
    trusted = None if ca is None else str(ca)
    if (config is None) != (issuer is None):
        raise usage(_COMMAND, "--config and --issuer go together")
    own: list[RegionAnswer] = []
    if config is not None and issuer is not None:
        table = _configured(config, issuer)
        given = table.table.get("ca")
        trusted = trusted or (given if given is None or "-----BEGIN" in given else str(config.parent / given))
        if "jwks_url" in table.table:
            places.insert(0, ("configured", table.table["jwks_url"]))
        else:
            own = [_of_source(table, timeout)]
    if len({name for name, _ in places}) + len(own) < 2 or len({name for name, _ in places}) < len(places):
        raise usage(_COMMAND, "two addresses or more, each with a name of its own")
    comparison = compare([*own, *_asked_all(places, trusted, timeout)])
    if as_json:
        print(json.dumps({"issuer": issuer, **comparison.as_dict()}))
    else:
        _show(comparison)
    raise typer.Exit(0 if comparison.is_same else 1)


def _named(text: str) -> tuple[str, str]:
    name, found, url = text.partition("=")
    if not found or not name or "://" in name:
        raise usage(_COMMAND, "--region takes NAME=URL")
    return name, url


def _configured(config: Path, issuer: str) -> ConfiguredIssuer:
    """Return an issuer of a configuration, or of its registry's folder."""
    try:
        loaded = load_config(config)
        found = [ConfiguredIssuer(table, config.parent) for table in loaded.issuers]
        registry = loaded.section("registry").get("folder")
        if registry is not None:
            path = config.parent / registry / issuer_file_name(issuer)
            if path.exists():
                found.append(ConfiguredIssuer(read_issuer_file(path, issuer)[1], path.parent))
    except RapidJWSError as refused:
        raise usage(_COMMAND, str(refused)) from None
    for one in found:
        if one.name == issuer:
            return one
    raise usage(_COMMAND, "--issuer: an iss of the configuration, or of its registry's folder")


def _of_source(issuer: ConfiguredIssuer, timeout_s: float) -> RegionAnswer:
    """Return the keys that another source than a ``jwks_url`` gives now."""
    found = find_keys(issuer, timeout_s)
    return answer_of(
        "configured", Fetched(url=source_of(issuer.table), body=found.body or b"", fault=found.fault)
    )


def _asked_all(places: list[tuple[str, str]], ca: str | None, timeout_s: float) -> list[RegionAnswer]:
    """Ask all at the same time; one after the other where no thread can be had."""
    tasks = [Task(partial(_requested, name, url, ca, timeout_s)) for name, url in places]
    waiting = []
    for task in tasks:
        if not submit(task) and (call := task.take_back()) is not None:
            waiting.append((task, call))
    for task, call in waiting:
        task.future.set_result(call())
    return [task.future.result() for task in tasks]


def _requested(name: str, url: str, ca: str | None, timeout_s: float) -> RegionAnswer:
    return answer_of(name, fetch(url, ca_file=ca, timeout_s=timeout_s))


def _show(found: Comparison) -> None:
    table = Table("region", "keys", "Last-Modified", "Age s", "max-age s", "ETag", "state", box=None)
    for one in found.answers:
        changed = "-" if one.last_modified_s is None else when(int(one.last_modified_s))
        ages = ("-" if value is None else f"{value:.0f}" for value in (one.age_s, one.max_age_s))
        state = "no keys" if one.fault is not None else "lags" if one.name in found.lagging else "ok"
        add_row(table, (one.name, " ".join(one.keys) or "none", changed, *ages, one.etag or "-", state),
                None if state == "ok" else "bold red")  # fmt: skip
    Console().print(table)
    for name, why in found.lagging.items():
        print_line(f"lags: {name}: {why}")
    for finding in found.findings:
        print_line(f"{finding.level}: {finding.place}: {finding.text} ({finding.code})")
    if found.is_same:
        print_line(f"the same keys at all {len(found.answers)} addresses")
