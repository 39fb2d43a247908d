"""``Engine.verify`` is documented once, in the compiled module's stub; other places say the same."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import rapidjws

SOURCE = Path(__file__).resolve().parents[2] / "src" / "rapidjws"


def method_of(path: Path, owner: str, name: str) -> ast.FunctionDef:
    """Return a method's definition, as written in a class of a file or below a condition in it."""
    tree = ast.parse(path.read_text("utf-8"))
    (found,) = (
        node
        for one in tree.body
        if isinstance(one, ast.ClassDef) and one.name == owner
        for node in ast.walk(one)
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    return found


def documented() -> ast.FunctionDef:
    """Return the one documented definition."""
    return method_of(SOURCE / "_rapidjws.pyi", "NativeEngine", "verify")


@pytest.mark.source_tree
def test_the_compiled_docstring_is_the_stubs() -> None:
    """What ``help(Engine.verify)`` shows is the stub's docstring, word for word."""
    text = ast.get_docstring(documented())
    assert text
    assert inspect.getdoc(rapidjws.Engine.verify) == text


@pytest.mark.source_tree
def test_the_compiled_signature_is_the_stubs() -> None:
    """The function takes the arguments of the stub, by the same names and with the same defaults."""
    arguments = documented().args
    compiled = inspect.signature(rapidjws.Engine.verify).parameters
    assert list(compiled) == [one.arg for one in (*arguments.args, *arguments.kwonlyargs)]
    assert [one.arg for one in arguments.kwonlyargs] == [
        name for name, one in compiled.items() if one.kind is one.KEYWORD_ONLY
    ]
    defaults = [
        ast.literal_eval(one) for one in (*arguments.defaults, *arguments.kw_defaults) if one is not None
    ]
    assert defaults == [one.default for one in compiled.values() if one.default is not one.empty]


@pytest.mark.source_tree
def test_the_typed_declaration_is_the_stubs() -> None:
    """What type checkers and the reference read of ``Engine.verify`` has the stub's text and names."""
    typed, stub = method_of(SOURCE / "jwt" / "engine.py", "Engine", "verify"), documented()
    assert ast.get_docstring(typed) == ast.get_docstring(stub)
    names = [[one.arg for one in (*each.args.args, *each.args.kwonlyargs)] for each in (typed, stub)]
    assert names[0] == names[1]
