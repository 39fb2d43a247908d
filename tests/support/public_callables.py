"""Find every public callable of the package: what packages export, and what docs and examples import.

A constructor, a function, or a public method of a public class; each with the parameters that can be given.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import collections.abc
import functools
import importlib
import inspect
import pkgutil
import re
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import rapidjws
from rapidjws._checks import Rule, rule_of

ROOT = Path(__file__).resolve().parents[2]
ANNOTATIONS = __future__.annotations.compiler_flag
NOT_A_LIBRARY = ("cli", "_native", "compat")
"""Without an interface of our own: compat has PyJWT's, whose errors PyJWT's own tests hold."""
_IMPORT = re.compile(r"from (rapidjws(?:\.[a-z0-9_]+)*) import ([A-Za-z0-9_, ]+)")


class Public(NamedTuple):
    """One public callable.

    Attributes:
        name: ``Class``, ``Class.method`` or ``function``; with its package before it where two share one.
        call: The class, the function, or the method as its class has it.
        owner: The class of a method that needs an instance, or None.
        parameters: Those that can be given; keyword settings that a mapping type names, one by one.
    """

    name: str
    call: Callable[..., Any]
    owner: type | None
    parameters: tuple[inspect.Parameter, ...]

    def rule(self, parameter: inspect.Parameter) -> Rule:
        """Return what a parameter's annotation demands."""
        return rule_of(parameter.annotation)


def packages() -> list[str]:
    """Return the importable packages that are for users of the library."""
    found = ["rapidjws"]
    for one in pkgutil.walk_packages(rapidjws.__path__, "rapidjws."):
        parts = one.name.split(".")[1:]
        if one.ispkg and parts[0] not in NOT_A_LIBRARY and not any(part.startswith("_") for part in parts):
            found.append(one.name)
    return found


def documented() -> Iterator[tuple[str, str]]:
    """Return the module and the name of each import in README, docs and examples."""
    for path in (
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("*.py")),
    ):
        for module, names in _IMPORT.findall(path.read_text("utf-8")):
            if module.split(".")[1:2] != ["cli"]:
                yield from ((module, name.strip()) for name in names.split(","))


def exported() -> dict[str, Any]:
    """Return the public objects under their names, each once."""
    pairs = [(package, name) for package in packages()
             for name in getattr(importlib.import_module(package), "__all__", ())]  # fmt: skip
    found: dict[str, Any] = {}
    for module, name in (*pairs, *documented()):
        home = importlib.import_module(module)
        one = getattr(home, name)
        if name.startswith("_") or inspect.ismodule(one) or any(one is known for known in found.values()):
            continue
        found[name if name not in found else f"{module.removeprefix('rapidjws.')}.{name}"] = one
    return found


@functools.cache
def _names_for_type_checkers(module: Any) -> dict[str, Any]:
    """Return a module's names together with those that it has for type checkers only."""
    names: dict[str, Any] = {one: getattr(collections.abc, one) for one in collections.abc.__all__}
    names |= {"Any": Any, "Literal": typing.Literal, **vars(module)}
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.If) or ast.unparse(node.test) != "TYPE_CHECKING":
            continue
        for one in node.body:
            if isinstance(one, ast.ImportFrom):
                home = importlib.import_module(str(one.module))
                for alias in one.names:
                    found = getattr(home, alias.name, None)
                    if found is None:  # it is for type checkers only there, too
                        found = _names_for_type_checkers(home)[alias.name]
                    names[alias.asname or alias.name] = found
            else:
                code = compile(ast.unparse(one), str(module.__name__), "exec", ANNOTATIONS, dont_inherit=True)
                try:
                    exec(code, names)
                except TypeError:  # generic in its type stubs only
                    names |= {name.id: Any for name in getattr(one, "targets", ())}
    return names


def _evaluated(annotation: Any, function: Any) -> Any:
    if not isinstance(annotation, str):
        return annotation
    module = sys.modules[function.__module__]
    space = {**vars(builtins), **_names_for_type_checkers(module)}
    value = eval(annotation, space)
    return _resolved(value, space)


def _resolved(value: Any, space: dict[str, Any]) -> Any:
    """Return a type whose forward references are evaluated too, as far as a type alias hides them."""

    def holder() -> None: ...

    holder.__annotations__ = {"value": value}
    return typing.get_type_hints(holder, globalns=space).get("value", Any)


def _settings_of(annotation: str, function: Any) -> list[inspect.Parameter]:
    """Return the settings that a mapping type names, for ``**settings: Unpack[...]``."""
    module = sys.modules[function.__module__]
    space = _names_for_type_checkers(module)
    name = annotation.removeprefix("Unpack[").partition("[")[0].rstrip("]")
    mapping = space[name]
    home = sys.modules[mapping.__module__]
    known = _names_for_type_checkers(home)
    return [
        inspect.Parameter(
            one, inspect.Parameter.KEYWORD_ONLY,
            annotation=eval(text.removeprefix("NotRequired[")[:-1], {**known}),
        )
        for one, hint in mapping.__annotations__.items()
        for text in [hint.__forward_arg__]
    ]  # fmt: skip


def _parameters(call: Any) -> tuple[inspect.Parameter, ...]:
    function = call.__init__ if isinstance(call, type) else call  # type: ignore[misc]
    plain = inspect.unwrap(getattr(function, "__func__", function))
    found: list[inspect.Parameter] = []
    for one in inspect.signature(call).parameters.values():
        if one.name == "self":
            continue
        if one.kind is one.VAR_KEYWORD:
            if "Unpack" in str(one.annotation):
                found += _settings_of(str(one.annotation), plain)
            continue
        annotation = Any if one.annotation is one.empty else _evaluated(one.annotation, plain)
        found.append(one.replace(annotation=annotation))
    return tuple(found)


def _has_signature(call: Any) -> bool:
    try:
        inspect.signature(call)
    except ValueError:
        return False
    return True


def public_callables() -> list[Public]:
    """Return every public callable that takes something."""
    found = []
    for name, one in exported().items():
        if not callable(one) or not _has_signature(one):
            continue
        if not getattr(one, "_is_protocol", False):
            found.append(Public(name, one, None, _parameters(one)))
        if isinstance(one, type):
            found += _methods(name, one)
    return [one for one in found if one.parameters]


def _methods(name: str, owner: type) -> Iterator[Public]:
    for method in dir(owner):
        static = inspect.getattr_static(owner, method)
        call = getattr(owner, method)
        ours = getattr(call, "__module__", None) or getattr(call, "__objclass__", owner).__module__
        if method.startswith("_") or not callable(call) or not ours.startswith("rapidjws"):
            continue
        if getattr(owner, "_is_protocol", False) or not _has_signature(call):
            continue
        if "." not in getattr(call, "__qualname__", ".") or not hasattr(call, "__annotations__"):
            call = getattr(owner, f"a{method}")  # the core's own: its asynchronous twin says the types
        needs_instance = not isinstance(static, (classmethod, staticmethod))
        yield Public(f"{name}.{method}", call, owner if needs_instance else None, _parameters(call))
