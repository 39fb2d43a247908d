"""What a verification gives: a verified JWS, or a refusal. Trust is in the type.

Only a :class:`VerifiedJWS` has a payload, and only a verifier makes one. A :class:`Rejected` carries a code
and where to look, never the token or anything of its payload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from rapidjws import _native
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.issuer_names import is_template
from rapidjws.jose.json_text import loads_exact, loads_scanned

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.errors import Outcome, Reason, SafeValue
    from rapidjws.verify.key_table import PreparedKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureResult:
    """What became of one signature.

    Attributes:
        index: Its position in the token, from 0.
        verdict: ``"verified"``; ``"refused"``; ``"undecided"`` where the others' refusals decided already.
        code: Why it was refused, a key of ``rapidjws.CODES``, or None.
        place: Where that was found, or None.
        alg: The algorithm that verified; of a refused one what its header states, or None.
        kid: The kid of the key that verified; of a refused one what its header states, or None.
        issuer: The name under which the caller gave the key, or None.
        key_thumbprint: The RFC 7638 thumbprint of the key that verified, or None.
        header: The protected header of a good signature of an accepted token, else None.
    """

    index: int
    verdict: Literal["verified", "refused", "undecided"]
    code: str | None = None
    place: str | None = None
    alg: str | None = None
    kid: str | None = None
    issuer: str | None = None
    key_thumbprint: str | None = None
    header: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)


class VerifiedJWS(_native.VerifiedToken):
    """A token whose signature, and claims where an :class:`Engine` was asked, were verified.

    Parts are decoded on first use. Instances are made by :class:`Verifier` and :class:`Engine` only, cannot
    be constructed or pickled, and show no content in ``repr``.
    """

    __slots__ = ()

    _key: PreparedKey
    issuer: str | None
    """The verified ``iss`` of the issuer whose key and rules applied; None from a :class:`Verifier`."""

    def __init__(self) -> None:
        raise TypeError("only Verifier and Engine make a VerifiedJWS: it stands for a verification")

    @property
    def header(self) -> dict[str, Any]:
        """Return the protected header's members; of several good signatures, the first one's."""
        header = self._header
        if header is None:
            octets = _native.b64url_decode(self._signing_input().partition(b".")[0])
            if octets is None:  # unreachable for a verified token
                raise error_for("internal_error", "token")
            self._header = header = loads_exact(octets)
        return header

    @property
    def payload(self) -> bytes:
        """Return the JWS Payload: the decoded octets, byte for byte what was signed.

        Raises:
            TypeError: The payload was streamed through ``verify_detached`` and not kept.
        """
        payload = self._payload
        if payload is None:
            payload = _native.b64url_decode(self._signing_input().partition(b".")[2])
            if payload is None:  # unreachable for a verified token; never let it pass as an empty payload
                raise error_for("internal_error", "token")
            self._payload = payload
        return payload

    if TYPE_CHECKING:

        @property
        def claims(self) -> dict[str, Any]:
            """Return the Claims Set, checked by the engine.

            Raises:
                TypeError: A :class:`Verifier` made this: nobody checked claims.
            """

    def _read_claims(self) -> dict[str, Any]:
        """Return what ``claims`` is where the core has not read it: it asks here."""
        claims: dict[str, Any] | None = self._claims
        if claims is None:
            if self.issuer is None:
                raise TypeError("claims are checked by Engine; a Verifier's payload is opaque bytes")
            self._claims = claims = loads_scanned(self.payload)
        return claims

    @property
    def signatures(self) -> tuple[SignatureResult, ...]:
        """Return what became of each signature, in the token's order; a compact token has one."""
        result = SignatureResult(
            index=0,
            verdict="verified",
            alg=self.alg,
            kid=self.kid,
            issuer=self.issuer or self._key.name,
            key_thumbprint=self.key_thumbprint,
            header=self.header,
        )
        return (result,)

    @property
    def alg(self) -> str:
        """Return the algorithm that verified, by its registered name; of several signatures, the first good
        one's."""
        return self._key.alg

    @property
    def kid(self) -> str | None:
        """Return the kid of the key that verified, or None where it has none."""
        return self._key.jwk.kid

    @property
    def key_thumbprint(self) -> str:
        """Return the RFC 7638 SHA-256 thumbprint of the key that verified, in base64url."""
        return self._key.thumbprint

    @property
    def _issuer_names(self) -> tuple[str, ...]:
        """Return every name of its issuer that holds for it: of a template this one and the ``iss`` that fits
        it, so that no tenant stands for another. An ``iss`` that nobody compares is no name."""
        issuer = self.issuer
        if issuer is None:
            return ()
        return (issuer, self.claims["iss"]) if is_template(issuer) else self._key.issuer_names or (issuer,)

    def _signing_input(self) -> bytes:
        """Return the octets that were signed."""
        token = self._token
        return (token.encode("ascii") if isinstance(token, str) else token).rpartition(b".")[0]

    def __repr__(self) -> str:
        return f"VerifiedJWS(alg={self.alg!r}, kid={self.kid!r}, issuer={self.issuer!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a VerifiedJWS cannot be pickled: send the token and verify it again")


