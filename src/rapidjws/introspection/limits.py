"""How long answers are remembered, how many look-ups there may be, and when a server is left alone."""

from __future__ import annotations

from dataclasses import dataclass

from rapidjws._checks import check_range, checked
from rapidjws.errors import error_for


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionLimits:
    """The limits of look-ups, each process its own.

    Args:
        cache_s: Longest time that an active token is not asked for again, 0 to 3600 seconds, and never beyond
            its ``exp``: a token that the server revokes is refused after it at the latest.
        negative_cache_s: How long a token that is not active is remembered, 0 to 3600 seconds.
        max_entries: Most active tokens remembered, 1 to 1 000 000; as many that are not active, beside them.
        lookups_per_minute: Look-ups a minute that may end with a token that is not active, 1 to 1 000 000:
            what strangers can cause. Active tokens, and those seen active before, count nothing.
        max_concurrent: Most look-ups at once, 1 to 256.
        max_waiting: Most calls that wait for one, 1 to 256: others get the error at once.
        breaker_failures: Failures in a row after which the server is left alone, 1 to 1000.
        breaker_s: For how long, above 0 to 300 seconds; then one look-up tries it.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    cache_s: float = 30.0
    negative_cache_s: float = 10.0
    max_entries: int = 10_000
    lookups_per_minute: int = 600
    max_concurrent: int = 32
    max_waiting: int = 64
    breaker_failures: int = 5
    breaker_s: float = 2.0

    def __post_init__(self) -> None:
        """Check every argument once."""
        for name in ("cache_s", "negative_cache_s"):
            check_range(name, getattr(self, name), 0, 3600)
        check_range("max_entries", self.max_entries, 1, 1_000_000)
        check_range("lookups_per_minute", self.lookups_per_minute, 1, 1_000_000)
        check_range("max_concurrent", self.max_concurrent, 1, 256)
        check_range("max_waiting", self.max_waiting, 1, 256)
        check_range("breaker_failures", self.breaker_failures, 1, 1000)
        if not 0 < self.breaker_s <= 300:
            raise error_for("configuration_invalid", "breaker_s", expected="above 0, at most 300")
