"""A configuration file read once: its text, to say where something stands, and its tables."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws.config import body_words, schema
from rapidjws.config.nesting import NESTING_MAX, too_deep
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES: Final = 4 * 1024 * 1024
"""Largest file: tens of thousands of partners."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A configuration as it was read, parsed once; everything that serves is built from it.

    Attributes:
        path: The file.
        signature: What tells this file from a later one of the same name.
        text: Its text, to say where something stands.
        tables: Its tables, with those settings of ``server`` that the command line gave instead.
        server: These settings.
    """

    path: Path
    signature: _files.Signature | None
    text: schema.Text
    tables: dict[str, Any]
    server: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Return what paths in it are relative to."""
        return self.path.parent

    @property
    def issuers(self) -> list[dict[str, Any]]:
        """Return the tables ``issuers``."""
        found: list[dict[str, Any]] = self.tables.get("issuers") or []
        return found

    @property
    def is_current(self) -> bool:
        """Return whether the file is still the one that was read."""
        return self.signature is not None and _files.signature(self.path) == self.signature

    def section(self, name: str) -> dict[str, Any]:
        """Return one section, empty where the file has none."""
        return dict(self.tables.get(name) or {})

    def current(self) -> LoadedConfig:
        """Return this, or what the file holds by now.

        Raises:
            ConfigurationError: ``configuration_invalid``, with file, line and setting.
        """
        return self if self.is_current else load_config(self.path, server=self.server)


def load_config(
    path: str | Path, *, check: bool = True, server: Mapping[str, Any] | None = None
) -> LoadedConfig:
    """Read a configuration file.

    Args:
        path: A ``.toml`` or ``.json`` file.
        check: Whether names and types are checked; False for who lists all that is wrong.
        server: Settings of ``server`` that take the place of those in the file.

    Raises:
        ConfigurationError: ``configuration_invalid``, with file, line and setting.
    """
    path = Path(path)
    try:
        signature = _files.signature(path)  # before the text: one that is replaced meanwhile is not current
    except ValueError:  # a zero octet, or half of a surrogate pair
        raise error_for("configuration_invalid", "path", "a path that the system can have") from None
    text, tables = parsed(path)
    if server and isinstance(tables.get("server", {}), dict):
        tables["server"] = {**tables.get("server", {}), **server}
    if check:
        text.check(tables)
    return LoadedConfig(path=path, signature=signature, text=text, tables=tables, server=server or {})


def parsed(path: Path) -> tuple[schema.Text, dict[str, Any]]:
    """Return a file's text and tables, whatever these hold.

    Raises:
        ConfigurationError: ``configuration_invalid``: no file to trust, or neither TOML nor JSON.
    """
    is_json = path.suffix == ".json"
    text = _text_of(path)
    deep = too_deep(text, is_json=is_json)
    if deep is not None:
        expected = f"at most {NESTING_MAX} levels of tables, lists and dotted keys"
        raise error_for("configuration_invalid", f"{path.name}:{deep}", expected=expected)
    try:
        found = json.loads(text, object_pairs_hook=_unique) if is_json else _toml_loads(text)
    except (ValueError, RecursionError) as fault:  # both parsers say the line
        name, kind = path.name, "JSON" if is_json else "TOML"
        raise error_for("configuration_invalid", name, expected=kind, actual=str(fault)) from None
    whole = schema.Text(name=path.name, text=text, is_json=is_json)
    if not isinstance(found, dict):
        whole.refuse((), "a table")
    if body_words.SECTION in found:  # quoted: another table than [server.body]
        whole.refuse((body_words.SECTION,), f"[{body_words.SECTION}]", "its name in quotes")
    server = found.get("server")
    if isinstance(server, dict) and "body" in server:  # a section, which stands within another one
        found[body_words.SECTION] = server.pop("body")
    return whole, found


def _text_of(path: Path) -> str:
    try:
        return _files.read_trusted(path, MAX_BYTES).decode("utf-8")
    except _files.FileRefused as fault:
        if fault.reason == "too_large":
            raise error_for(
                "configuration_invalid", path.name, expected=f"at most {MAX_BYTES} bytes"
            ) from None
        raise error_for("configuration_invalid", path.name, "a file to trust", fault.strerror) from None
    except OSError as fault:
        raise error_for("configuration_invalid", path.name, actual=fault.strerror) from None
    except UnicodeDecodeError:
        raise error_for("configuration_invalid", path.name, expected="UTF-8") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object whose names are distinct."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return made


def _toml_loads(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    found: dict[str, Any] = tomllib.loads(text)
    return found
