"""What one decision goes by: the verified token's claims, the request, the partner and the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rapidjws.authz.request import host_of_target
from rapidjws.jose.scopes import scopes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rapidjws.authz.request import RequestFacts
    from rapidjws.verify.result import VerifiedJWS

    Check = Callable[["Facts"], "Unmet | None"]
    """A condition of a rule: None where it is met."""

NO_SEGMENTS: Final[Mapping[str, str]] = {}


class Unmet(NamedTuple):
    """Why a condition is not met.

    Attributes:
        code: A key of ``CODES``.
        place: What was looked at: a claim's name, ``request.host``; never its value.
        scopes_due: With ``insufficient_scope``, the scopes that suffice.
    """

    code: str
    place: str
    scopes_due: tuple[str, ...] = ()


class Facts:
    """What one decision goes by.

    Attributes:
        verified: The verified token.
        claims: Its claims; none where a Verifier verified, whose payload is opaque.
        request: The request.
        partner: Whose it is, or None.
        now_s: The present, in seconds since the epoch.
        content: The signed octets.
        path: The target's path as it was sent, or None.
        segments: The named segments of the path by the rule's route.
        answers: What policies that wait for another process answered, by check and path; each is asked once.
    """

    __slots__ = (
        "_scopes",
        "answers",
        "claims",
        "content",
        "now_s",
        "partner",
        "path",
        "request",
        "segments",
        "verified",
    )

    def __init__(
        self,
        verified: VerifiedJWS,
        request: RequestFacts,
        partner: str | None,
        now_s: float,
        content: bytes | None,
    ) -> None:
        self.verified = verified
        self.claims: Mapping[str, Any] = {} if verified.issuer is None else verified.claims
        self.request = request
        self.partner = partner
        self.now_s = now_s
        self.content = content
        self.segments = NO_SEGMENTS
        self.path: str | None = None
        self._scopes: frozenset[str] | None = None
        self.answers: dict[object, Unmet | None] | None = None

    def host(self) -> str | None:
        """Return the host that the request names, or None where it is not clear."""
        return host_of_target(self.request.headers(b"host"), self.path)

    @property
    def scopes(self) -> frozenset[str]:
        """Return the token's scopes."""
        found = self._scopes
        if found is None:
            found = self._scopes = scopes_of(self.claims)
        return found
