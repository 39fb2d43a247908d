"""The JWS level: any compact token against a set of keys; the payload stays opaque bytes (RFC 7515 s.5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws.engine import parallel
from rapidjws.engine.holder import SnapshotHolder
from rapidjws.engine.hot import HOT_BUDGET_BYTES, HOT_THRESHOLD
from rapidjws.engine.issuer import Keys, checked_algorithms, checked_keys
from rapidjws.engine.keytable import IssuerKeys
from rapidjws.engine.snapshot import Rules, Token
from rapidjws.errors import error_for
from rapidjws.jose import limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rapidjws.engine.result import Rejected, VerifiedJWS


def token_limit(algorithms: Iterable[str], max_token_bytes: object) -> int:
    """Return the largest token: as given, or the default for these algorithms.

    Raises:
        ConfigurationError: ``configuration_invalid``: not from 1 byte to 256 KiB.
    """
    if max_token_bytes is not None:
        ceiling = limits.TOKEN_CEILING_BYTES
        given = max_token_bytes if type(max_token_bytes) is int else 0
        if 1 <= given <= ceiling:
            return given
        raise error_for("configuration_invalid", "max_token_bytes", expected=f"1 to {ceiling} bytes")
    large = any(name.startswith("ML-DSA-") for name in algorithms)
    return limits.TOKEN_MAX_BYTES_MLDSA if large else limits.TOKEN_MAX_BYTES


class Verifier(SnapshotHolder):
    """Verify JWS against fixed keys; claims are not looked at.

    Args:
        keys: A JWKSet, a JWK, or several JWK.
        algorithms: The ``alg`` values accepted; required.
        require_kid: Whether a token without ``kid`` is refused.
        max_token_bytes: Largest token; by default 16 KiB, or 64 KiB where ML-DSA is allowed; 256 KiB at most.
        workers: Threads that ``verify_many`` uses; by default one a core.
        acceleration: ``"auto"``; ``"portable"`` keeps to plain C; ``"openssl"`` leaves all to libcrypto.
        hot_budget_bytes: Memory for the precomputed tables of hot keys.
        hot_threshold: Acceptances that earn a key its table; 0 for never.

    Attributes:
        unusable: Keys that serve nothing here, and why.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("unusable",)

    def __init__(
        self,
        keys: Keys,
        *,
        algorithms: Iterable[str],
        require_kid: bool = False,
        max_token_bytes: int | None = None,
        workers: int | None = None,
        acceleration: str = "auto",
        hot_budget_bytes: int = HOT_BUDGET_BYTES,
        hot_threshold: int = HOT_THRESHOLD,
    ) -> None:
        names = checked_algorithms(algorithms)
        prepared = IssuerKeys(checked_keys(keys), names).warm_up()
        self.unusable = prepared.unusable
        super().__init__(
            [prepared],
            [Rules(require_kid=require_kid)],
            max_token_bytes=token_limit(names, max_token_bytes),
            workers=workers,
            acceleration=acceleration,
            hot_budget_bytes=hot_budget_bytes,
            hot_threshold=hot_threshold,
        )

    def verify(self, token: Token) -> VerifiedJWS:
        """Verify one token.

        Args:
            token: JWS Compact Serialization, as text or bytes; a buffer is copied first.

        Returns:
            The verified JWS.

        Raises:
            TokenRefused: With the stable code of the first check that refused.

        Source: RFC 7515 section 5.2.
        """
        return self._snapshot.verify(token, 0)

    def verify_many(self, tokens: Sequence[Token]) -> list[VerifiedJWS | Rejected]:
        """Verify many tokens on all workers, outside the GIL.

        Args:
            tokens: JWS Compact Serializations.

        Returns:
            One result a token, in order; a bad token never raises.
        """
        return parallel.verify_many(self._snapshot, tokens, 0, self._workers)
