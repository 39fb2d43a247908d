"""How long a key is published before it signs and after it stopped, derived from what caches and tokens do.

Let every clock be at most ``clock_skew_s`` off, and every issuer's state at most ``state_max_age_s`` old.
A cache that fetched the JWK Set just before a key was published knows it ``jwks_max_age_s`` later, so that is
how long a key is published before it signs, with a slack for state and clocks. A token lives on after its key
stopped, so the key stays for as long as one token may be accepted anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for

TRANSIT_S: Final = 5.0
"""Seconds that an answer with a JWK Set may be on its way, part of the slack where none is given."""

LONGEST_S: Final = 400 * 86400.0


def unsafe(place: str, least: str, found: str) -> RapidJWSError:
    """Return the error for times that contradict each other, with the sum that was not kept."""
    return error_for("key_timing_unsafe", place, least, found)


def number(value: float) -> str:
    """Return a number as people write it: no exponent, no idle zeros."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


@checked(under="issuing")
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTiming:
    """The times of an issuer's keys.

    Attributes:
        jwks_max_age_s: Longest ``max-age`` that the published JWK Set is given.
        token_lifetime_s: Longest life of a token, from ``iat`` to ``exp``.
        clock_skew_s: How far the clock of an issuer or a consumer may be off.
        state_max_age_s: How old the state may be by which an issuer signs and publishes.
        publish_slack_s: Further time between publication and first signature; by default what state and
            clocks need, and ``TRANSIT_S``.
        publish_before_s: How long a key is published before it signs; by default max-age and slack.
        keep_after_s: How long it stays after it stopped; by default the least that is safe.

    Raises:
        ConfigurationError: ``key_timing_unsafe``, with the sum; ``configuration_invalid``.
    """

    jwks_max_age_s: float = 300.0
    token_lifetime_s: float = 300.0
    clock_skew_s: float = 30.0
    state_max_age_s: float = 5.0
    publish_slack_s: float | None = None
    publish_before_s: float | None = None
    keep_after_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("jwks_max_age_s", "token_lifetime_s"):
            check_range(f"issuing.{name}", getattr(self, name), 1, LONGEST_S)
        check_range("issuing.clock_skew_s", self.clock_skew_s, 0, 3600)
        check_range("issuing.state_max_age_s", self.state_max_age_s, 0.01, 3600)
        for name in ("publish_slack_s", "publish_before_s", "keep_after_s"):
            if getattr(self, name) is not None:
                check_range(f"issuing.{name}", getattr(self, name), 0, LONGEST_S)
        state, skew = number(self.state_max_age_s), number(self.clock_skew_s)
        least = self.state_max_age_s + 2 * self.clock_skew_s
        if self.slack_s < least:
            words = f"state_max_age_s {state} + 2 x clock_skew_s {skew} = {number(least)}"
            raise unsafe("issuing.publish_slack_s", words, number(self.slack_s))
        least = self.jwks_max_age_s + self.slack_s
        if self.before_s < least:
            words = f"jwks_max_age_s {number(self.jwks_max_age_s)} + publish_slack_s {number(self.slack_s)}"
            raise unsafe("issuing.publish_before_s", f"{words} = {number(least)}", number(self.before_s))
        if self.after_s < self._least_after_s:
            life, cached = number(self.token_lifetime_s), number(self._cached_s)
            words = f"token_lifetime_s {life} + max-age {cached} + clock_skew_s {skew}"
            total = number(self._least_after_s)
            raise unsafe("issuing.keep_after_s", f"{words} = {total}", number(self.after_s))

    @property
    def _cached_s(self) -> float:
        """Return the max-age, or what stale states and three clocks need where that is longer."""
        return max(self.jwks_max_age_s, self.state_max_age_s + 3 * self.clock_skew_s)

    @property
    def _least_after_s(self) -> float:
        return self.token_lifetime_s + self._cached_s + self.clock_skew_s

    @property
    def slack_s(self) -> float:
        """Return the slack that holds, in seconds."""
        if self.publish_slack_s is not None:
            return self.publish_slack_s
        return self.state_max_age_s + 2 * self.clock_skew_s + TRANSIT_S

    @property
    def before_s(self) -> float:
        """Return how long a key is published before it signs, in seconds."""
        return self.jwks_max_age_s + self.slack_s if self.publish_before_s is None else self.publish_before_s

    @property
    def after_s(self) -> float:
        """Return how long a key stays published after it stopped, in seconds."""
        return self._least_after_s if self.keep_after_s is None else self.keep_after_s
