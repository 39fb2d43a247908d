"""Write the reference pages of docs/reference: the API by module, and the commands with their options.

Run without arguments to write the pages, with ``--check`` to fail where one is not current.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import typer
from logs_page import page as logs_page
from metrics_page import page as metrics_page

import rapidjws

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
INTEGRATIONS = ("aiohttp", "django", "drf", "fastapi", "flask", "grpc", "litestar", "pyjwt", "starlette")
"""Modules of a package that users import by name: each needs an extra, or stands for another library."""

HIDDEN = {"cli"}
"""Packages that are no library."""


def modules() -> list[str]:
    """Return the modules whose names users import, the package first."""
    found = ["rapidjws"]
    for info in pkgutil.iter_modules(rapidjws.__path__, "rapidjws."):
        if (
            not info.ispkg
            or info.name.rpartition(".")[2].startswith("_")
            or info.name.split(".")[1] in HIDDEN
        ):
            continue
        package = importlib.import_module(info.name)
        if getattr(package, "__all__", ()):
            found.append(info.name)
        found += [
            f"{info.name}.{inner.name}"
            for inner in pkgutil.iter_modules(package.__path__)
            if inner.name in INTEGRATIONS or (info.name, inner.name) == ("rapidjws.testing", "benchmarks")
        ]
    return found


def own_names(module: Any) -> list[str]:
    """Return the public names of a module: what it exports, or what it defines."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not name.startswith("_")]
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
        and callable(value)
    )


def first_sentence(value: Any) -> str:
    """Return the first sentence of a docstring, as Markdown."""
    text = (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "`")
    return text.replace("|", "\\|")


def place_of(module: str, name: str) -> str:
    """Return where the documentation finds a name: a function may share its package's name."""
    place = f"{module}.{name}"
    packages = {info.name for info in pkgutil.iter_modules(rapidjws.__path__, "rapidjws.")}
    return f"{place}.{name}" if place in packages else place


def module_page(name: str) -> str:
    """Return the page of one module."""
    module = importlib.import_module(name)
    text = [f"# `{name}`", "", first_sentence(module), ""]
    for each in own_names(module):
        text += [f"::: {place_of(name, each)}", ""]
    return "\n".join(text).rstrip() + "\n"


def page_name(module: str) -> str:
    """Return the file name of a module's page."""
    return module.replace(".", "-") + ".md"


def index_page() -> str:
    """Return the table of modules with their public names."""
    text = [
        "# API reference",
        "",
        "Every public name, by the module it is imported from. Any other name may change in any release.",
        "",
        "| module | what it holds | names |",
        "| --- | --- | --- |",
    ]
    for name in modules():
        module = importlib.import_module(name)
        names = ", ".join(f"`{each}`" for each in own_names(module))
        text.append(f"| [`{name}`]({page_name(name)}) | {first_sentence(module)} | {names} |")
    text += [
        "",
        "See also [Commands](cli.md), [Metrics](metrics.md), [Logs](logs.md) and "
        "[Error codes](../troubleshooting.md).",
    ]
    return "\n".join(text) + "\n"


def parameter_row(parameter: inspect.Parameter, hint: Any) -> str:
    """Return the table row of an option or argument, from its annotation."""
    kind, info = get_args(hint)[0], hint.__metadata__[0]
    first = (info.default,) if isinstance(info.default, str) else ()  # Annotated: the first name stands there
    given = (*first, *(info.param_decls or ()))
    if isinstance(info, typer.models.ArgumentInfo):
        names = f"`{(given[0] if given else parameter.name).upper()}`"
    else:
        options = [one for one in given if one.startswith("-")] or ["--" + parameter.name.replace("_", "-")]
        names = ", ".join(f"`{each}`" for each in options)
    plain = [one for one in get_args(kind) or (kind,) if one is not type(None)]
    one = plain[0] if get_origin(kind) in (None, Union, UnionType) else kind
    repeated = get_origin(one) is list
    one = get_args(one)[0] if repeated else one
    if isinstance(one, type) and issubclass(one, Enum):
        shown = ", ".join(f"`{each.value}`" for each in one)
    else:
        shown = {bool: "flag", str: "text", int: "integer", float: "number", Path: "path"}.get(one, str(one))
    default = parameter.default
    if default in (..., inspect.Parameter.empty):
        stated = "required"
    else:
        value = default.value if isinstance(default, Enum) else default
        stated = "" if value is None or value is False else f"`{value}`"
    meaning = str(info.help or "").replace("|", "\\|")
    return f"| {names} | {shown}{', repeated' if repeated else ''} | {stated} | {meaning} |"


def command_section(path: str, callback: Any) -> list[str]:
    """Return the section of one command."""
    text = [f"## `{path}`", "", inspect.cleandoc(callback.__doc__ or ""), ""]
    hints = get_type_hints(callback, include_extras=True)
    parameters = inspect.signature(callback).parameters.values()
    rows = [
        parameter_row(one, hints[one.name]) for one in parameters if hasattr(hints[one.name], "__metadata__")
    ]
    if rows:
        text += ["| option | value | default | meaning |", "| --- | --- | --- | --- |", *rows, ""]
    return text


def sections(path: str, app: typer.Typer) -> list[str]:
    """Return the sections of all commands of an application, groups after the single ones."""
    text = []
    for command in app.registered_commands:
        callback = command.callback
        assert callback is not None
        text += command_section(f"{path} {command.name or callback.__name__.replace('_', '-')}", callback)
    for group in app.registered_groups:
        inner = group.typer_instance
        assert inner is not None
        text += [f"## `{path} {group.name}`", "", str(inner.info.help or ""), ""]
        text += sections(f"{path} {group.name}", inner)
    return text


def cli_page() -> str:
    """Return the page of all commands."""
    from rapidjws.cli.app import whole_app

    text = [
        "# Commands",
        "",
        "Made by `tools/reference.py` from the program; do not edit it here. `rapidjws` needs the "
        "extra `cli`, and `rapidjws serve` the extra `server` as well. Every command has `--help`.",
        "",
    ]
    text += sections("rapidjws", whole_app())
    return "\n".join(text).rstrip() + "\n"


def pages() -> dict[Path, str]:
    """Return what each page must hold."""
    found = {FOLDER / page_name(name): module_page(name) for name in modules()}
    others = {"index.md": index_page(), "cli.md": cli_page(), "metrics.md": metrics_page(),
              "logs.md": logs_page()}  # fmt: skip
    return {**found, **{FOLDER / name: text for name, text in others.items()}}


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; return the exit status."""
    wanted = pages()
    stale = [
        path.name for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text
    ]
    stale += [path.name for path in FOLDER.glob("*.md") if path not in wanted]
    if arguments == ["--check"]:
        print("\n".join(f"{name}: not current, run tools/reference.py" for name in stale))
        return int(bool(stale))
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.md"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
