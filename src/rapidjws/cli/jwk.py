"""``rapidjws jwk``: a key from one form into another, its thumbprint, its public half."""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from rapidjws import _files
from rapidjws.cli.files import read_key, read_octets, usage, write_secret
from rapidjws.errors import RapidJWSError
from rapidjws.jose import pyca_keys
from rapidjws.jose.jwk import JWK


class KeyForm(str, enum.Enum):
    """How a key is written."""

    JWK = "jwk"
    PEM = "pem"
    DER = "der"


def jwk(
    source: Annotated[Path, typer.Argument(help="Key: JWK, PEM or DER; - for stdin.")],
    to: Annotated[KeyForm, typer.Option(help="Form to write.")] = KeyForm.JWK,
    private: Annotated[bool, typer.Option("--private", help="Read and write the private half.")] = False,
    thumbprint: Annotated[
        bool, typer.Option("--thumbprint", help="Print the RFC 7638 thumbprint only.")
    ] = False,
    kid: Annotated[str | None, typer.Option(help="kid to set; 'thumbprint' for the key's own.")] = None,
    alg: Annotated[str | None, typer.Option(help="alg to bind a PEM or DER key to.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; needed for private keys.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Convert a key. The public half is read from a private key unless --private is given."""
    key = _read(source, private=private, alg=alg)
    if thumbprint:
        print(key.thumbprint())
        return
    secret = private and (key.is_private or key.is_symmetric)
    if key.is_symmetric and not private:
        raise usage("jwk", "a shared secret has no public half; --private writes it to --out")
    octets = _written(key, to, kid, secret=secret)
    if secret:
        if out is None:
            raise usage("jwk", "a private key is written to a file only: --out FILE")
        write_secret("jwk", out, octets, force=force)
    elif out is None:
        sys.stdout.buffer.write(octets)
    else:
        _files.write_output(out, octets)


def _read(source: Path, *, private: bool, alg: str | None) -> JWK:
    """Return the key, or the public half of a private one where that is all that is wanted."""
    try:
        return read_key("jwk", source, private=True, alg=alg) if private else _public(source, alg)
    except RapidJWSError as refused:
        raise usage("jwk", str(refused)) from None


def _public(source: Path, alg: str | None) -> JWK:
    octets = read_octets("jwk", source)
    for private in (False, True):
        try:
            if octets.lstrip()[:1] == b"{":
                return JWK.from_json(octets, private=private).public()
            if b"-----BEGIN" in octets:
                return JWK.from_pem(octets, alg=alg, private=private).public()
            return JWK.from_der(octets, alg=alg, private=private).public()
        except RapidJWSError as refused:
            if private:
                raise
            first = refused
    raise first


def _written(key: JWK, to: KeyForm, kid: str | None, *, secret: bool) -> bytes:
    """Return the key in the wanted form."""
    if to is KeyForm.JWK:
        members = key.as_dict(private=secret)
        if kid is not None:
            members["kid"] = key.thumbprint() if kid == "thumbprint" else kid
        return json.dumps(members, indent=2).encode() + b"\n"
    if key.is_symmetric:
        raise usage("jwk", "a shared secret has no PEM or DER form")
    from cryptography.hazmat.primitives import serialization

    encoding = serialization.Encoding.PEM if to is KeyForm.PEM else serialization.Encoding.DER
    if secret:
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return bytes(pyca_keys.private_key(key).private_bytes(encoding, pkcs8, plain))
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(pyca_keys.public_key(key).public_bytes(encoding, spki))
