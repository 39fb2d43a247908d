"""Signed Claims Sets: iat, exp and jti written for the caller (RFC 7519 s.4.1, s.7.1)."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rapidjws import _native
from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.signing.compact import sign_compact
from rapidjws.signing.signer import Signer

JTI_BYTES = 16


class JWTBuilder:
    """A builder of one issuer's signed JWTs.

    Args:
        signer: Who signs.
        iss: The issuer's name.
        audience: Default ``aud``: one name, several, or None.
        lifetime_s: Seconds from ``iat`` to ``exp``, at least 1.
        typ: The header's ``typ``, or None for none.
        clock: Gives seconds since the epoch.
        random_bytes: Gives that many unforeseeable bytes, for ``jti``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_audience", "_clock", "_iss", "_lifetime_s", "_random_bytes", "_signer", "_typ")

    @checked
    def __init__(
        self,
        signer: Signer,
        *,
        iss: str,
        audience: str | Sequence[str] | None = None,
        lifetime_s: int = 300,
        typ: str | None = "JWT",
        clock: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        if not isinstance(iss, str) or not iss:
            raise error_for("configuration_invalid", "iss", expected="a non-empty string")
        if lifetime_s < 1:
            raise error_for("configuration_invalid", "lifetime_s", expected="at least 1", actual=lifetime_s)
        self._signer = signer
        self._iss = iss
        self._audience = audience if audience is None or isinstance(audience, str) else list(audience)
        self._lifetime_s = lifetime_s
        self._typ = typ
        self._clock = clock
        self._random_bytes = random_bytes

    @checked
    def claims(self, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a Claims Set: iss, aud, iat, exp and a fresh jti, then the caller's claims.

        Args:
            more: Further claims; they replace the builder's, and None removes one.
        """
        now_s = int(self._clock())
        claims: dict[str, Any] = {
            "iss": self._iss,
            "aud": self._audience,
            "iat": now_s,
            "exp": now_s + self._lifetime_s,
            "jti": _native.b64url_encode(self._random_bytes(JTI_BYTES)).decode(),
        }
        claims.update(more or {})
        return {name: value for name, value in claims.items() if value is not None}

    @checked
    def sign(self, more: Mapping[str, Any] | None = None, *, header: Mapping[str, Any] | None = None) -> str:
        """Return a signed compact JWT.

        Args:
            more: Further claims, as in :meth:`claims`.
            header: Further protected header parameters.

        Raises:
            ConfigurationError: ``configuration_invalid``: a claim that JSON cannot hold, or a bad header.
        """
        try:
            payload = json.dumps(
                self.claims(more), separators=(",", ":"), ensure_ascii=False, allow_nan=False
            )
        except (TypeError, ValueError):
            raise error_for("configuration_invalid", "claims", expected="values that JSON can hold") from None
        typ = {} if self._typ is None else {"typ": self._typ}
        return sign_compact(payload.encode(), self._signer, header=typ | dict(header or {}))
