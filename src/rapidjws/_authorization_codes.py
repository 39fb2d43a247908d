"""Error codes of what a verified token is not allowed to do: rules and policies after the verdict.

Rows for the table in ``errors``, as in ``_change_codes``. Imports nothing.
"""

from __future__ import annotations

from typing import Final

_RULE: Final = "Compare the request with the rule that the log line names; rapidjws authz test tries it."

AUTHORIZATION_ROWS: Final[tuple[tuple[str, str, str, str, str, str, bool], ...]] = (
    ("no_rule", "PolicyRefused", "authorization", "no rule applies to the request",
     "A path, method, host or partner that no rule names.",
     "Write a rule for it, or authz.default knowingly.", False),
    ("ambiguous_request", "PolicyRefused", "authorization", "rules cannot read the request in one way",
     "A path with escaped slashes, dot segments or empty ones; a header twice; or a fact the gateway hides.",
     "Send one plain path, or have the gateway name method, host and path.", False),
    ("role_missing", "PolicyRefused", "authorization", "the token lacks a required role or group",
     "A token for other purposes, or a claim of another shape.", _RULE, False),
    ("claim_not_accepted", "PolicyRefused", "authorization", "a claim is not what a rule asks for",
     "A token for another tenant, client or purpose.", _RULE, False),
    ("request_mismatch", "PolicyRefused", "authorization", "a claim does not match the request",
     "A token of one tenant that asks for another one's data.", _RULE, False),
    ("outside_hours", "PolicyRefused", "authorization", "outside of the time that a rule allows",
     "A request too early or too late, or a clock that is off.", "Compare the rule's zone and hours.", False),
    ("limit_exceeded", "PolicyRefused", "authorization", "an amount is not within a rule's limits",
     "More than is allowed, another unit, or what is no plain decimal number.", _RULE, False),
    ("actor_not_allowed", "PolicyRefused", "authorization", "who acts for the subject must not",
     "A delegation (act) that is too deep, malformed, or of somebody the rule does not name.", _RULE, False),
    ("signer_missing", "PolicyRefused", "authorization", "a signature that a rule asks for is missing",
     "Somebody who must sign too did not.", "Look at the result of each signature.", False),
    ("policy_refused", "PolicyRefused", "authorization", "the policy refuses the request",
     "An expression or a policy engine that refuses.", _RULE, False),
    ("policy_unavailable", "DependencyUnavailable", "authorization", "a policy cannot be evaluated now",
     "A policy engine that does not answer or answers nonsense, or an expression that fails on this token.",
     "Look at the policy engine, or try the expression: rapidjws authz test.", True),
)  # fmt: skip
"""Rows whose second column is the name of a class of ``errors``."""

NOT_PERMITTED: Final = frozenset(code for code, name, *_ in AUTHORIZATION_ROWS if name == "PolicyRefused")
"""Codes of requests whose token is good and does not suffice: 403."""
