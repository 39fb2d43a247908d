"""What several commands need of files: keys in any form, secrets written for their owner's eyes only."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from rapidjws import _files
from rapidjws.cli.output import complain
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwk import JWK


def usage(command: str, message: str) -> typer.Exit:
    """Say on stderr what is wrong and return the exit for wrong usage."""
    complain(command, message)
    return typer.Exit(2)


def read_octets(command: str, path: Path) -> bytes:
    """Return a file's octets, or those of stdin for ``-``; exit 2 where it cannot be read."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as fault:
        raise usage(command, f"{path}: {fault.strerror}") from None


def read_key(
    command: str, path: Path, *, private: bool, kid: str | None = None, alg: str | None = None
) -> JWK:
    """Return the key in a file: JWK, PEM or DER; exit 2 where there is none."""
    octets = read_octets(command, path)
    try:
        if octets.lstrip()[:1] == b"{":
            return JWK.from_json(octets, private=private)
        if b"-----BEGIN" in octets:
            return JWK.from_pem(octets, kid=kid, alg=alg, private=private)
        return JWK.from_der(octets, kid=kid, alg=alg, private=private)
    except RapidJWSError as refused:
        raise usage(command, f"{path}: {refused}") from None


def write_secret(command: str, path: Path, octets: bytes, *, force: bool) -> None:
    """Write a secret with mode 0600 from its first byte on; never over a file, unless forced."""
    try:
        if force:
            _files.replace(path, octets)
        else:
            _files.write_new(path, octets)
    except FileExistsError:
        raise usage(command, f"{path} exists; --force replaces it") from None
    except OSError as fault:
        raise usage(command, f"{path}: {fault.strerror}") from None
