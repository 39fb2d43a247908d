"""The notes of one diagnosis: what the sections find, in order, and the work they may spend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws.diagnose.causes import cause
from rapidjws.diagnose.values import Cause, Check

if TYPE_CHECKING:
    from rapidjws.diagnose.values import Section, Status
    from rapidjws.errors import SafeValue
    from rapidjws.jose.jwk import JWK
    from rapidjws.verify.key_table import PreparedKey

BUDGET_UNITS: Final = 1000
"""Work that experiments may spend, in units of roughly 25 microseconds of signature arithmetic."""

_UNITS: Final = {"hmac": 1, "rsa_pkcs1": 2, "rsa_pss": 2, "ecdsa": 6, "eddsa": 7, "mldsa": 8}
_SLOW_CURVES: Final = {"ES384": 60, "ES512": 40, "ES256K": 40, "Ed448": 20}
_BYTES_A_UNIT: Final = 16 * 1024


class Notes:
    """The checks and causes of one diagnosis.

    Attributes:
        checks: The checks so far.
        found: Each cause with the section that named it.
        left: Units of work that experiments may still spend.
        trials: Trial verifications made so far.
        prepared: Keys that trials have used, by identity and algorithm.
    """

    __slots__ = ("checks", "found", "left", "prepared", "trials")

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.found: list[tuple[Section, Cause]] = []
        self.left = BUDGET_UNITS
        self.trials = 0
        self.prepared: dict[tuple[int, str], tuple[JWK, PreparedKey]] = {}

    def check(
        self,
        section: Section,
        name: str,
        status: Status,
        text: str,
        *,
        expected: SafeValue = None,
        actual: SafeValue = None,
    ) -> None:
        """Note a check."""
        made = Check(part=section, name=name, status=status, text=text, expected=expected, actual=actual)
        self.checks.append(made)

    def cause(self, section: Section, name: str, weight: int, evidence: str) -> None:
        """Note a cause; the heaviest of one id stays."""
        self.found.append((section, cause(name, weight, evidence)))

    def names(self, name: str) -> bool:
        """Say whether a cause was named already."""
        return any(cause.id == name for _, cause in self.found)

    def spend(self, alg: str, kind: str, size: int) -> bool:
        """Take the work of one verification; return False where the budget is used up."""
        self.left -= _SLOW_CURVES.get(alg, _UNITS.get(kind, 8)) + size // _BYTES_A_UNIT
        self.trials += self.left >= 0
        return self.left >= 0
