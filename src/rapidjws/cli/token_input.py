"""What the commands of diagnosis take: a token from argument, file or stdin; keys from a file or a URL."""

from __future__ import annotations

import sys
from pathlib import Path

from rapidjws.cli.files import read_octets, usage
from rapidjws.contract.fetch import fetch
from rapidjws.diagnose.subject import ExaminedEngine, ExaminedVerifier
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwks import JWKSet
from rapidjws.jws.verifier import Verifier
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer


def read_token(command: str, source: str) -> str | bytes:
    """Return the token itself, or what a file or stdin holds but for the line break at its end."""
    if source == "-":
        return sys.stdin.buffer.read().rstrip(b"\r\n")
    try:
        is_file = Path(source).is_file()
    except (OSError, ValueError):  # longer than any file name
        is_file = False
    return read_octets(command, Path(source)).rstrip(b"\r\n") if is_file else source


def read_jwks(command: str, source: str) -> bytes:
    """Return the JSON of a JWK Set from a file, stdin or an https URL."""
    if source.startswith(("https://", "http://")):
        got = fetch(source)
        if got.fault is not None:
            raise usage(command, f"{source}: {got.fault}")
        return got.body
    return read_octets(command, Path(source))


def surroundings(
    command: str,
    jwks: bytes,
    alg: list[str],
    issuer: str | None,
    audience: list[str],
    leeway: int,
    crit: list[str],
) -> Engine | Verifier | bytes:
    """Return an engine where an issuer is named, else a verifier; the JSON itself where it is no set."""
    try:
        keys = JWKSet.from_json(jwks)
    except RapidJWSError:
        return jwks  # the diagnosis says why
    names = alg or sorted({name for key in keys for name in key.algorithms})
    names = names or [name for name, row in ALGORITHM_TABLE.items() if row.kind != "hmac"]  # no key is usable
    try:
        if issuer is None:
            return ExaminedVerifier(keys, algorithms=names, crit=crit)
        return ExaminedEngine(
            Issuer(issuer, keys=keys, algorithms=names, audience=audience, leeway_s=leeway, crit=crit)
        )
    except RapidJWSError as refused:
        raise usage(command, str(refused)) from None
