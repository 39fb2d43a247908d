"""Verdicts and durations as the core counts them: by issuer, partner and code, and by issuer and algorithm.

The memory is laid out here when keys or rules change; the core only adds. Counting changes no verdict.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.errors import CODES
from rapidjws.verify.counter_memory import CounterRegion, private_region
from rapidjws.verify.result import VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rapidjws.verify.rules import Rules
    from rapidjws.verify.slot_table import KeyTable

VERDICTS: Final = "verifications"
"""The series of verdicts: labels issuer and partner, a word a code."""

DURATIONS: Final = "verification_duration"
"""The series of durations: labels issuer and alg, a word a bucket and one for the sum."""

CLAIMS: Final = "claim_refusals_total"
"""The series of refused claims whose code does not name the claim: labels issuer, claim and code."""

CLAIM_CODES: Final = ("missing_claim", "malformed_claim")
"""Codes of claims that do not name the claim."""

CLAIM_NAMES_MAX: Final = 64
"""Most names of claims, which configurations give; what is beyond counts under an empty name."""

OK: Final = "ok"

CODE_WORDS: Final = {
    OK: 0,
    **{code: at for at, code in enumerate((code for code, row in CODES.items()
                                           if row.reason not in ("authorization", "configuration")), 1)},
}  # fmt: skip
"""Code -> its word in a series of verdicts; a caller's mistake is no verdict, nor is what rules say later."""

LOOKED_UP_MAX: Final = 64
"""Most issuers of a registry that are counted by name; those beyond count under an empty one."""

PRIVATE_BYTES: Final = 1024 * 1024
ISSUER_BYTES: Final = 6144
"""About what the series of one issuer take, at most."""

_ROW: Final = struct.Struct("@PP")


class VerdictCounters(_native.Counters):
    """Where an engine counts.

    Args:
        region: The memory, or None for memory of this process alone.
        issuers: About how many issuers there will be.
    """

    __slots__ = ("_claims", "_is_private", "_looked_up", "region")

    def __init__(self, region: CounterRegion | None = None, *, issuers: int = 1) -> None:
        self._is_private = region is None
        if region is None:
            size = max(PRIVATE_BYTES, issuers * ISSUER_BYTES)
            region = private_region(size)
        self.region = region
        """The memory that is counted in."""
        self._codes = CODE_WORDS
        self._claim_codes = dict.fromkeys(CLAIM_CODES)
        self._claims: dict[str, None] = {}
        self._looked_up = 0
        self._issuers: dict[str | None, tuple[int, dict[str, int], dict[str, int]]] = {}
        self._verified = VerifiedJWS
        self._attach(_native.runtime_address())
        self._entry(None)

    def after_fork(self) -> None:
        """Begin at zero in a forked child, where the memory is not shared."""
        self.region.renew_lock()
        if self._is_private:
            self.region.forget_counts()
            self.region.begin()

    def rows(self, table: KeyTable, rules: Sequence[Rules]) -> bytes:
        """Return where the core counts accepted tokens: one row for each issuer and algorithm number.

        Args:
            table: The keys.
            rules: One an issuer, in the table's order.
        """
        octets = bytearray(_ROW.size * _native.ALG_COUNT * len(rules))
        for number, (keys, rule) in enumerate(zip(table.issuers, rules, strict=True)):
            verdicts, durations, _ = self._entry(rule.iss)
            for alg, positions in keys.by_alg.items():
                if alg not in durations:
                    durations[alg] = self._durations(rule.iss or "", alg)
                native_number = keys.prepared[positions[0]].number
                at = (number * _native.ALG_COUNT + native_number) * _ROW.size
                _ROW.pack_into(octets, at, verdicts, durations[alg])
        return bytes(octets)

    def _entry(self, iss: str | None) -> tuple[int, dict[str, int], dict[str, int]]:
        """Return where an issuer's tokens are counted; entries are added and never taken away."""
        entry = self._issuers.get(iss)
        if entry is None:
            entry = (self._verdicts(iss or "", ""), {"": self._durations(iss or "", "")}, {})
            self._issuers[iss] = entry
        return entry

    def add_looked_up(self, iss: str, algorithms: Iterable[str]) -> None:
        """Count an issuer that was looked up by its name from now on, as far as there are few such names.

        Args:
            iss: Its ``iss``; call this once a token of it verified, so that no stranger takes a place.
            algorithms: Those of its tokens.
        """
        if iss in self._issuers or self._looked_up >= LOOKED_UP_MAX:
            return
        self._looked_up += 1
        durations = {alg: self._durations(iss, alg) for alg in ("", *algorithms)}
        self._issuers[iss] = (self._verdicts(iss, ""), durations, {})

    def _verdicts(self, iss: str, partner: str) -> int:
        word = self.region.place(VERDICTS, (iss, partner), "c", _native.COUNTERS_CODES)
        return self.region.address(word)

    def _durations(self, iss: str, alg: str) -> int:
        word = self.region.place(DURATIONS, (iss, alg), "h", _native.COUNTERS_DURATION_WORDS)
        return self.region.address(word)

    def _place_partner(self, iss: str | None, partner: str) -> int:
        """Return where an issuer's tokens are counted for a partner; the core asks once for each."""
        known = iss if iss in self._issuers else None
        partners = self._issuers[known][2]
        partners[partner] = address = self._verdicts(known or "", partner)
        return address

    def _place_claim(self, iss: str | None, code: str, place: str | None) -> int:
        """Return where the refusals of a claim are counted; the claim is what the rules demand or check."""
        words = (place or "").partition(".")
        name = words[2].partition("[")[0] if words[0] == "claims" else ""
        if name not in self._claims:
            if len(self._claims) < CLAIM_NAMES_MAX:
                self._claims[name] = None
            else:
                name = ""
        known = iss if iss in self._issuers else None
        return self.region.address(self.region.place(CLAIMS, (known or "", name, code), "c"))


def counters_of(given: Any, issuers: int) -> VerdictCounters | None:
    """Return what an engine counts in: as given, memory of its own for True, nothing for False."""
    if given is True:
        return VerdictCounters(issuers=issuers)
    return None if given is False else given
