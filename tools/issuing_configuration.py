"""Write docs/issuing-configuration.md from the schema of the file for ``rapidjws issue``.

Run without arguments to write the page, with ``--check`` to fail where it is not current.
"""

from __future__ import annotations

from pathlib import Path

from generated import write_or_check

from rapidjws.config.issuing_schema import SECTION_WORDS, TABLES
from rapidjws.config.schema import NUMBER, SWITCH, TEXT, TEXTS, WHOLE

PAGE = Path(__file__).resolve().parents[1] / "docs" / "issuing-configuration.md"
HEAD = """# Configuration of an issuer

Made by `tools/issuing_configuration.py` from the schema in the code; do not edit it here.

One file, TOML or JSON, for `rapidjws issue`. Paths are relative to its folder. A misspelt setting, a value of
another type and times that contradict each other are refused with their line. A change needs a restart.
"""
LISTS = ("consumers", "clients", "signing_clients")
TYPES = {
    TEXT: "text",
    TEXTS: "list of texts",
    WHOLE: "whole number",
    NUMBER: "number",
    SWITCH: "`true` or `false`",
}


def unit_of(name: str) -> str:
    """Return the unit that a name ends with."""
    return {"s": "seconds", "bits": "bits", "bytes": "bytes"}.get(name.rpartition("_")[2], "-")


def page() -> str:
    """Return the whole page."""
    lines = [HEAD]
    for section, table in TABLES.items():
        lines += [
            f"## `{f'[[{section}]]' if section in LISTS else f'[{section}]'}`",
            "",
            SECTION_WORDS[section],
            "",
        ]
        lines += [
            "| setting | type | default | unit | allowed | meaning | example |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for name, one in table.items():
            kind, example = TYPES.get(one.kind, one.kind), f"`{one.example}`"
            cells = (f"`{name}`", kind, one.default, unit_of(name), one.allowed, one.meaning, example)
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    raise SystemExit(write_or_check(PAGE, page()))
