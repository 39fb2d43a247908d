"""Examples beside the rules of a configuration: a token's claims and a request, and what they must get.

Rules see the token as in service; see ``authz_replay``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rapidjws.authz.authorization import ENFORCE, Permit, RuleResult
from rapidjws.authz.request import HTTPRequest
from rapidjws.cli.authz_replay import Replay, enforced
from rapidjws.config.authz_section import authorizer_from
from rapidjws.config.moments import moment_s
from rapidjws.config.sections import issuer_name
from rapidjws.errors import CODES, RapidJWSError, error_for

if TYPE_CHECKING:
    from rapidjws.authz.authorizer import Authorizer
    from rapidjws.config.read import LoadedConfig

EXAMPLE: Final = frozenset(
    {"name", "claims", "method", "path", "host", "headers", "partner", "at", "content", "expect", "rule"}
)
PERMIT: Final = "permit"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleResult:
    """What one example came to.

    Attributes:
        name: Its name.
        expected: ``"permit"``, or the code that must refuse.
        found: What it got.
        rule: The rule that refused, or None.
        results: Each rule that applied -> what was not met, or None.
        is_good: Whether that is what it must get.
    """

    name: str
    expected: str
    found: str
    rule: str | None
    results: dict[str, RuleResult | None]
    is_good: bool

    @property
    def watched(self) -> str | None:
        """Return the first rule in detect or warn that would refuse it, its code and phase, or None."""
        for one in self.results.values():
            if one is not None and one.phase != ENFORCE:
                return f"{one.code} by {one.rule}, in {one.phase}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamplesReport:
    """What all examples came to.

    Attributes:
        results: One an example.
        met: Rule -> how many examples met it.
        unmet: Rule -> how many did not.
    """

    results: tuple[ExampleResult, ...]
    met: dict[str, int]
    unmet: dict[str, int]

    @property
    def is_good(self) -> bool:
        """Return whether each example got what it must."""
        return all(one.is_good for one in self.results)

    @property
    def uncovered(self) -> tuple[str, ...]:
        """Return the rules that no example meets, or none fails to meet."""
        return tuple(name for name in self.met if not (self.met[name] and self.unmet[name]))


def run_examples(loaded: LoadedConfig, *, as_enforced: bool = False) -> ExamplesReport:
    """Try all examples of a configuration.

    Args:
        loaded: The configuration.
        as_enforced: Whether rules in detect and warn refuse as well.

    Raises:
        ConfigurationError: ``configuration_invalid``: there are no rules, or an example is malformed.
    """
    section = loaded.section("authz")
    section = enforced(section) if as_enforced and section.get("rules") else section
    rules = authorizer_from(section, lambda *_: None, loaded.folder)
    if rules is None:
        loaded.text.refuse(("authz",), "rules to be tried", None)
    found, replay = [], Replay(issuer_name(loaded.issuers[0]) if loaded.issuers else None)
    for number, table in enumerate(section.get("examples", [])):
        try:
            found.append(_tried(rules, table, replay))
        except RapidJWSError as fault:
            loaded.text.refuse(("authz", "examples", number), str(fault.expected or fault.code))
    met = dict.fromkeys((one.name for one in rules.rules), 0)
    unmet = dict(met)
    for one in found:
        for name, result in one.results.items():
            counts = met if result is None else unmet
            if name in counts:
                counts[name] += 1
    return ExamplesReport(results=tuple(found), met=met, unmet=unmet)


def _tried(rules: Authorizer, table: dict[str, Any], replay: Replay) -> ExampleResult:
    unknown = sorted(set(table) - EXAMPLE)
    if unknown:
        raise error_for("configuration_invalid", None, f"settings of {', '.join(sorted(EXAMPLE))}")
    expected = table.get("expect", "")
    if expected != PERMIT and expected not in CODES:
        raise error_for("configuration_invalid", None, "expect: permit, or an error code")
    claims, content = table.get("claims", {}), table.get("content")
    if not isinstance(claims, dict) or not isinstance(content, (str, type(None))):
        raise error_for("configuration_invalid", None, "claims: a table; content: a text")
    at = table.get("at")
    now = float(time.time() if at is None else moment_s("at", at))
    decision = replay.decision(claims, table.get("partner"), now)
    request = HTTPRequest(
        method=table.get("method", "GET"), path=table.get("path", "/"), host=table.get("host"),
        headers=table.get("headers"), content=None if content is None else content.encode(),
    )  # fmt: skip
    answer = rules.authorize(decision, request, now=now)
    found = PERMIT if isinstance(answer, Permit) else answer.code
    rule = None if isinstance(answer, Permit) else answer.rule
    return ExampleResult(
        name=str(table.get("name", table.get("path", "/"))),
        expected=expected,
        found=found,
        rule=rule,
        results={} if decision.verified is None else rules.examine(decision, request, now=now),
        is_good=found == expected and table.get("rule") in (None, rule),
    )
