"""Policies in Cedar, evaluated in this process; needs the extra ``cedar``.

Source: Cedar policy language, authorization and evaluation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from rapidjws._checks import checked
from rapidjws.authz.facts import Unmet
from rapidjws.authz.policy_input import PARTS_DEFAULT, PolicyInput
from rapidjws.authz.work_bound import CPU_S_DEFAULT, INPUT_BYTES_DEFAULT, OVER, WorkBound
from rapidjws.errors import error_for

try:
    import cedarpy
except ImportError as missing:
    raise ImportError("policies in Cedar need: pip install 'rapidjws[cedar]'") from missing

if TYPE_CHECKING:
    from collections.abc import Collection

    from rapidjws.authz.facts import Check, Facts

SOURCE_MAX_CHARS: Final = 256 * 1024
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
TYPE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)*\Z")
_REFUSED: Final = Unmet("policy_refused", "cedar")
_UNAVAILABLE: Final = Unmet("policy_unavailable", "cedar")


@checked(under="cedar")
class CedarPolicy:
    """A condition as Cedar policies, which must allow the request; where none permits it is refused.

    The principal is the token's ``sub``, the action the request's method, the resource its path; what else is
    known stands in ``context``: ``claims``, ``header``, ``request``, ``partner``, ``issuer``. A policy that
    fails on a request makes it undecided: Cedar would pass over it, also where it forbids.

    Args:
        source: The policies.
        entities: Entities, as Cedar has them in JSON, or a list of them.
        principal_type: Type of the principal.
        action_type: Type of the action.
        resource_type: Type of the resource.
        claims: Names of the claims in ``context.claims``; empty for all. Cedar knows neither fractions nor
            null: a token with such a claim is undecided.
        headers: Names of the headers in ``context.header``.
        parts: What is read of the request: ``"method"``, ``"host"``, ``"path"``.
        max_input_bytes: Largest input, as JSON, that is evaluated; what is larger is undecided.
        max_cpu_s: Most seconds of a processor for an evaluation. It cannot be stopped: one that took longer
            is undecided, and for ten times as long so are inputs as large.

    Raises:
        ConfigurationError: ``configuration_invalid``: policies or entities that cannot be read.
    """

    __slots__ = ("_bound", "_entities", "_input", "_policies", "_types", "blocking", "header_fields",
                 "reads_host", "reads_method")  # fmt: skip

    def __init__(
        self,
        source: str,
        *,
        entities: str | list[dict[str, Any]] = "[]",
        principal_type: str = "User",
        action_type: str = "Action",
        resource_type: str = "Resource",
        claims: Collection[str] = (),
        headers: Collection[str] = (),
        parts: Collection[str] = PARTS_DEFAULT,
        max_input_bytes: int = INPUT_BYTES_DEFAULT,
        max_cpu_s: float = CPU_S_DEFAULT,
    ) -> None:
        if not 0 < len(source) <= SOURCE_MAX_CHARS:
            raise error_for("configuration_invalid", "cedar.source", f"1 to {SOURCE_MAX_CHARS} characters")
        self._types = (principal_type, action_type, resource_type)
        for name, value in zip(("principal_type", "action_type", "resource_type"), self._types, strict=True):
            if not TYPE.match(value):
                raise error_for(
                    "configuration_invalid", f"cedar.{name}", "a type: Name, or Space::Name", value
                )
        self._input = PolicyInput("cedar", claims, headers, parts)
        self._bound = WorkBound("cedar", max_input_bytes, max_cpu_s)
        self.blocking = False
        self.header_fields = self._input.header_fields
        self.reads_method, self.reads_host = "method" in self._input.parts, "host" in self._input.parts
        try:
            self._policies = cedarpy.PolicySet.from_str(source)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as fault:
            raise error_for("configuration_invalid", "cedar.source", _words(fault)) from None
        try:
            text = entities if isinstance(entities, str) else orjson.dumps(entities).decode()
            self._entities = cedarpy.Entities.from_json_str(text)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as fault:
            raise error_for("configuration_invalid", "cedar.entities", _words(fault)) from None

    def check(self) -> Check:
        """Return the check of a request: what is not allowed is refused, and what fails is undecided."""
        given, policies, entities = self._input, self._policies, self._entities
        principal_type, action_type, resource_type = self._types
        bound = self._bound

        def evaluated(request: dict[str, Any]) -> Any:
            answer = cedarpy.is_authorized(request, policies, entities)
            return OVER if answer.diagnostics.errors else answer.decision

        def check(facts: Facts) -> Unmet | None:
            found = given.of(facts)
            if isinstance(found, Unmet):
                return found
            subject = facts.claims.get("sub")
            if not isinstance(subject, str) or _is_foreign(found["claims"]):
                return _UNAVAILABLE
            request = {
                "principal": {"type": principal_type, "id": subject},
                "action": {"type": action_type, "id": found["request"].get("method", "")},
                "resource": {"type": resource_type, "id": found["request"].get("path", "")},
                "context": found,
            }
            try:
                decision = bound.run(len(orjson.dumps(found)), evaluated, request)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # the library's own panics are no Exception
                return _UNAVAILABLE
            if decision is cedarpy.Decision.Allow:
                return None
            return _REFUSED if decision is cedarpy.Decision.Deny else _UNAVAILABLE

        return check

    def __repr__(self) -> str:
        return f"CedarPolicy(principal_type={self._types[0]!r})"


def _words(fault: BaseException) -> str:
    return " ".join(str(fault).split())[:200] or type(fault).__name__


def _is_foreign(claims: Any) -> bool:
    """Return whether claims hold what Cedar has no value for, or what its JSON reads as something else."""
    waiting = [claims]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict) and not _ESCAPES.isdisjoint(one):
            return True
        for value in one.values() if isinstance(one, dict) else one:
            kind = type(value)
            if kind is dict or kind is list:
                waiting.append(value)
            elif value is None or kind is float or (kind is int and not INT_MIN <= value <= INT_MAX):
                return True
    return False


_ESCAPES: Final = frozenset({"__entity", "__extn", "__expr"})
"""Members by which Cedar's JSON names an entity or calls a function: a claim must not."""
