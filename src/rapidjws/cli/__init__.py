"""The command line: one file a command. Needs the extra ``cli`` (typer, rich)."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; exit 0 when all is well, 1 when a token is refused, 2 on wrong usage."""
    if sys.argv[1:2] == ["serve"]:  # a service starts without the library for command lines where it can
        from rapidjws.cli.service import plain_options, run_service

        options = plain_options(sys.argv[2:])
        if options is not None:
            raise SystemExit(run_service(**options))
    try:
        from rapidjws.cli.app import app
    except ModuleNotFoundError as missing:
        if missing.name not in ("typer", "rich"):
            raise
        print(
            f"rapidjws: the command line needs {missing.name}: pip install 'rapidjws[cli]'", file=sys.stderr
        )
        raise SystemExit(2) from None
    app()
