"""The names of one issuer: an exact ``iss``, several, or a template with one variable (RFC 7519 s.4.1.1).

A template such as ``https://login.microsoftonline.com/{tid}/v2.0`` stands for the ``iss`` of every tenant:
what stands in the variable's place must equal the claim of that name, and be a tenant that is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rapidjws.errors import RapidJWSError, error_for

VARIABLE_MAX_CHARS: Final = 128
_VARIABLE: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_TEMPLATE: Final = re.compile(r"([^{}]+)\{([A-Za-z_][A-Za-z0-9_.:-]*)\}([^{}]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerTemplate:
    """An ``iss`` with a claim's value in it.

    Attributes:
        text: The template as it was written.
        prefix: What stands before the variable.
        claim: The claim whose value the variable must be.
        suffix: What stands after it.
    """

    text: str
    prefix: str
    claim: str
    suffix: str

    def variable(self, iss: str) -> str | None:
        """Return what stands in the variable's place, or None where ``iss`` does not fit the template.

        Source: RFC 3986 s.2.3: unreserved characters, so that a variable is one segment.
        """
        if not (iss.startswith(self.prefix) and iss.endswith(self.suffix)):
            return None
        middle = iss[len(self.prefix) : len(iss) - len(self.suffix)]
        fits = len(iss) > len(self.prefix) + len(self.suffix) and _VARIABLE.fullmatch(middle)
        return middle if fits else None

    def passes(self, iss: str, claims: Mapping[str, Any]) -> bool:
        """Say whether ``iss`` is this template with the claim's value in it."""
        variable = self.variable(iss)
        return variable is not None and claims.get(self.claim) == variable


def is_template(iss: str) -> bool:
    """Say whether a name has a variable: no URI has braces (RFC 3986 s.2)."""
    return "{" in iss or "}" in iss


def is_variable(value: object) -> bool:
    """Say whether a text may stand in a variable's place."""
    return isinstance(value, str) and _VARIABLE.fullmatch(value) is not None


def template_of(iss: str) -> IssuerTemplate:
    """Read a template.

    Raises:
        ConfigurationError: ``configuration_invalid``: not one variable that names a claim.
    """
    found = _TEMPLATE.fullmatch(iss)
    if found is None:
        expected = "one variable that names a claim, as in https://issuer.example/{tid}"
        raise error_for("configuration_invalid", "iss", expected, iss)
    prefix, claim, suffix = found.groups()
    if claim == "iss":
        raise error_for("configuration_invalid", "iss", "another claim than iss itself", iss)
    return IssuerTemplate(text=iss, prefix=prefix, claim=claim, suffix=suffix)


class IssuerNumbers:
    """Which issuer an ``iss`` belongs to: by an exact name, else by a template that it fits.

    Args:
        names: Exact name -> number.
        templates: Templates with their numbers.
    """

    __slots__ = ("_lengths", "_names", "_templates")

    def __init__(
        self, names: Mapping[str | None, int], templates: Sequence[tuple[IssuerTemplate, int]]
    ) -> None:
        self._names = names
        self._templates: dict[str, list[tuple[IssuerTemplate, int]]] = {}
        for template, number in templates:
            self._templates.setdefault(template.prefix, []).append((template, number))
        self._lengths = sorted({len(prefix) for prefix in self._templates}, reverse=True)

    def get(self, iss: str | None) -> int | None:
        """Return an issuer's number, or None."""
        number = self._names.get(iss)
        if number is not None or iss is None:
            return number
        for length in self._lengths:
            for template, number in self._templates.get(iss[:length], ()):
                if template.variable(iss) is not None:
                    return number
        return None

    def __contains__(self, iss: object) -> bool:
        return (iss is None or isinstance(iss, str)) and self.get(iss) is not None


def refused_template(template: IssuerTemplate, claims: Mapping[str, Any]) -> RapidJWSError | None:
    """Return the error of an ``iss`` that is not the template with the claim's value in it."""
    iss = claims["iss"]
    if template.passes(iss, claims):
        return None
    expected = f"{template.text} with the claim {template.claim}"
    return error_for("issuer_mismatch", "claims.iss", expected, iss)
