"""Which tenants an issuer's template stands for."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from rapidjws.errors import error_for
from rapidjws.jose.claim_rules import OneOf, PathRule
from rapidjws.jose.issuer_names import VARIABLE_MAX_CHARS, IssuerTemplate, is_variable


class AnyTenant(Enum):
    """The written choice to accept every tenant of a template."""

    ANY_TENANT = "any tenant"

    def __repr__(self) -> str:
        return "ANY_TENANT"


ANY_TENANT: Final = AnyTenant.ANY_TENANT
"""For ``Issuer(tenants=ANY_TENANT)``: the keys' owner says who is a tenant."""

_EXPECTED: Final = "names of tenants, ANY_TENANT or a function beside a template"


def tenant_rule(
    template: IssuerTemplate | None, tenants: tuple[str, ...] | AnyTenant | Callable[[Any], Any] | Any
) -> tuple[PathRule, ...]:
    """Return the rule for a template's variable, if it has one.

    Raises:
        ConfigurationError: ``configuration_invalid``: a template without tenants, tenants without a
        template, or
            a name that no variable can be.
    """
    if template is None:
        if tenants is not None:
            raise error_for("configuration_invalid", "tenants", "an iss with a variable, as {tid}, beside it")
        return ()
    name = template.claim
    if isinstance(tenants, AnyTenant):
        return ()
    if callable(tenants) and not isinstance(tenants, type):
        return (PathRule(name=name, path=(name,), rule=tenants),)
    if not isinstance(tenants, tuple) or not tenants:
        raise error_for("configuration_invalid", "tenants", _EXPECTED, None if tenants is None else "none")
    for number, tenant in enumerate(tenants):
        if not is_variable(tenant):
            expected = f"1 to {VARIABLE_MAX_CHARS} letters, digits and -._~"
            raise error_for("configuration_invalid", f"tenants[{number}]", expected, tenant)
    return (PathRule(name=name, path=(name,), rule=OneOf(*tenants)),)