class VerifiedCompact(VerifiedJWS):
    """A verified compact token: whoever calls this has a verdict of RJ_OK in hand, and fills it."""

    __slots__ = ()
    if TYPE_CHECKING:

        def __init__(self) -> None: ...
    else:
        __init__ = object.__init__


class VerifiedJSON(VerifiedCompact):
    """A verified JSON serialization or detached payload, once the policy is met."""

    __slots__ = ("_results",)

    _results: Callable[[], tuple[SignatureResult, ...]]

    @property
    def payload(self) -> bytes:
        """Return the JWS Payload; raise TypeError where it was streamed."""
        if self._payload is None:
            raise TypeError("the payload was streamed and not kept: it is what the caller gave")
        return self._payload

    @property
    def signatures(self) -> tuple[SignatureResult, ...]:
        """Return what became of each signature, in the token's order."""
        return self._results()


class Rejected:
    """Why a token was refused, as values; ``error()`` gives the exception.

    Attributes:
        code: The stable code, a key of ``rapidjws.CODES``.
        place: Where it was found, or None.
        expected: What would have passed, where that is safe to show.
        actual: What was found, where that is safe to show.
    """

    __slots__ = ("_error",)

    def __init__(self, error: RapidJWSError) -> None:
        self._error = error

    @property
    def code(self) -> str:
        """Return the stable code."""
        return self._error.code

    @property
    def reason(self) -> Reason:
        """Return the reason the code belongs to."""
        return self._error.reason

    @property
    def outcome(self) -> Outcome:
        """Return ``"deny"`` or ``"indeterminate"``."""
        return self._error.outcome

    @property
    def place(self) -> str | None:
        """Return where it was found, or None."""
        return self._error.place

    @property
    def expected(self) -> SafeValue:
        """Return what would have passed, or None."""
        return self._error.expected

    @property
    def actual(self) -> SafeValue:
        """Return what was found, or None."""
        return self._error.actual

    def error(self) -> RapidJWSError:
        """Return the exception that ``verify`` would have raised."""
        error = error_for(self.code, self.place, self.expected, self.actual)
        error.issuer, error.claimed_issuer = self._error.issuer, self._error.claimed_issuer
        return error

    @property
    def issuer(self) -> str | None:
        """Return the issuer under whose key the signature verified, or None."""
        return self._error.issuer

    @property
    def claimed_issuer(self) -> str | None:
        """Return the configured issuer whose keys were asked: anybody can name it, for counts and logs."""
        return self._error.claimed_issuer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rejected) and self._error.as_dict() == other._error.as_dict()

    def __hash__(self) -> int:
        return hash((self.code, self.place))

    def __repr__(self) -> str:
        return f"Rejected({str(self._error)!r})"

    def __bool__(self) -> bool:
        raise TypeError("a Rejected is neither true nor false: test isinstance(result, VerifiedJWS)")
