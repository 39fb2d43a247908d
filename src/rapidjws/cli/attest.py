"""``rapidjws attest``: sign statements about artifacts, and verify that enough roles signed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rapidjws import _files
from rapidjws.attest.envelope import ENVELOPE_MAX_BYTES, add_signature, verify_attestation
from rapidjws.attest.envelope import attest as make
from rapidjws.cli.files import read_key, read_key_set, read_octets, refusal, usage
from rapidjws.cli.output import print_line
from rapidjws.errors import ConfigurationError, RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.signing.signer import LocalSigner


class _SignByDefault(TyperGroup):
    """A group that takes what is none of its commands for artifacts to sign."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``sign`` before arguments that begin with no command."""
        if args and args[0] not in self.commands and args[0] not in ("--help",):
            args = ["sign", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_SignByDefault, help="Sign statements about artifacts.", no_args_is_help=True, add_completion=False
)
Artifacts = Annotated[list[Path], typer.Argument(help="Files.")]
MaybeAlg = Annotated[str | None, typer.Option(help="Algorithm, where the key leaves a choice.")]


@app.command()
def sign(
    artifacts: Artifacts,
    *,
    key: Annotated[list[Path], typer.Option(help="Private key: JWK, PEM or DER; repeat for several.")],
    predicate: Annotated[Path | None, typer.Option(help="File with what is claimed, a JSON object.")] = None,
    predicate_type: Annotated[
        str | None, typer.Option(help="URI that says what it is, such as https://slsa.dev/provenance/v1.")
    ] = None,
    add_to: Annotated[
        Path | None, typer.Option(help="Attestation to add a signature to, in place of a new one.")
    ] = None,
    alg: MaybeAlg = None,
    expires_in: Annotated[int | None, typer.Option(help="Seconds until it expires.", min=1)] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; by default stdout.")] = None,
) -> None:
    """Sign an in-toto Statement about files: exit 0, or 1 where it is about others, 2 on wrong usage."""
    try:
        signers = [LocalSigner(read_key("attest", one, private=True), alg) for one in key]
        if add_to is None:
            if predicate is None or predicate_type is None:
                raise usage("attest", "--predicate and --predicate-type, or --add-to")
            claimed = _object(predicate)
            made = make(
                artifacts, signers, predicate_type=predicate_type, predicate=claimed, lifetime_s=expires_in
            )
        else:
            made = json.loads(read_octets("attest", add_to) or b"null")
            for one in signers:
                made = add_signature(json.dumps(made), one, artifacts=artifacts, lifetime_s=expires_in)
        text = json.dumps(made)
        if out is None:
            print(text)
        else:
            _files.write_output(out, text.encode() + b"\n")
    except ConfigurationError as fault:
        raise usage("attest", str(fault)) from None
    except RapidJWSError as refused:
        print_line(f"refused {refused}")
        raise typer.Exit(1) from None
    except (OSError, ValueError, RecursionError) as fault:
        raise usage("attest", _words(fault)) from None


@app.command()
def verify(
    attestation: Annotated[Path, typer.Argument(help="The attestation, or - for stdin.")],
    artifacts: Artifacts,
    *,
    policy: Annotated[str, typer.Option(help="Who must have signed: '2 of build,review,security'.")],
    role: Annotated[
        list[str], typer.Option(help="A role and its JWK or JWK Set: NAME=FILE; repeat for several.")
    ],
    alg: Annotated[list[str], typer.Option(help="Accepted algorithm; repeat for several.")],
    predicate_type: Annotated[str | None, typer.Option(help="What the predicate must be.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Verify that enough roles signed for files: exit 0, or 1 where not, 2 on wrong usage."""
    try:
        found = verify_attestation(
            read_octets("attest verify", attestation)[: ENVELOPE_MAX_BYTES + 1],
            artifacts,
            roles=_roles(role),
            policy=policy,
            algorithms=alg,
            predicate_type=predicate_type,
        )
    except ConfigurationError as fault:
        raise usage("attest verify", str(fault)) from None
    except RapidJWSError as refused:
        raise refusal(refused, as_json=as_json) from None
    except OSError as fault:
        raise usage("attest verify", _words(fault)) from None
    if as_json:
        print(json.dumps({"verdict": "verified", "roles": found.roles, "kids": found.kids,
                          "predicate_type": found.statement["predicateType"],
                          "predicate": found.statement.get("predicate", {})}))  # fmt: skip
    else:
        print_line(f"verified by {', '.join(found.roles)}: {found.statement['predicateType']}")


def _words(fault: Exception) -> str:
    """Return what to say of a file that cannot be read."""
    return f"{fault.filename}: {fault.strerror}" if isinstance(fault, OSError) else "not JSON"


def _object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; wrong usage exits 2."""
    try:
        found = json.loads(read_octets("attest", path))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise usage("attest", f"{path}: a JSON object is expected")
    return found


def _roles(given: list[str]) -> dict[str, JWKSet]:
    """Return the keys of each role; wrong usage exits 2."""
    roles: dict[str, JWKSet] = {}
    for one in given:
        name, equals, path = one.partition("=")
        if not equals or name in roles:
            raise usage("attest verify", f"--role is NAME=FILE, each name once, not {one!r}")
        roles[name] = read_key_set("attest verify", Path(path))
    return roles
