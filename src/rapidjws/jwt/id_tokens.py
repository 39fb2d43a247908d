"""ID tokens, which answer one request: nonce, and hashes of what came beside them (OpenID Connect Core)."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from rapidjws.verify.result import VerifiedJWS
    from rapidjws.verify.snapshot import Token
    from rapidjws.verify.verdict_counters import VerdictCounters

_HASHES: Final = {"256": "sha256", "384": "sha384", "512": "sha512"}
_OF_EDDSA: Final = ("EdDSA", "Ed25519")


class EngineIDTokens:
    """The check of an ID token against the request that it answers."""

    __slots__ = ()

    if TYPE_CHECKING:
        _counters: VerdictCounters | None

        def _verify_uncounted(
            self, token: Token, now: float | None = None, *, wait_s: float = 0.0
        ) -> VerifiedJWS: ...

    @checked(but=("token", "now", "wait_s"))
    def verify_id_token(
        self,
        token: Token,
        *,
        nonce: str | None,
        access_token: str | None = None,
        code: str | None = None,
        now: float | None = None,
        wait_s: float = 0.0,
    ) -> VerifiedJWS:
        """Verify an ID token, and that it answers this request.

        Args:
            token: As for ``verify``; use an issuer made with ``Issuer.profile("id_token", ...)``.
            nonce: What this client sent with its request, and ``nonce`` must be; None where it sent none.
            access_token: The access token that came with it, whose hash ``at_hash`` must be; None where it is
                not checked. Where it is given, ``at_hash`` must be there.
            code: The authorization code that came with it, whose hash ``c_hash`` must be; likewise.
            now: As for ``verify``.
            wait_s: As for ``verify``.

        Returns:
            The verified JWS, with ``.claims``.

        Raises:
            TokenRefused: As ``verify``; ``missing_claim`` and ``claim_mismatch`` of ``nonce``, ``at_hash``
                and ``c_hash``; ``unsupported_algorithm``: no hash is defined for the token's algorithm.
            KeysUnavailable: As ``verify``.
            DependencyUnavailable: As ``verify``.

        Source: OpenID Connect Core section 3.1.3.6, 3.1.3.7 step 11, 3.3.2.11.
        """
        begun_ns = perf_counter_ns()
        result: VerifiedJWS | RapidJWSError
        try:
            result = self._verify_uncounted(token, now, wait_s=wait_s)
            _check_request(result, nonce, access_token, code)
        except RapidJWSError as refused:
            result = refused
        if self._counters is not None:
            self._counters.count_results([result], perf_counter_ns() - begun_ns)
        if isinstance(result, RapidJWSError):
            raise result
        return result


def _check_request(
    verified: VerifiedJWS, nonce: str | None, access_token: str | None, code: str | None
) -> None:
    """Refuse an ID token that answers another request; what was sent is never shown.

    Raises:
        TokenRefused: As ``verify_id_token``.
    """
    try:
        if nonce is not None:
            _check("nonce", verified.claims.get("nonce"), nonce, "the nonce of this request")
        for name, value in (("at_hash", access_token), ("c_hash", code)):
            if value is not None:
                wanted = left_half(verified.alg, value)
                _check(name, verified.claims.get(name), wanted, "the hash of what came with it")
    except RapidJWSError as refused:
        refused.issuer = verified.issuer
        raise


def _check(name: str, found: Any, wanted: str, words: str) -> None:
    if found is None:
        raise error_for("missing_claim", f"claims.{name}", words)
    if not isinstance(found, str) or found != wanted:  # signed: time teaches a stranger nothing
        raise error_for("claim_mismatch", f"claims.{name}", words)


def left_half(alg: str, value: str) -> str:
    """Return the left half of a value's hash, in base64url, by the algorithm of the ID token.

    Args:
        alg: The algorithm that verified; its hash is used, SHA-512 for Ed25519.
        value: An access token or a code: ASCII.

    Raises:
        HeaderRefused: ``unsupported_algorithm``: OpenID Connect names no hash for it.

    Source: OpenID Connect Core section 3.1.3.6.
    """
    made = "sha512" if alg in _OF_EDDSA else _HASHES.get(alg.removesuffix("K")[-3:])
    if made is None or not (alg in _OF_EDDSA or alg[:2] in ("ES", "RS", "PS", "HS")):
        raise error_for("unsupported_algorithm", "header.alg", "an algorithm with a hash for at_hash", alg)
    import hashlib
    from base64 import urlsafe_b64encode

    digest = hashlib.new(made, value.encode()).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
