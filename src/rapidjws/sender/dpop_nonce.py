"""Nonces for DPoP proofs (RFC 9449 s.9): made of the time and a secret, so that nothing is remembered.

Every worker and machine with the same secret issues and accepts the same ones.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import error_for
from rapidjws.jose.numeric_date import SECOND_NS

SECRET_MIN_BYTES: Final = 32
_TAG_BYTES: Final = 18  # 24 characters; 144 bits


@checked(but=("secrets",))
@dataclass(frozen=True, slots=True, kw_only=True)
class DPoPNonces:
    """The nonces that a server gives out, each for one to two periods.

    Args:
        secrets: 32 octets or more each. The first makes nonces, all of them check: a new secret is put last,
            then first, then alone, each time on all machines.
        period_s: How long the same nonce is given out, whole seconds, 10 to 86 400; it is accepted for one
            period more.
        required: Whether a proof without one is refused; False refuses wrong ones only.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    secrets: Iterable[bytes] = field(repr=False)
    period_s: int = 300
    required: bool = True

    def __post_init__(self) -> None:
        """Check every argument once."""
        object.__setattr__(self, "secrets", checked_secrets(self.secrets, "dpop.nonce_secrets"))
        check_range("dpop.nonce_period_s", self.period_s, 10, 86_400)

    def issue(self, now_ns: int, context: str = "") -> str:
        """Return the nonce that is given out now.

        Args:
            now_ns: Nanoseconds since the epoch.
            context: What it is for, such as an origin: a nonce of another context is refused.
        """
        (secret, *_) = self.secrets
        return _nonce(secret, self._period(now_ns), context)

    def accepts(self, nonce: str, now_ns: int, context: str = "") -> bool:
        """Return whether a nonce is of this period or the one before, and of this context."""
        period, good = self._period(now_ns), False
        octets = nonce.encode("utf-8", "surrogatepass")
        for secret in self.secrets:
            for one in (period, period - 1):
                good |= hmac.compare_digest(_nonce(secret, one, context).encode("ascii"), octets)
        return good

    def _period(self, now_ns: int) -> int:
        return now_ns // (self.period_s * SECOND_NS)


def checked_secrets(secrets: object, place: str) -> tuple[bytes, ...]:
    """Return secrets of nonces, each of ``SECRET_MIN_BYTES`` or more.

    Args:
        secrets: The first makes nonces, all of them check.
        place: The setting, for the error.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    words = f"secrets of at least {SECRET_MIN_BYTES} bytes"
    if isinstance(secrets, (bytes, str)):
        raise error_for("configuration_invalid", place, expected=f"a list of {words}")
    try:
        found: tuple[object, ...] = tuple(secrets)  # type: ignore[arg-type]
    except TypeError:
        raise error_for("configuration_invalid", place, expected=words) from None
    good = tuple(one for one in found if isinstance(one, bytes) and len(one) >= SECRET_MIN_BYTES)
    if not found or len(good) != len(found):
        raise error_for("configuration_invalid", place, expected=words)
    return good


def _nonce(secret: bytes, period: int, context: str) -> str:
    message = b"rapidjws dpop nonce\0" + period.to_bytes(16, "big", signed=True) + context.encode("utf-8")
    return urlsafe_b64encode(hmac.new(secret, message, hashlib.sha256).digest()[:_TAG_BYTES]).decode("ascii")
