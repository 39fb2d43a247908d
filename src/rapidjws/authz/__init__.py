"""Rules and policies after verification: what the holder of a verified token may do."""

from rapidjws.authz.amounts import Limit
from rapidjws.authz.authorization import RULE_PHASES, Deny, Indeterminate, Permit, RuleResult
from rapidjws.authz.authorizer import Authorizer
from rapidjws.authz.claim_conditions import Roles
from rapidjws.authz.delegation import Delegation
from rapidjws.authz.request import HTTPRequest
from rapidjws.authz.rule import Rule
from rapidjws.authz.signers import Signers
from rapidjws.authz.time_window import TimeWindow

__all__ = [
    "Authorizer",
    "Delegation",
    "Deny",
    "HTTPRequest",
    "Indeterminate",
    "Limit",
    "Permit",
    "RULE_PHASES",
    "Roles",
    "Rule",
    "RuleResult",
    "Signers",
    "TimeWindow",
]
