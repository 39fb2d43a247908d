"""What a snapshot holds beside keys: the rules of each issuer, and what is known of a header."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rapidjws import _native
from rapidjws.jose.issuer_names import IssuerNumbers
from rapidjws.verify.native_rules import native_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rapidjws.jose.claims import ClaimsPolicy
    from rapidjws.jose.jws import Header

OWN_PARAMETERS: Final = frozenset("alg jku jwk kid x5u x5c x5t x5t#S256 crit iss iat".split())
"""Header parameters about the signature or the signer, not the payload: these differ from signer to
signer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one issuer's tokens must fulfil beyond their signature.

    Attributes:
        iss: The issuer; "" for one whose ``iss`` is not compared; None for a plain JWS verifier.
        policy: The claims policy, or None where payloads are opaque.
        typ: The values that ``typ`` may have; none for any.
        typ_required: Whether a header without ``typ`` is refused where some are named.
        require_kid: Whether a header without kid is refused.
        try_keys: How many keys are tried for a header without kid; 0 for none but the only one.
        name: The name under which the caller of a plain JWS verifier gave these keys, or None.
        crit: The critical header extensions that the caller understands.
    """

    iss: str | None = None
    policy: ClaimsPolicy | None = None
    typ: tuple[str, ...] = ()
    typ_required: bool = True
    require_kid: bool = False
    try_keys: int = 0
    name: str | None = None
    crit: frozenset[str] = frozenset()

    def native_policy(self) -> _native.NativePolicy | None:
        """Return the policy in the core's shape."""
        policy = self.policy
        if policy is None:
            return None
        template = policy.template
        return _native.NativePolicy(
            policy.issuer if template is None else template.prefix,
            policy.audiences,
            policy.needed,
            leeway_s=int(policy.leeway_s),
            max_age_s=None if policy.max_age_s is None else int(policy.max_age_s),
            exp_required=policy.exp_required,
            audience_checked=policy.audience_checked,
            other_issuers=policy.other_issuers,
            template=None if template is None else (template.claim, template.suffix),
            rules=tuple(map(native_rule, policy.plain_rules)),
            max_auth_age_s=policy.max_auth_age_s,
            has_more=bool(policy.checks),
        )


def numbers_of(rules: Sequence[Rules]) -> IssuerNumbers:
    """Return the number of each issuer, by each ``iss`` of it or the name that its keys were given under."""
    names: dict[str | None, int] = {}
    templates = []
    for number, rule in enumerate(rules):
        policy = rule.policy
        if policy is not None and policy.template is not None:
            templates.append((policy.template, number))
            continue
        names[rule.name if rule.iss is None else rule.iss] = number
        for other in () if policy is None else policy.other_issuers:
            names[other] = number
    return IssuerNumbers(names, templates)


def native_policies(rules: Sequence[Rules]) -> list[_native.NativePolicy] | None:
    """Return one claims policy an issuer in the core's shape; None where payloads are opaque."""
    policies = [rule.native_policy() for rule in rules]
    with_claims = [policy for policy in policies if policy is not None]
    return with_claims if len(with_claims) == len(policies) else None


class KnownHeader(NamedTuple):
    """What is known of a protected header whose signature was good.

    Attributes:
        slot: The slot that answered.
        header: The checked header.
        is_encoded: Whether the payload is encoded.
        payload_params: What it tells about the payload, in one spelling: equal texts are no disagreement.
    """

    slot: int
    header: Header
    is_encoded: bool
    payload_params: str


def payload_params(header: Mapping[str, Any]) -> str:
    """Return what a protected header tells about the payload, in one spelling."""
    members = {name: value for name, value in header.items() if name not in OWN_PARAMETERS}
    return json.dumps(members, sort_keys=True)
