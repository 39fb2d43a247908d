"""What a policy of an engine is given: claims, headers, request, partner, issuer; each part by name.

Security: a part that is asked for and has no one reading refuses; nothing is guessed or left empty.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from rapidjws.authz.claim_conditions import names_of
from rapidjws.authz.facts import Unmet
from rapidjws.authz.request import header_text, is_field_name, method_of
from rapidjws.errors import error_for
from rapidjws.rollout.routes import route_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from rapidjws.authz.facts import Facts

PARTS: Final = ("method", "host", "path")
PARTS_DEFAULT: Final = ("method", "path")
PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:/[A-Za-z_][A-Za-z0-9_]*)*\Z")
"""The path of a rule in Rego, as in OPA's addresses."""


class PolicyInput:
    """What is handed to a policy.

    Args:
        place: The setting, for errors.
        claims: Names of claims; empty for all.
        headers: Names of headers; one that a request has not is left out.
        parts: Of the request: ``"method"``, ``"host"``, ``"path"``.

    Attributes:
        header_fields: The lower-case names.
        parts: As given.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_claims", "_fields", "header_fields", "parts")

    def __init__(
        self, place: str, claims: Collection[str], headers: Collection[str], parts: Collection[str]
    ) -> None:
        self._claims = names_of(claims, f"{place}.claims") if claims else ()
        named = names_of(headers, f"{place}.headers") if headers else ()
        if not all(map(is_field_name, named)):
            raise error_for("configuration_invalid", f"{place}.headers", "names of RFC 9110")
        self._fields = tuple((name.lower().encode("ascii"), name.lower()) for name in named)
        self.header_fields = frozenset(field for field, _ in self._fields)
        self.parts = names_of(parts, f"{place}.parts") if parts else ()
        if not set(self.parts) <= set(PARTS):
            raise error_for("configuration_invalid", f"{place}.parts", PARTS)

    def of(self, facts: Facts) -> dict[str, Any] | Unmet:
        """Return the input for a request, or what in it has no one reading.

        Args:
            facts: Of the request.
        """
        claims = facts.claims
        if self._claims:
            claims = {name: claims[name] for name in self._claims if name in claims}
        header: dict[str, str] = {}
        for field, name in self._fields:
            values = facts.request.headers(field)
            if values:
                text = header_text(values)
                if text is None:
                    return Unmet("ambiguous_request", f"request.header.{name}")
                header[name] = text
        request: dict[str, str] = {}
        for part in self.parts:
            found = _part(part, facts)
            if found is None:
                return Unmet("ambiguous_request", f"request.{part}")
            request[part] = found
        return {
            "claims": claims,
            "header": header,
            "request": request,
            "partner": facts.partner or "",
            "issuer": facts.verified.issuer or "",
        }


def _part(part: str, facts: Facts) -> str | None:
    if part == "method":
        return method_of(facts.request.method)
    return facts.host() if part == "host" else route_of(facts.path)
