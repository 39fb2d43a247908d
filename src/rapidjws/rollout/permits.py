"""Decisions on good tokens by what they share, so that a batch looks a stage up once and counts once.

What differs from token to token is asked of each: claims that a partner's rules demand, and the dates that
the evidence counts. Whatever is not plain has no share here, and is decided by ``Rollout.decide``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rapidjws.jwt.decision import OK, permit_maker
from rapidjws.rollout.counters import Request
from rapidjws.rollout.measures import lifetime_of, skew_bucket
from rapidjws.verify.result import VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from rapidjws.jwt.decision import Decision, Names
    from rapidjws.rollout.counters import RowKey
    from rapidjws.rollout.evidence import Evidence
    from rapidjws.rollout.partner import Partner
    from rapidjws.rollout.plan import Phase, Plan
    from rapidjws.verify.key_table import PreparedKey

SHAPES_MAX: Final = 1024
"""Most shapes that are kept of one second; a route that a stranger wrote is part of one."""

NAME_MAX_CHARS: Final = 256
"""Longest partner or route in a shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the decisions on good tokens of one key, partner and route have in common within a second.

    Attributes:
        phase: The phase that holds.
        partner: The partner that they are attributed to, or None.
        attributed_by: What by.
        row: The partner and route that they are counted under.
        rules: The partner's rules where they look at more than issuer and algorithm, or None.
        warnings: Sentences for whoever sent them.
        sunset_at_s: Until when their algorithm is accepted, seconds since the epoch, or None.
        issuer: Their issuer.
        alg: Their algorithm.
        key: What the use of their key is counted under, or None.
    """

    phase: Phase
    partner: str | None
    attributed_by: str
    row: RowKey
    rules: Partner | None
    warnings: tuple[str, ...]
    sunset_at_s: int | None
    issuer: str
    alg: str
    key: str | None
    make: Callable[[VerifiedJWS, str | None], Decision] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Have what makes a permit of a token and a route ready."""
        make = permit_maker(
            phase=self.phase,
            partner=self.partner,
            attributed_by=self.attributed_by,
            warnings=self.warnings,
            sunset_at_s=self.sunset_at_s,
        )
        object.__setattr__(self, "make", make)


ShapeKey = tuple["str | None", "PreparedKey", "str | None", "str | None"]
"""Issuer, or the tenant that a partner names; key, partner, and the route where the plan has any."""


class Shapes(NamedTuple):
    """The shapes of one second under one plan."""

    plan: Plan
    now_s: int
    found: dict[ShapeKey, Shape | None]


class Permits:
    """The decisions on the good tokens of one batch.

    Args:
        shapes: What is known of this second.
        find: Gives the shape of a token, partner and route; None where there is none.
        evidence: Where they are counted.
        now_ns: The present, in nanoseconds since the epoch.
        owners: The ``iss`` that partners name: a tenant's among them has shapes of its own.
    """

    __slots__ = ("_dated", "_evidence", "_find", "_groups", "_has_routes", "_now_ns", "_owners", "_shapes")

    def __init__(
        self,
        shapes: Shapes,
        find: Callable[[VerifiedJWS, Plan, str | None, str | None, int], Shape | None],
        evidence: Evidence,
        now_ns: int,
        owners: Container[str] = (),
    ) -> None:
        self._shapes = shapes
        self._find = find
        self._evidence = evidence
        self._now_ns = now_ns
        self._owners = owners
        self._has_routes = bool(shapes.plan.routes)
        self._groups: dict[tuple[int, int, str], _Group] = {}
        self._dated: dict[tuple[int, int, int], _Group] = {}

    def decide(self, verified: VerifiedJWS, partner: Names, route: Names) -> Decision | None:
        """Return the permit for a good token, to be counted; None where ``Rollout.decide`` has to say."""
        if not (partner is None or partner.__class__ is str) or not (route is None or route.__class__ is str):
            return None
        shape = self._shape(verified, partner, route)
        if shape is None or (
            shape.rules is not None and shape.rules.objection(verified, self._now_ns) is not None
        ):
            return None
        if not isinstance(verified, VerifiedJWS):  # nobody looks at what is copied
            return None
        decision = shape.make(verified, route)
        self._note(shape, verified.claims)
        return decision

    def _shape(self, verified: VerifiedJWS, partner: str | None, route: str | None) -> Shape | None:
        issuer = verified.issuer
        if issuer is not None and "{" in issuer and (stated := verified.claims["iss"]) in self._owners:
            issuer = stated
        key = issuer, verified._key, partner, route if self._has_routes else None
        found = self._shapes.found
        try:
            return found[key]
        except KeyError:
            pass
        if len(partner or "") > NAME_MAX_CHARS or len(route or "") > NAME_MAX_CHARS:
            return None
        shape = self._find(verified, self._shapes.plan, partner, route, self._now_ns)
        if len(found) >= SHAPES_MAX:
            found.clear()
        found[key] = shape
        return shape

    def _note(self, shape: Shape, claims: dict[str, Any]) -> None:
        """Note a permit, with those of its shape whose dates are counted alike."""
        iat, exp = claims.get("iat"), claims.get("exp")
        if iat.__class__ is int and exp.__class__ is int:
            same = id(shape), iat, exp
            seen = self._dated.get(same)
            if seen is not None:
                seen.times += 1
                return
            self._dated[same] = self._group(shape, iat, exp)
            return
        self._group(shape, iat, exp)

    def _group(self, shape: Shape, iat: Any, exp: Any) -> _Group:
        """Count a permit with those of its shape whose dates are counted alike; return these."""
        skew_s, bucket, lifetime = None, -1, lifetime_of(exp, iat)
        if iat.__class__ is int or (iat.__class__ is float and math.isfinite(iat)):
            skew_s = iat - self._shapes.now_s
            bucket = skew_bucket(skew_s)
        key = id(shape), bucket, lifetime
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(shape, skew_s, lifetime)
        else:
            group.times += 1
        return group

    def count(self, elapsed_ns: int) -> Iterator[tuple[str, str, str, int]]:
        """Count what was permitted as evidence; yield issuer, partner, algorithm and number of each group.

        Args:
            elapsed_ns: How long the batch took, in nanoseconds.
        """
        groups, self._groups, self._dated = self._groups, {}, {}
        for one in groups.values():
            shape = one.shape
            seen = Request(
                code=OK,
                now_s=self._shapes.now_s,
                elapsed_ns=elapsed_ns,
                failed=False,
                refused=False,
                alg=shape.alg,
                skew_s=one.skew_s,
                key=shape.key,
                lifetime=one.lifetime,
            )
            self._evidence.count(shape.row, seen, times=one.times)
            yield shape.issuer, shape.partner or "", shape.alg, one.times


class _Group:
    """Permits of one shape whose dates are counted alike."""

    __slots__ = ("lifetime", "shape", "skew_s", "times")

    def __init__(self, shape: Shape, skew_s: float | None, lifetime: str) -> None:
        self.shape = shape
        self.skew_s = skew_s
        self.lifetime = lifetime
        self.times = 1
