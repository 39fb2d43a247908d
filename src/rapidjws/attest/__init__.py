"""Signed statements about artifacts (in-toto), and approvals by several parties."""

from rapidjws.attest.approvals import approve, ask, collect, read_request
from rapidjws.attest.envelope import Attestation, add_signature, attest, verify_attestation
from rapidjws.attest.policy import Quorum, RolePolicy, parse_policy

__all__ = [
    "Attestation",
    "Quorum",
    "RolePolicy",
    "add_signature",
    "approve",
    "ask",
    "attest",
    "collect",
    "parse_policy",
    "read_request",
    "verify_attestation",
]
