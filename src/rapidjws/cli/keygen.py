"""``rapidjws keygen``: a fresh key for an algorithm, the private half to a file, the public half shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from rapidjws.cli.files import usage, write_secret
from rapidjws.errors import RapidJWSError
from rapidjws.testing.keys import RSA_BITS, make_key


def keygen(
    alg: Annotated[str, typer.Argument(help="Algorithm, for instance ES256.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the private JWK; made with mode 0600.")],
    kid: Annotated[str | None, typer.Option(help="kid; by default the key's thumbprint.")] = None,
    crv: Annotated[str | None, typer.Option(help="For EdDSA: Ed25519 or Ed448.")] = None,
    rsa_bits: Annotated[
        int, typer.Option(help="Modulus size for RS and PS.", min=2048, max=16384)
    ] = RSA_BITS,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Make a key; print the public JWK (nothing, for a shared secret)."""
    if crv is not None and crv not in ("Ed25519", "Ed448"):
        raise usage("keygen", f"--crv is Ed25519 or Ed448, not {crv!r}")
    try:
        key = make_key(alg, kid=kid, crv=crv, rsa_bits=rsa_bits)
    except RapidJWSError as refused:
        raise usage("keygen", str(refused)) from None
    members = key.as_dict(private=True)
    members.setdefault("kid", key.thumbprint())
    if not key.is_symmetric:
        members["use"] = "sig"
    write_secret("keygen", out, json.dumps(members, indent=2).encode() + b"\n", force=force)
    if not key.is_symmetric:
        print(json.dumps({**key.public().as_dict(), "kid": members["kid"], "use": "sig"}, indent=2))
