"""``rapidjws sign``: a payload, signed with a private key from a file."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from rapidjws.cli.files import read_key, read_octets, usage
from rapidjws.errors import RapidJWSError
from rapidjws.signing import JWTBuilder, LocalSigner, Signature, sign_compact, sign_flattened, sign_general


class Form(str, enum.Enum):
    """The serializations of RFC 7515."""

    COMPACT = "compact"
    FLATTENED = "flattened"
    GENERAL = "general"


def sign(
    payload: Annotated[Path, typer.Argument(help="File with the payload, or - for stdin.")] = Path("-"),
    *,
    key: Annotated[
        list[Path], typer.Option(help="Private key: JWK, PEM or DER; several for --form general.")
    ],
    alg: Annotated[str | None, typer.Option(help="Algorithm, where the key leaves a choice.")] = None,
    form: Annotated[Form, typer.Option(help="Serialization.")] = Form.COMPACT,
    typ: Annotated[str | None, typer.Option(help="typ for the header.")] = None,
    detached: Annotated[bool, typer.Option("--detached", help="Leave the payload out.")] = False,
    unencoded: Annotated[bool, typer.Option("--unencoded", help="b64 false (RFC 7797).")] = False,
    issuer: Annotated[
        str | None, typer.Option(help="Make a JWT of this iss; the payload is its claims.")
    ] = None,
    audience: Annotated[str | None, typer.Option(help="aud of the JWT.")] = None,
    lifetime: Annotated[int, typer.Option(help="Seconds from iat to exp of the JWT.", min=1)] = 300,
) -> None:
    """Sign a payload; print the token. Exit 2 on wrong usage."""
    try:
        signers = [LocalSigner(read_key("sign", path, private=True), alg) for path in key]
        if len(signers) > 1 and form is not Form.GENERAL:
            raise usage("sign", "several keys need --form general")
        header = {} if typ is None else {"typ": typ}
        if issuer is not None:
            builder = JWTBuilder(signers[0], iss=issuer, audience=audience, lifetime_s=lifetime)
            print(builder.sign(_claims(payload), header=header))
            return
        octets = read_octets("sign", payload)
        if form is Form.COMPACT:
            print(sign_compact(octets, signers[0], header=header, detached=detached, b64=not unencoded))
        elif form is Form.FLATTENED:
            print(
                json.dumps(
                    sign_flattened(octets, signers[0], header=header, detached=detached, b64=not unencoded)
                )
            )
        else:
            wanted = [Signature(signer=signer, header=header) for signer in signers]
            print(json.dumps(sign_general(octets, wanted, detached=detached, b64=not unencoded)))
    except RapidJWSError as refused:
        raise usage("sign", str(refused)) from None


def _claims(path: Path) -> dict[str, Any]:
    """Return the claims in a file: a JSON object, or nothing."""
    text = read_octets("sign", path).strip() or b"{}"
    try:
        claims = json.loads(text)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise usage("sign", f"{path}: a JSON object of claims is expected")
    return claims
