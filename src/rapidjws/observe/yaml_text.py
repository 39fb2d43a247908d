"""YAML as rule files need it: mappings, lists, texts and numbers, written without a library."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from rapidjws import escaping

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ ./-]*\Z")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def yaml_text(value: Any) -> str:
    """Return a value as YAML, block style; texts that could be read as something else are quoted."""
    return "\n".join(_lines(value)) + "\n"


def _scalar(value: Any) -> str:
    if (
        isinstance(value, str)
        and _PLAIN.match(value)
        and value.lower() not in _WORDS
        and value == value.strip()
    ):
        return value
    text = json.dumps(value, ensure_ascii=False)
    return escaping.printable(text, len(text))  # its escapes are those of YAML's quoted texts, too


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict) and value:
        found = []
        for name, inner in value.items():
            if isinstance(inner, (dict, list)) and inner and not _short(inner):
                found += [f"{name}:", *("  " + line for line in _lines(inner))]
            else:
                found.append(f"{name}: {_flow(inner)}")
        return found
    if isinstance(value, list) and value:
        found = []
        for inner in value:
            first, *rest = _lines(inner)
            found += [f"- {first}", *("  " + line for line in rest)]
        return found
    return [_flow(value)]


def _short(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, (str, int)) for one in value)


def _flow(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(json.dumps(one) for one in value) + "]"
    return "{}" if isinstance(value, dict) else _scalar(value)
