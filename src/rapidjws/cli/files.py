"""What several commands share: exits, keys in any form, secrets written for their owner's eyes only."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Final

import typer

from rapidjws import _files
from rapidjws._inputs import open_input
from rapidjws.cli.output import complain, print_line
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet
from rapidjws.verify.key_set_file import key_set_octets

INPUT_MAX_BYTES: Final = 64 << 20
"""Most octets of a file that a command takes whole."""


def usage(command: str, message: str) -> typer.Exit:
    """Say on stderr what is wrong and return the exit for wrong usage."""
    complain(command, message)
    return typer.Exit(2)


def refusal(refused: RapidJWSError, *, as_json: bool) -> typer.Exit:
    """Say on stdout what refuses what was to be verified, and return the exit for it."""
    if as_json:
        print(json.dumps({"verdict": "refused", **refused.as_dict()}))
    else:
        print_line(f"refused {refused}")
    return typer.Exit(1)


def read_octets(command: str, path: Path) -> bytes:
    """Return a file's octets, or those of stdin for ``-``; exit 2 where it cannot be read, or never ends."""
    try:
        if str(path) != "-":
            return _read_named(path, INPUT_MAX_BYTES)
        octets = sys.stdin.buffer.read(INPUT_MAX_BYTES + 1)
    except OSError as fault:
        raise usage(command, f"{path}: {fault.strerror}") from None
    if len(octets) > INPUT_MAX_BYTES:
        raise usage(command, f"-: larger than {INPUT_MAX_BYTES} bytes")
    return octets


def _read_named(path: Path, max_bytes: int) -> bytes:
    """Return the octets of a file that a user names in a command: anybody's, but none that never ends.

    Args:
        path: A regular file, behind links or not, or a pipe that a shell hands over as ``/dev/fd/63``.
        max_bytes: Largest size.

    Raises:
        FileRefused: It is something else, or larger.
        OSError: It cannot be read.
    """
    with open(open_input(path), "rb", buffering=0) as file:
        octets = bytearray()
        while len(octets) <= max_bytes and (part := file.read(min(1 << 20, max_bytes + 1 - len(octets)))):
            octets += part
    if len(octets) > max_bytes:
        raise _files.FileRefused("too_large", str(path), f"larger than {max_bytes} bytes")
    return bytes(octets)


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


def read_key_set(command: str, path: Path) -> JWKSet:
    """Return the public keys in a file, a JWK Set or one JWK as ``keygen`` prints it; exit 2 for none."""
    try:
        octets = key_set_octets(path)
        with contextlib.suppress(ValueError):
            if "keys" not in (found := json.loads(octets)) and "kty" in found:
                return JWKSet([JWK.from_json(octets)])
        return JWKSet.from_json(octets)
    except OSError as fault:
        raise usage(command, f"{path}: {fault.strerror}") from None
    except (RapidJWSError, TypeError) as refused:
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
