"""Write docs/configuration.md from the schema, the constructors' defaults and the words for each setting.

Run without arguments to write the page, with ``--check`` to fail where it is not current.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from generated import write_or_check

from rapidjws.cli.config_schema import json_schema, unit_of
from rapidjws.config import schema
from rapidjws.config.setting_words import EXAMPLES, SECTIONS, WORDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
HEAD = """# Configuration

Made by `tools/configuration.py` from the schema in the code; do not edit it here.

One file, TOML or JSON, for `rapidjws serve`, `rapidjws rollout`, `rapidjws keys` and
`rapidjws.config.load.ConfigFile`. Paths are relative to its folder.

```sh
rapidjws config init FILE                     # a commented file to begin with
rapidjws config check FILE                    # all that is wrong, with line, setting and what is allowed
rapidjws config check FILE --ignore-files     # the same for another machine: files it names are left aside
rapidjws config check FILE --admin ADDRESS    # and what it would change in a running service
rapidjws config show FILE                     # what holds, defaults filled in, secrets redacted
rapidjws config schema                        # JSON Schema, for editors
```

`check` ends with 0 where the file is good, and with 1 where something is wrong with it. With `--admin` it
ends with 3 where the file is good and would change something, and with 2 where the service cannot be asked.
Settings are compared with defaults filled in; passwords are compared and never shown; what files hold is not
compared.

`issuers` may change while the file is served: it is read again when it changes, and on SIGHUP. All other
sections need a restart. A text may stand for a list of one. A misspelt section or setting is refused.
"""
TYPES = {
    schema.TEXT: "text",
    schema.TEXTS: "list of texts",
    schema.WHOLE: "whole number",
    schema.NUMBER: "number",
    schema.SWITCH: "`true` or `false`",
    schema.DATE: "date",
    schema.RULES: "list of rules",
    schema.CLAIMS: "table of claims",
    schema.CLAIM_HEADERS: "table of claims and headers",
}
TABLES: dict[str, dict[str, str]] = {"issuers": schema.ISSUER, "partners": schema.PARTNER, **schema.SECTIONS}


def _described(section: str) -> dict[str, Any]:
    whole, _, part = section.partition(".")
    found: dict[str, Any] = json_schema()["properties"][whole]
    found = found["properties"][part] if part else found
    table: dict[str, Any] = found.get("items", found)["properties"]
    return table


def _rows(section: str) -> list[str]:
    described = _described(section)
    rows = []
    for name, kind in TABLES[section].items():
        words = WORDS[section][name]
        default = (
            f"`{json.dumps(described[name]['default'])}`" if "default" in described[name] else words.default
        )
        cells = (
            f"`{name}`",
            TYPES[kind],
            default,
            unit_of(name) or "-",
            words.allowed or "any",
            words.meaning,
        )
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def page() -> str:
    """Return the whole page."""
    lines = [HEAD]
    for section in WORDS:
        title = f"[[{section}]]" if section in ("issuers", "partners") else f"[{section}]"
        lines += [
            f"## `{title}`",
            "",
            SECTIONS[section],
            "",
            "```toml",
            EXAMPLES[section].rstrip(),
            "```",
            "",
        ]
        lines += [
            "| setting | type | default | unit | allowed | meaning |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        lines += [*_rows(section), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    raise SystemExit(write_or_check(PAGE, page()))
