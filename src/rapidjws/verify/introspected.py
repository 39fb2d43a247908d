"""An opaque token that its authorization server calls active: accepted by its word, without a signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rapidjws.verify.result import VerifiedCompact

if TYPE_CHECKING:
    from rapidjws.verify.result import SignatureResult


class IntrospectedToken(VerifiedCompact):
    """An opaque token with the claims of its introspection; no key verified it, so it names none."""

    __slots__ = ()

    @property
    def header(self) -> dict[str, Any]:
        """Return nothing: it has no header."""
        return {}

    @property
    def signatures(self) -> tuple[SignatureResult, ...]:
        """Return nothing: it has no signature."""
        return ()

    @property
    def alg(self) -> str:
        """Return ``""``."""
        return ""

    @property
    def kid(self) -> str | None:
        """Return None."""
        return None

    @property
    def key_thumbprint(self) -> str:
        """Return ``""``."""
        return ""

    @property
    def _issuer_names(self) -> tuple[str, ...]:
        """Return the name of its server's issuer."""
        return () if self.issuer is None else (self.issuer,)

    def _signing_input(self) -> bytes:
        """Return the token itself, by which a use of it is known."""
        token = self._token
        return token.encode("ascii") if isinstance(token, str) else bytes(token)

    def __repr__(self) -> str:
        return f"IntrospectedToken(issuer={self.issuer!r})"


def introspected_token(token: bytes, iss: str, claims: dict[str, Any], octets: bytes) -> IntrospectedToken:
    """Return an opaque token whose server called it active: the caller has its answer in hand.

    Args:
        token: The token.
        iss: The server's issuer.
        claims: What the answer says.
        octets: The same as JSON: its payload.
    """
    made = IntrospectedToken()
    made._token = token
    made.issuer = iss
    made._claims = {**claims, "iss": iss}
    made._payload = octets
    return made
