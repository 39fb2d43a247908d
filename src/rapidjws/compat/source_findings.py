"""The calls of PyJWT, python-jose and Authlib in Python sources, and what to write instead.

Sources are parsed, never imported or executed: what cannot be parsed is named, with the reason.
"""

from __future__ import annotations

import ast
import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from rapidjws.compat.native_forms import NativeForm, form_of, library_of
from rapidjws.compat.source_names import Names, Use

MAX_SOURCE_BYTES: Final = 4 << 20
MAX_FILES: Final = 100_000
SUFFIXES: Final = frozenset({".py", ".pyw"})
LEFT_OUT: Final = frozenset(
    "node_modules __pycache__ site-packages dist-packages build dist venv env".split()
)
"""Folders whose code is not the code base's own; so are those whose name begins with a dot."""

_COMPAT: Final = "rapidjws.compat.pyjwt"
_HMAC: Final = frozenset({"HS256", "HS384", "HS512"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place to change.

    Attributes:
        file: The file, as it was named or found.
        line: From 1.
        column: From 1.
        library: ``"PyJWT"``, ``"python-jose"`` or ``"Authlib"``.
        name: The name that is used, by where it comes from.
        kind: ``"import"``, ``"call"`` or ``"use"``.
        native: The code to write.
        what: What to know about it.
        notes: What is dangerous about the call as it stands.
    """

    file: str
    line: int
    column: int
    library: str
    name: str
    kind: str
    native: str
    what: str
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "notes": list(self.notes)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A file that was not looked at.

    Attributes:
        file: The file.
        reason: Why not.
    """

    file: str
    reason: str


def findings_of(source: bytes, file: str) -> list[Finding]:
    """Return the places to change of one source.

    Args:
        source: The source, in whatever encoding it declares.
        file: Its name, for the findings.

    Raises:
        ValueError: It is no Python source that can be parsed here; the message says why.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source, "source")
        uses = Names().visit_module(tree)
    except SyntaxError as fault:
        raise ValueError(f"no Python source: line {fault.lineno or 0}: {fault.msg}") from None
    except (RecursionError, MemoryError):
        raise ValueError("nested too deep to be parsed") from None
    except ValueError as fault:
        raise ValueError(f"no Python source: {fault}") from None
    found = [_finding(use, file) for use in uses]
    return sorted(dict.fromkeys(found), key=lambda one: (one.line, one.column, one.name))


def _finding(use: Use, file: str) -> Finding:
    library = library_of(use.origin) or ""
    is_import = isinstance(use.node, (ast.Import, ast.ImportFrom))
    form = _import_form(use, library) if is_import else form_of(use.origin)
    if form is None:
        raise ValueError(f"internal: {use.origin} is in no table")
    kind = "import" if is_import else "use" if use.call is None else "call"
    return Finding(
        file=file,
        line=use.node.lineno,
        column=use.node.col_offset + 1,
        library=library,
        name=use.origin,
        kind=kind,
        native=form.form,
        what=form.what,
        notes=() if use.call is None else tuple(_notes(use.origin, use.call)),
    )


def _import_form(use: Use, library: str) -> NativeForm:
    """Return what an import becomes: PyJWT's interface is here, those of the others are not."""
    if library != "PyJWT":
        return NativeForm("from rapidjws import Engine, Issuer", "the native form")
    node = use.node
    if isinstance(node, ast.ImportFrom):
        module = _COMPAT + (node.module or "").removeprefix("jwt")
        return NativeForm(
            ast.unparse(ast.ImportFrom(module=module, names=node.names, level=0)), "the first step"
        )
    bound = next(
        (alias.asname for alias in getattr(node, "names", ()) if alias.name == use.origin and alias.asname),
        None,
    )
    inner = use.origin.removeprefix("jwt")
    if inner and bound is None:
        return NativeForm(f"import {_COMPAT} as jwt", f"the first step; jwt{inner} is found below it")
    return NativeForm(f"import {_COMPAT}{inner} as {bound or 'jwt'}", "the first step")


def _notes(origin: str, call: ast.Call) -> Iterator[str]:
    """Yield what is dangerous about a call as it stands."""
    if not origin.endswith((".decode", ".decode_complete", ".verify")):
        return
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    options = named.get("options", call.args[3] if len(call.args) > 3 else None)
    switched_off = _literal(options)
    if isinstance(switched_off, dict):
        off = [name for name, value in switched_off.items() if str(name).startswith("verify_") and not value]
        if "verify_signature" in off:
            yield "the signature is NOT VERIFIED: anybody can write what is returned"
        yield from (f"{name} is off: an engine checks it" for name in off if name != "verify_signature")
    if origin == "jose.jws.verify" and _literal(named.get("verify", options)) is False:
        yield "the signature is NOT VERIFIED: anybody can write what is returned"
    elif _literal(named.get("verify")) is False:
        yield "verify=False: PyJWT 2 ignores it"
    algorithms = _literal(named.get("algorithms", call.args[2] if len(call.args) > 2 else None))
    if isinstance(algorithms, str):
        yield f"algorithms is one text: {library_of(origin)} allows every name that is a part of it"
    elif isinstance(algorithms, (list, tuple, set)):
        names = {str(name) for name in algorithms}
        if names & _HMAC and names - _HMAC:
            yield "shared secrets and public keys are allowed together: the way algorithm confusion begins"
        if any(name.lower() == "none" for name in names):
            yield "none is allowed: no signature"


def _literal(node: ast.AST | None) -> Any:
    """Return the value of a literal, or None."""
    if node is None:
        return None
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {
            key.value: value.value
            for key, value in pairs
            if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)
        }
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [one.value for one in node.elts if isinstance(one, ast.Constant)]
    return node.value if isinstance(node, ast.Constant) else None


def sources_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files that are named, and the Python files of folders that are named, sorted.

    In folders no link is followed, so nothing outside of them is read and no ring is walked twice.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in LEFT_OUT)
            for name in sorted(files):
                found = Path(folder, name)
                if found.suffix in SUFFIXES and not found.is_symlink():
                    yield found


def source_octets(path: Path) -> bytes:
    """Return the octets of a source.

    Raises:
        ValueError: It is too large, or no regular file.
        OSError: It cannot be read.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):  # a pipe would wait for ever
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        octets = file.read(MAX_SOURCE_BYTES + 1)
    if len(octets) > MAX_SOURCE_BYTES:
        raise ValueError(f"larger than {MAX_SOURCE_BYTES} bytes")
    return octets


def look_at(paths: Iterable[Path]) -> tuple[list[Finding], list[Unread], int]:
    """Return the places to change in files and folders, what was not looked at, and how many files were."""
    found: list[Finding] = []
    unread: list[Unread] = []
    count = 0
    for path in sources_of(paths):
        if count >= MAX_FILES:
            unread.append(Unread(file=str(path), reason=f"more than {MAX_FILES} files"))
            break
        try:
            found += findings_of(source_octets(path), str(path))
            count += 1
        except OSError as fault:
            unread.append(Unread(file=str(path), reason=fault.strerror or type(fault).__name__))
        except ValueError as fault:
            unread.append(Unread(file=str(path), reason=str(fault)))
    return found, unread, count
