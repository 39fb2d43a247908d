"""The list of commands."""

from __future__ import annotations

import typer

from rapidjws.cli.config import app as config
from rapidjws.cli.contract import contract
from rapidjws.cli.decode import decode
from rapidjws.cli.demo import demo
from rapidjws.cli.diagnose import diagnose
from rapidjws.cli.diff import diff
from rapidjws.cli.jwk import jwk
from rapidjws.cli.jwks import jwks
from rapidjws.cli.keygen import keygen
from rapidjws.cli.keys import app as keys
from rapidjws.cli.notify import notify
from rapidjws.cli.openssl import openssl
from rapidjws.cli.rollout import rollout
from rapidjws.cli.serve import serve
from rapidjws.cli.sign import sign
from rapidjws.cli.verify import verify
from rapidjws.cli.version import version

app = typer.Typer(
    name="rapidjws",
    help="Verify JSON Web Signatures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(verify)
app.command()(sign)
app.command()(keygen)
app.command()(jwk)
app.add_typer(jwks, name="jwks")
app.add_typer(config, name="config")
app.add_typer(contract, name="contract")
app.command()(decode)
app.command()(diagnose)
app.command()(diff)
app.command()(openssl)
app.command()(serve)
rollout.command()(notify)
app.add_typer(rollout, name="rollout")
app.command()(demo)
app.command()(version)
app.add_typer(keys, name="keys")
