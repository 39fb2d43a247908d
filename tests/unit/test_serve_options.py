"""The options of `rapidjws serve` that are read without the library for command lines, and those it reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rapidjws.cli import service
from rapidjws.cli.app import app

PLAIN: list[list[str]] = [
    ["--config", "c.toml"],
    ["--config=c.toml"],
    ["--config", "c.toml", "--listen", "unix:/run/s", "--workers", "2"],
    ["--workers=3", "--listen=127.0.0.1:1", "--config", "a=b.toml"],
]
OTHERS: list[list[str]] = [
    [],
    ["--help"],
    ["--config"],
    ["--config", ""],
    ["--config", "--listen"],
    ["--config=c.toml", "--config=d.toml"],
    ["--config=c.toml", "--workers=-1"],
    ["--config=c.toml", "--workers=two"],
    ["--config=c.toml", "--workers=\u0662"],
    ["--config=c.toml", "--workers=1000000000000"],
    ["--config=c.toml", "--other=1"],
    ["--config=c.toml", "c.toml"],
    ["-c", "c.toml"],
    ["config=c.toml"],
]


@pytest.mark.parametrize("arguments", PLAIN, ids=" ".join)
def test_plain_options_are_those_of_the_command(arguments: list[str], monkeypatch: Any) -> None:
    """What is read without the library is what the library reads."""
    seen: list[tuple[Any, ...]] = []

    def noted(*given: Any) -> int:
        seen.append(given)
        return 0

    monkeypatch.setattr("rapidjws.cli.serve.run_service", noted)
    assert CliRunner().invoke(app, ["serve", *arguments]).exit_code == 0
    options = service.plain_options(arguments)
    assert options is not None
    assert seen == [(options["config"], options.get("listen"), options.get("workers"))]


@pytest.mark.parametrize("arguments", OTHERS, ids=" ".join)
def test_everything_else_is_for_the_library(arguments: list[str]) -> None:
    """Help, faults and repeated options are answered as for every command."""
    assert service.plain_options(arguments) is None


def test_a_wrong_file_ends_both_ways_alike(tmp_path: Path) -> None:
    """The exit code and the line are the same whoever reads the options."""
    path = tmp_path / "c.toml"
    path.write_text("nothing = 1\n")
    answers = [
        subprocess.run(
            [sys.executable, "-c", "from rapidjws.cli import main; main()", "serve", *options],
            capture_output=True,
            text=True,
            check=False,
        )
        for options in (["--config", str(path)], ["--config", "other.toml", "--config", str(path)])
    ]
    assert answers[0].returncode == answers[1].returncode == service.WRONG
    assert answers[0].stderr == answers[1].stderr != ""
