"""The bounds of a registry's settings."""

from __future__ import annotations

from typing import Final

from rapidjws._checks import check_range

ISSUERS_MAX: Final = 1_000_000
REFRESH_MAX_S: Final = 3600


def check_limits(
    *,
    max_issuers: int = 1,
    lookup_timeout_s: float = 0.0,
    refresh_s: float = 0.1,
    stale_limit_s: float = REFRESH_MAX_S,
    unknown_ttl_s: float = 0.0,
    unknown_per_minute: int = 1,
) -> None:
    """Refuse limits of a registry that are out of their bounds; see :class:`IssuerRegistry`.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    check_range("max_issuers", max_issuers, 1, ISSUERS_MAX)
    check_range("lookup_timeout_s", lookup_timeout_s, 0, 60)
    check_range("refresh_s", refresh_s, 0.1, REFRESH_MAX_S)
    check_range("stale_limit_s", stale_limit_s, refresh_s, 30 * 86_400)
    check_range("unknown_ttl_s", unknown_ttl_s, 0, 86_400)
    check_range("unknown_per_minute", unknown_per_minute, 1, 1_000_000)
