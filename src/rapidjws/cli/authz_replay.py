"""Verified tokens with given claims, so that rules can be tried on what somebody wrote down.

Each token is signed by a key that is made for it, and verified by an engine: rules see what they see in
service, and nothing of the configured issuers' keys is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws.jose.claim_rules import NOT_CHECKED
from rapidjws.jose.limits import LEEWAY_MAX_S
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.testing import FakeIssuer

if TYPE_CHECKING:
    from rapidjws.jwt.decision import Decision

ISSUERS_MAX: Final = 256
"""Most issuers whose keys are remembered."""

ANY_ISSUER: Final = "https://issuer.example"


def enforced(section: dict[str, Any]) -> dict[str, Any]:
    """Return a table ``authz`` whose rules are all in enforcement, whatever phase each is in.

    Args:
        section: The table.
    """
    rules = [{name: value for name, value in one.items() if name != "phase"} for one in section["rules"]]
    return {**section, "phase": "enforce", "rules": rules}


class Replay:
    """Decisions on tokens that are made for the purpose.

    Args:
        iss: The issuer of claims that name none.
    """

    def __init__(self, iss: str | None) -> None:
        self._iss = iss or ANY_ISSUER
        self._issuers: dict[str, tuple[FakeIssuer, Engine]] = {}

    def decision(self, claims: dict[str, Any], partner: str | None, now_s: float) -> Decision:
        """Return the decision on a token with these claims; it is refused where no engine would accept them.

        Args:
            claims: The Claims Set; the issuer is added where it names none.
            partner: Whose request it is.
            now_s: When, in seconds since the epoch.
        """
        claims = {"iss": self._iss, **claims}
        signer, engine = self._issuer(str(claims["iss"]))
        return engine.decide(signer.token(claims), partner=partner, now=now_s)

    def _issuer(self, iss: str) -> tuple[FakeIssuer, Engine]:
        found = self._issuers.get(iss)
        if found is None:
            if len(self._issuers) >= ISSUERS_MAX:
                self._issuers.clear()
            signer = FakeIssuer(iss, "EdDSA")
            issuer = Issuer(
                iss,
                keys=signer.jwks,
                algorithms=["EdDSA"],
                audience=NOT_CHECKED,
                exp_required=False,
                leeway_s=LEEWAY_MAX_S,
            )
            found = self._issuers[iss] = signer, Engine(issuer)
        return found
