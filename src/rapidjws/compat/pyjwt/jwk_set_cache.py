"""A JWK Set kept for a time."""

from __future__ import annotations

import time
from typing import Any

from rapidjws.compat.pyjwt.api_jwk import PyJWKSet, PyJWTSetWithTimestamp
from rapidjws.compat.pyjwt.exceptions import PyJWKSetError


class JWKSetCache:
    """One JWK Set, parsed, with the time it came.

    Args:
        lifespan: Seconds that it is used for; -1 for ever.
    """

    def __init__(self, lifespan: float) -> None:
        self.jwk_set_with_timestamp: PyJWTSetWithTimestamp | None = None
        self.lifespan = lifespan

    def put(self, jwk_set: PyJWKSet | dict[str, Any] | None) -> None:
        """Keep a set, given parsed or as its members; None forgets the one that is kept.

        Raises:
            PyJWKSetError: It is none, or has no usable key.
        """
        if jwk_set is None:
            self.jwk_set_with_timestamp = None
            return
        if isinstance(jwk_set, dict):
            jwk_set = PyJWKSet.from_dict(jwk_set)
        if not isinstance(jwk_set, PyJWKSet):
            raise PyJWKSetError("Invalid JWK Set value")
        self.jwk_set_with_timestamp = PyJWTSetWithTimestamp(jwk_set)

    def get(self) -> PyJWKSet | None:
        """Return the set, or None where there is none or its time is over."""
        kept = self.jwk_set_with_timestamp
        return None if kept is None or self.is_expired() else kept.get_jwk_set()

    def is_expired(self) -> bool:
        """Return whether the time of the set that is kept is over."""
        kept = self.jwk_set_with_timestamp
        return (
            kept is not None
            and self.lifespan > -1
            and time.monotonic() > kept.get_timestamp() + self.lifespan
        )
