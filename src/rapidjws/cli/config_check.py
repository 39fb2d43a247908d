"""All that is wrong with a configuration file, found without serving it, fetching keys or making a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rapidjws.cli.config_values import value_faults
from rapidjws.config import schema
from rapidjws.config.locate import line_of
from rapidjws.config.named_files import named_file_faults
from rapidjws.config.read import load_config
from rapidjws.errors import RapidJWSError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rapidjws.config.read import LoadedConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a configuration.

    Attributes:
        line: On which line, from 1 on; None where that is not known.
        key: The setting, ``issuers[0].leeway_s``.
        expected: What is allowed.
        found: What stands there, or None.
    """

    line: int | None
    key: str
    expected: str
    found: str | None

    def __str__(self) -> str:
        """Return it as one line."""
        where = "" if self.line is None else f"{self.line}: "
        found = "" if self.found is None else f", found {self.found}"
        return f"{where}{self.key}: {self.expected} expected{found}"


def problems_of(
    path: Path, check_server: Callable[[dict[str, Any]], object], *, files: bool = True
) -> list[Problem]:
    """Return all that is wrong with a file, in the order of its lines; nothing where it is good.

    Args:
        path: The file.
        check_server: Raises what is wrong with the table ``server``.
        files: Whether the files, folders and modules that it names are looked at as well.
    """
    try:
        loaded = load_config(path, check=False)
    except RapidJWSError as fault:
        return [
            Problem(
                line=None,
                key=fault.place or path.name,
                expected=str(fault.expected or "a file to read"),
                found=_text(fault.actual),
            )
        ]
    return problems_in(loaded, check_server, files=files, notices=True)


def problems_in(
    loaded: LoadedConfig,
    check_server: Callable[[dict[str, Any]], object],
    *,
    files: bool = True,
    notices: bool = False,
) -> list[Problem]:
    """Return all that is wrong with a configuration, in the order of its lines.

    Args:
        loaded: The configuration.
        check_server: Raises what is wrong with the table ``server``.
        files: Whether the files, folders and modules that it names are looked at as well.
        notices: Whether the files are looked at that only ``rapidjws rollout notify`` reads: who serves may
            have no right to read them.
    """
    text, tables, folder = loaded.text, loaded.tables, loaded.folder
    found = list(schema.faults(tables))
    broken = {fault[0][:2] if fault[0][0] in ("issuers", "partners") else fault[0][:1] for fault in found}
    found += value_faults(tables, broken, folder, check_server, files=files, notices=notices)
    if files:
        found += named_file_faults(tables, folder)
    problems = [
        Problem(
            line=line_of(text.text, where, is_json=text.is_json),
            key=_dotted(where),
            expected=expected,
            found=actual,
        )
        for where, expected, actual in {fault[0]: fault for fault in reversed(found)}.values()
    ]
    return sorted(problems, key=lambda one: (one.line or 0, one.key))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _dotted(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
