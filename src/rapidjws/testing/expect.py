"""Assertions for tests of code that verifies: a token is refused, and with the right code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, overload

from rapidjws._checks import checked
from rapidjws.errors import CODES, RapidJWSError, error_for
from rapidjws.jose.numeric_date import moment_ns

if TYPE_CHECKING:
    from rapidjws.verify.result import VerifiedJWS


class Verifies(Protocol):
    """What an assertion asks: an Engine, a Verifier, or anything with their ``verify``."""

    def verify(self, token: Any, /) -> VerifiedJWS:
        """Return the verified token, or raise."""


@overload
def assert_rejected(code: str) -> Rejection: ...


@overload
def assert_rejected(
    code: str, verifier: Verifies, token: object, *, now: float | None = None
) -> RapidJWSError: ...


@checked
def assert_rejected(
    code: str, verifier: Verifies | None = None, token: object = None, *, now: float | None = None
) -> Rejection | RapidJWSError:
    """Assert that a token is refused with a code.

    Called with a verifier it asserts at once; without one it is a context manager around any code.

    Args:
        code: A key of ``rapidjws.CODES``.
        verifier: An Engine or a Verifier.
        token: The token.
        now: Seconds since the epoch, for an Engine.

    Returns:
        The error; without a verifier a context manager whose ``error`` is it afterwards.

    Raises:
        AssertionError: The token was accepted, or refused with another code.
        ConfigurationError: ``configuration_invalid``: ``code`` is no code, ``verifier`` no verifier,
            ``now`` no time.

    Example:
        >>> from rapidjws.testing import FakeIssuer, assert_rejected
        >>> from rapidjws import Verifier
        >>> issuer = FakeIssuer("https://a.example")
        >>> verifier = Verifier(issuer.jwks, algorithms=issuer.algorithms)
        >>> assert_rejected("malformed_token", verifier, "not a token").code
        'malformed_token'
        >>> with assert_rejected("malformed_token"):
        ...     _ = verifier.verify("not a token")
    """
    if code not in CODES:
        found = repr(code)[:100] if isinstance(code, str) else type(code).__name__
        raise error_for("configuration_invalid", "code", expected="a key of rapidjws.CODES", actual=found)
    expectation = Rejection(code)
    if verifier is None:
        return expectation
    if now is not None:
        moment_ns(now)
    with expectation:
        if now is None:
            verifier.verify(token)
        else:
            verifier.verify(token, now)  # type: ignore[call-arg]
    assert expectation.error is not None
    return expectation.error


class Rejection:
    """Expect the code inside of a ``with`` to refuse.

    Attributes:
        error: The refusal, once the ``with`` is over.
    """

    __slots__ = ("code", "error")

    def __init__(self, code: str) -> None:
        self.code = code
        self.error: RapidJWSError | None = None

    def __enter__(self) -> Rejection:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is None:
            raise AssertionError(f"accepted; expected a refusal with {self.code!r}")
        if not isinstance(error, RapidJWSError):
            return False
        if error.code != self.code:
            raise AssertionError(f"refused with {error.code!r}; expected {self.code!r}: {error}") from error
        self.error = error
        return True
