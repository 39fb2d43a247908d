"""Who must have signed: several signatures over one payload (RFC 7515 section 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws._checks import checked
from rapidjws.authz.claim_conditions import names_of
from rapidjws.authz.facts import Unmet
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Collection

    from rapidjws.authz.facts import Check, Facts


@checked(under="signers")
class Signers:
    """Who must have signed, by the names under which their keys are configured (of a JWT, its ``iss``).

    Args:
        all_of: Each of these.
        any_of: Of these, as many as ``at_least`` says.
        at_least: How many different ones of ``any_of``; one key counts once, however often it signed.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_all_of", "_any_of", "_at_least")

    def __init__(
        self, *, all_of: Collection[str] = (), any_of: Collection[str] = (), at_least: int = 1
    ) -> None:
        if not all_of and not any_of:
            raise error_for("configuration_invalid", "signers", "all_of or any_of")
        self._all_of = frozenset(names_of(all_of, "signers.all_of")) if all_of else frozenset()
        self._any_of = frozenset(names_of(any_of, "signers.any_of")) if any_of else frozenset()
        most = len(self._any_of) or 1
        if not 1 <= at_least <= most:
            raise error_for("configuration_invalid", "signers.at_least", f"1 to {most}", at_least)
        self._at_least = at_least

    def check(self) -> Check:
        """Return the check of a token's signatures."""
        unmet = Unmet("signer_missing", "signatures")

        def check(facts: Facts) -> Unmet | None:
            by_key: dict[str, str] = {}
            for one in facts.verified.signatures:
                if one.verdict == "verified" and one.issuer is not None and one.key_thumbprint is not None:
                    by_key.setdefault(one.key_thumbprint, one.issuer)
            signed = frozenset(by_key.values())
            if not self._all_of <= signed:
                return unmet
            if self._any_of and len(self._any_of & signed) < self._at_least:
                return unmet
            return None

        return check
