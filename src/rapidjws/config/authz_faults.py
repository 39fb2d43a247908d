"""What is wrong with the rules of a configuration; what reads rules is loaded only where there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def authz_faults(section: Any) -> Iterator[tuple[Any, str, str | None]]:
    """Yield what is wrong with the rules of a section ``authz``, rule by rule."""
    rules = section.get("rules") if isinstance(section, dict) else None
    if isinstance(rules, list) and rules and all(isinstance(one, dict) for one in rules):
        from rapidjws.config.authz_section import rule_faults

        yield from rule_faults(("authz", "rules"), rules)
