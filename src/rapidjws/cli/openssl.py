"""``rapidjws openssl``: a folder with which anybody can verify a token by the openssl command."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from rapidjws.cli.files import read_octets, usage
from rapidjws.cli.output import print_line
from rapidjws.cli.token_input import read_jwks, read_token
from rapidjws.diagnose.openssl_bundle import write_bundle
from rapidjws.errors import RapidJWSError


def openssl(
    token: Annotated[str, typer.Argument(help="A token, a file with one, or - for stdin.")],
    jwks: Annotated[str, typer.Option(help="JWK Set file or URL with the key.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    kid: Annotated[str | None, typer.Option(help="Take this key, whatever the header says.")] = None,
    body: Annotated[Path | None, typer.Option(help="Payload of a detached token.")] = None,
    with_secret: Annotated[bool, typer.Option("--with-secret", help="Write an HMAC secret as well.")] = False,
) -> None:
    """Write header, payload, signing input, key, signature, and verify.sh. The token is not verified."""
    try:
        made = write_bundle(
            read_token("openssl", token),
            read_jwks("openssl", jwks),
            out,
            kid=kid,
            body=None if body is None else read_octets("openssl", body),
            include_secret=with_secret,
        )
    except RapidJWSError as refused:
        raise usage("openssl", str(refused)) from None
    except OSError as fault:
        raise usage("openssl", f"{out}: {fault.strerror}") from None
    print_line(f"{made.folder}: {', '.join(made.files)}")
    print_line(f"run: sh {shlex.quote(str(made.folder / 'verify.sh'))}")
