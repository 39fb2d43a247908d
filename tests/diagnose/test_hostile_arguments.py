"""A hostile value in every argument of every command: nothing that a terminal obeys is printed (S26)."""

from __future__ import annotations

import enum
import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer", reason="the extra `cli` is not installed")

import typer
from test_hostile_output import CANARIES, TOGETHER, hold
from typer.testing import CliRunner

from rapidjws.cli.app import app, whole_app
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

SERVING = {"demo"}
"""Takes numbers only, and runs for seconds."""


def leaves(command: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    """Return the commands of a group that has groups, with their words."""
    below = getattr(command, "commands", None)
    if not below:
        return [(path, command)]
    return [leaf for name, one in below.items() for leaf in leaves(one, (*path, name))]


ALL = [leaf for leaf in leaves(typer.main.get_command(whole_app()), ()) if leaf[0][0] not in SERVING]


def words_of(param: Any, value: str) -> list[str]:
    """Return the words that give a parameter a value."""
    if param.param_type_name == "argument":
        return [value]
    return [f"{param.opts[0]}={value}"] if param.opts[0].startswith("--") else [param.opts[0], value]


def sample(param: Any) -> str:
    """Return a value that a parameter takes."""
    wanted = param.type_descriptor.annotation
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return str(next(iter(wanted)).value)
    return "1" if wanted in (int, float) else "none"


def calls(command: Any, value: str) -> list[list[str]]:
    """Return the words after a command with the value in one parameter at a time, in those it must have."""
    params = [one for one in command.params if one.name != "help" and not getattr(one, "is_flag", False)]
    made = []
    for one in params:
        given = [*(p for p in params if p.required and p is not one), one]
        options = [
            word
            for p in given
            if p.param_type_name == "option"
            for word in words_of(p, value if p is one else sample(p))
        ]
        named = [p for p in params if p in given and p.param_type_name == "argument"]
        made.append([*options, "--", *(value if p is one else sample(p) for p in named)])
    return made


NO_TEXT = {"octets": "k\udc80x\udcff", "surrogate": "k\ud800x"}
"""What Python makes of octets in an argument that are not UTF-8, and what no argument can be."""


@pytest.mark.parametrize("name", [*TOGETHER, *NO_TEXT])
@pytest.mark.parametrize("leaf", ALL, ids=lambda leaf: " ".join(leaf[0]))
def test_S26_arguments_of_every_command(
    leaf: tuple[tuple[str, ...], Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal of a value, whatever parameter has it, is harmless, and no traceback."""
    monkeypatch.chdir(tmp_path)
    words, command = leaf
    for given in calls(command, {**TOGETHER, **NO_TEXT}[name]):
        result = CliRunner().invoke(app, [*words, *given], input="")
        fault = result.exception
        assert fault is None or isinstance(fault, SystemExit), (words, given, fault)
        hold(result.output, name)


def test_S26_the_walk_finds_the_commands() -> None:
    """Groups are walked to their end, and every parameter gets the value once."""
    found = {" ".join(words): command for words, command in ALL}
    assert {"verify", "audit search", "incident timeline", "attest verify", "keys revoke"} <= set(found)
    assert len(found) > 55
    every = calls(found["audit search"], CANARIES["escape"])
    assert len(every) == 9
    assert all(sum(CANARIES["escape"] in word for word in one) == 1 for one in every)


def test_a_name_of_a_file_need_not_be_text(tmp_path: Path) -> None:
    """A key set whose name is Latin-1 is read, where it is there; elsewhere such a value is no text."""
    key = make_key("ES256", kid="a")
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.json")
    token = sign_compact(b"{}", LocalSigner(key))
    wanted = ["verify", "--jwks", name, "--alg", "ES256"]
    missing = CliRunner().invoke(app, wanted, input=token)
    assert missing.exit_code == 2
    assert "text in UTF-8 is expected" in missing.output
    Path(name).write_text(json.dumps({"keys": [key.public().as_dict()]}))
    found = CliRunner().invoke(app, wanted, input=token)
    assert found.exit_code == 0, found.output
