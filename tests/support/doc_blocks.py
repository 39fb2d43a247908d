"""Fenced blocks of Markdown pages: found, and run as the page shows them.

A block is run unless the comment ``<!-- not run: REASON -->`` stands before it. ``<!-- prelude ... -->``
holds Python that a page's blocks need and a reader does not. Blocks of a page share their names and a folder;
a block whose first line is ``# NAME.py`` or ``# NAME.toml`` is also written to that file; what it
defines is seen by the blocks that import it, as by a reader.
"""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LINE = re.compile(r"^(?:(?P<ticks>```)(?P<language>[\w-]*)(?P<rest>.*)|<!-- (?P<comment>.*))$")
NOT_RUN = re.compile(r"not run: (?P<reason>\S.*?) -->$")
FILE = re.compile(r"# ([\w.-]+\.(?:py|toml))$")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block, or a prelude.

    Attributes:
        language: What stands after the fence, or ``"prelude"``.
        text: The lines inside.
        line: The number of its first line.
        reason: Why it is not run, or None.
    """

    language: str
    text: str
    line: int
    reason: str | None = None


def blocks_of(text: str) -> list[Block]:
    """Return a page's blocks in their order."""
    found, lines, number, reason = [], text.splitlines(), 0, None
    while number < len(lines):
        opening = LINE.match(lines[number])
        number += 1
        if opening is None:
            reason = reason if not lines[number - 1].strip() else None
            continue
        end = "```" if opening["ticks"] else "-->"
        if opening["comment"] is not None and opening["comment"] != "prelude":
            marked = NOT_RUN.match(opening["comment"])
            reason = marked["reason"] if marked else None
            continue
        start = number
        while lines[number].rstrip() != end:
            number += 1
        language = opening["language"] if opening["ticks"] else "prelude"
        body = "\n".join(lines[start:number]) + "\n"
        found.append(Block(language=language, text=body, line=start + 1, reason=reason))
        reason, number = None, number + 1
    return found


def run_python(block: Block, page: str, names: dict[str, Any]) -> None:
    """Run a block of Python: a session where it begins with ``>>>``, else a module; ``await`` is allowed."""
    if block.text.startswith(">>>"):
        test = doctest.DocTestParser().get_doctest(block.text, names, page, page, block.line - 1)
        test.globs = names  # the page's own, not a copy
        output: list[str] = []
        result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=output.append, clear_globs=False)
        assert not result.failed, "".join(output)
        return
    code = compile(
        "\n" * (block.line - 1) + block.text,
        page,
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, names))
    else:
        exec(code, names)


def run_console(block: Block, page: str, invoke: Callable[[list[str]], tuple[int, str]]) -> None:
    """Run each ``$ rapidjws ...`` line, and compare what it prints where the block shows it.

    A command must exit with 0, or with N where its line ends in ``# exit N``.
    """
    for command, shown in commands_of(block):
        assert command.startswith("rapidjws "), f"{page}:{block.line}: mark `{command}`, it cannot be run"
        code, output = invoke(shlex.split(command, comments=True)[1:])
        expected = re.search(r"# exit (\d+)$", command)
        where = f"{page}:{block.line}: {command}: exit {code}\n{output}"
        assert code == int(expected[1] if expected else 0), where
        if shown:
            assert doctest.OutputChecker().check_output(shown, output, FLAGS), where


def commands_of(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with the output shown below it."""
    parts = re.split(r"^\$ ", block.text.replace("\\\n", " "), flags=re.MULTILINE)
    found = []
    for part in parts[1:]:
        command, _, shown = part.partition("\n")
        found.append((command.strip(), shown))
    return found


def run_page(
    path: Path, folder: Path, names: Mapping[str, Any], invoke: Callable[[list[str]], tuple[int, str]]
) -> int:
    """Run what a page shows in a folder of its own; return the number of blocks run."""
    shared, count = dict(names), 0
    for block in blocks_of(path.read_text("utf-8")):
        if block.reason is not None:
            continue
        name = FILE.match(block.text.partition("\n")[0])
        if name is not None:
            (folder / name[1]).write_text(block.text, "utf-8")
        if block.language in {"prelude", "python"}:
            run_python(block, path.name, shared if name is None else dict(shared))
        elif block.language == "console":
            run_console(block, path.name, invoke)
        elif block.language == "toml":
            parse_toml(block.text)
        else:
            continue
        count += block.language != "prelude"
    return count


def parse_toml(text: str) -> None:
    """Parse a block of TOML.

    Raises:
        ValueError: It is none.
    """
    try:
        import tomllib
    except ImportError:
        import tomli as tomllib
    tomllib.loads(text)
